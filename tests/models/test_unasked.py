"""What an endpoint sends beyond its answer is no part of it, and not the answer to the next request."""

import asyncio
import contextlib
import json

import pytest

from agentinfer.models import Model

from ._ask import ONCE, TRANSPORTS, Transport, asking


def answer(text: str) -> bytes:
    body = json.dumps({"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}).encode()
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


@pytest.mark.parametrize("surplus", [answer("stale"), b"HTTP/1.1 500 Oops\r\n\r\n", b"\r\ngarbage", b"\0"])
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_more_than_the_answer_costs_the_connection_and_nothing_else(transport: Transport, surplus: bytes) -> None:
    connections = requests = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections, requests
        connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
                await reader.readexactly(int(length.split(b":")[1]))
                requests += 1
                writer.write(answer(f"answer {requests}") + surplus)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with server, Model("m", base_url=url, transport=transport, retry=ONCE) as model:
        texts = [(await model.complete(asking(model))).text for _ in range(3)]
    assert texts == ["answer 1", "answer 2", "answer 3"]
    assert connections == 3


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_connection_that_spoke_unasked_is_closed_when_its_turn_comes(transport: Transport) -> None:
    speak, spoken = asyncio.Event(), asyncio.Event()
    connections: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append((reader, writer))
        await reader.readuntil(b"}]")
        writer.write(answer("Hi"))
        if len(connections) == 1:
            await speak.wait()
            writer.write(b"unasked")
            await writer.drain()
            spoken.set()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with server, Model("m", base_url=url, transport=transport, retry=ONCE) as model:
        await model.complete(asking(model))
        speak.set()
        await spoken.wait()
        for _ in range(5):  # it arrives
            await asyncio.sleep(0)
        assert (await model.complete(asking(model))).text == "Hi"
        assert len(connections) == 2
        with contextlib.suppress(ConnectionResetError):
            await asyncio.wait_for(connections[0][0].read(), 10)
    for _, writer in connections:
        writer.close()
