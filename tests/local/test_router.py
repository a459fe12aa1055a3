import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from agentinfer.local._router import Router


class Backend:
    """A server that streams one line, and a second one once it may."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.asked = asyncio.Event()
        self.go_on = asyncio.Event()
        self.hung_up = asyncio.Event()

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(int(line.split(":")[1]) for line in head.lower().split("\r\n") if "content-length" in line)
        self.bodies.append(await reader.readexactly(length))
        self.asked.set()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: 1\n\n")
        await writer.drain()
        hang_up = asyncio.create_task(reader.read(1))
        go_on = asyncio.create_task(self.go_on.wait())
        await asyncio.wait({hang_up, go_on}, return_when=asyncio.FIRST_COMPLETED)
        if hang_up.done():
            self.hung_up.set()
        else:
            writer.write(b"data: 2\n\n")
        hang_up.cancel()
        go_on.cancel()
        writer.close()


@asynccontextmanager
async def routed(*names: str) -> AsyncIterator[tuple[httpx.AsyncClient, dict[str, Backend]]]:
    backends = {name: Backend() for name in names}
    router = Router()
    servers = []
    for name, backend in backends.items():
        server = await asyncio.start_server(backend.handle, "127.0.0.1", 0)
        servers.append(server)
        router.add(name, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    port = await router.start("127.0.0.1", 0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}/v1", timeout=5) as client:
        try:
            yield client, backends
        finally:
            await router.stop()
            for server in servers:
                server.close()


async def test_a_request_goes_to_the_model_it_names() -> None:
    async with routed("one", "two") as (client, backends):
        backends["two"].go_on.set()
        answer = await client.post("/chat/completions", json={"model": "two", "messages": []})
        assert answer.text == "data: 1\n\ndata: 2\n\n"
        assert [json.loads(body)["model"] for body in backends["two"].bodies] == ["two"]
        assert backends["one"].bodies == []


async def test_an_answer_is_passed_on_as_it_comes() -> None:
    async with (
        routed("one") as (client, backends),
        client.stream("POST", "/chat/completions", json={"model": "one"}) as answer,
    ):
        lines = answer.aiter_lines()
        assert await anext(lines) == "data: 1"
        backends["one"].go_on.set()
        assert [line async for line in lines if line] == ["data: 2"]


async def test_a_client_that_goes_away_ends_the_generation() -> None:
    async with routed("one") as (client, backends):
        async with client.stream("POST", "/chat/completions", json={"model": "one"}) as answer:
            assert answer.status_code == 200
        await asyncio.wait_for(backends["one"].hung_up.wait(), 5)


async def test_stopping_ends_running_requests() -> None:
    async with routed("one") as (client, backends):
        request = asyncio.create_task(client.post("/chat/completions", json={"model": "one"}))
        await asyncio.wait_for(backends["one"].asked.wait(), 5)
    with pytest.raises(httpx.HTTPError):
        await request


async def test_models_are_listed_and_health_told() -> None:
    async with routed("one", "two") as (client, _):
        assert [model["id"] for model in (await client.get("/models")).json()["data"]] == ["one", "two"]
        assert (await client.get("/health")).json() == {"status": "ok"}


async def test_what_cannot_be_passed_on_is_refused() -> None:
    async with routed("one") as (client, _):
        unknown = await client.post("/chat/completions", json={"model": "three"})
        assert unknown.status_code == 404
        assert "models: one" in unknown.json()["error"]["message"]
        assert (await client.post("/chat/completions", content=b"{")).status_code == 400
        assert (await client.post("/chat/completions", json={"model": ["one"]})).status_code == 404
        assert (await client.post("/chat/completions", content=_chunks())).status_code == 411
        assert (await client.get("/nothing")).status_code == 404


async def test_a_server_that_is_gone_is_said() -> None:
    router = Router()
    router.add("one", "http://127.0.0.1:1")
    port = await router.start("127.0.0.1", 0)
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"http://127.0.0.1:{port}/v1/chat/completions", json={"model": "one"})
    assert answer.status_code == 502
    await router.stop()


async def _chunks() -> AsyncIterator[bytes]:
    yield b'{"model": "one"}'
