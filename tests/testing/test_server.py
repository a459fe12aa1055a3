"""The loopback endpoint, asked by a plain HTTP client."""

import asyncio
import json

import httpx
import pytest

from agentinfer.errors import RateLimited
from agentinfer.testing import (
    LoopbackServer,
    ScriptedReply,
    ScriptExhausted,
    StepsUnread,
    call,
    cut,
    fail,
    hang,
    http,
    reset,
    say,
    wait_for,
)

BODY = {"model": "m", "messages": [{"role": "user", "content": "?"}]}


async def post(server: LoopbackServer, *, stream: bool = False) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.post(f"{server.base_url}/chat/completions", json={**BODY, "stream": stream})


async def test_a_whole_answer() -> None:
    async with LoopbackServer(say("Hel", "lo") + call("search", query="x")) as server:
        answer = (await post(server)).json()
    message = answer["choices"][0]["message"]
    assert (answer["object"], message["content"]) == ("chat.completion", "Hello")
    assert json.loads(message["tool_calls"][0]["function"]["arguments"]) == {"query": "x"}
    assert answer["choices"][0]["finish_reason"] == "tool_calls"
    assert answer["usage"]["total_tokens"] > 0


async def test_a_stream() -> None:
    async with LoopbackServer(say("Hel", "lo")) as server:
        response = await post(server, stream=True)
    assert response.headers["content-type"] == "text/event-stream"
    events = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line]
    assert events[-1] == "[DONE]"
    chunks = [json.loads(event) for event in events[:-1]]
    assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks] == ["Hel", "lo", None]
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert not any("usage" in chunk for chunk in chunks)  # nobody asked for it


async def test_models_and_other_paths() -> None:
    async with LoopbackServer(models=("a", "b")) as server, httpx.AsyncClient(base_url=server.base_url) as client:
        assert [model["id"] for model in (await client.get("/models")).json()["data"]] == ["a", "b"]
        assert (await client.get("/nothing")).status_code == 404
        assert (await client.post("/chat/completions", content="no json")).status_code == 400
        assert server.connections == 1
    assert [request.path for request in server.received] == ["/v1/models", "/v1/nothing", "/v1/chat/completions"]


async def test_keys() -> None:
    async with LoopbackServer(say("Hi"), api_key="right") as server:
        assert (await post(server)).status_code == 401
        async with httpx.AsyncClient(headers={"Authorization": "Bearer right"}) as client:
            assert (await client.post(f"{server.base_url}/chat/completions", json=BODY)).status_code == 200


async def test_refusals() -> None:
    refusal = http(429, "slow down", headers={"Retry-After": "2"})
    async with LoopbackServer(refusal, fail(RateLimited("slow", retry_after=3))) as server:
        one, other = await post(server), await post(server)
    assert (one.status_code, one.headers["retry-after"], one.text) == (429, "2", "slow down")
    assert (other.status_code, other.headers["retry-after"]) == (429, "3")


BROKEN = [cut(), reset(), say("Hi") + cut(), say("Hi") + cut(at_byte=10), say("Hi") + cut(at_byte=0)]


@pytest.mark.parametrize("step", BROKEN)
@pytest.mark.parametrize("stream", [True, False])
async def test_broken_connections(step: ScriptedReply, stream: bool) -> None:
    async with LoopbackServer(step) as server:
        try:
            response = await post(server, stream=stream)
        except httpx.TransportError:
            pass
        else:
            pytest.fail(f"an answer: {response.text}")
        await server.until(lambda: server.open_connections == 0)
    assert server.disconnects == 0  # it was the server that left


async def test_a_client_that_leaves() -> None:
    go_on = asyncio.Event()
    async with LoopbackServer(wait_for(go_on) + say("Hi"), hang()) as server:
        for number in (1, 2):
            task = asyncio.create_task(post(server))
            await server.until(lambda: server.answering == 1)
            task.cancel()
            await asyncio.wait([task])
            await server.until(lambda number=number: server.disconnects == number)  # type: ignore[misc]
        assert server.open_connections == 0
    assert server.script.abandoned == 2


async def test_leaving_while_answers_are_due() -> None:
    async with LoopbackServer(hang()) as server:
        task = asyncio.create_task(post(server))
        await server.until(lambda: server.answering == 1)
    with pytest.raises(httpx.TransportError):
        await task
    assert server.open_connections == 0


async def test_scripts_are_checked() -> None:
    with pytest.raises(StepsUnread):
        async with LoopbackServer(say("Hi")):
            pass
    with pytest.raises(ScriptExhausted):
        async with LoopbackServer() as server:
            assert (await post(server)).status_code == 400
    with pytest.raises(ZeroDivisionError):
        async with LoopbackServer(handler=lambda body: say(str(1 / 0))) as server:
            assert (await post(server)).status_code == 400
    server = LoopbackServer(fail(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        async with server:
            await asyncio.gather(post(server), return_exceptions=True)


@pytest.mark.parametrize(
    "request_bytes",
    [b"nonsense\r\n\r\n", b"GET / HTTP/2\r\n\r\n", b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"],
)
async def test_what_is_no_request(request_bytes: bytes) -> None:
    async with LoopbackServer() as server:
        host, port = server.base_url.removeprefix("http://").removesuffix("/v1").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request_bytes)
        assert (await reader.read()).startswith(b"HTTP/1.1 400 ")
        writer.close()
        await writer.wait_closed()


async def test_requests_in_pieces_and_one_after_the_other() -> None:
    body = json.dumps(BODY).encode()
    request = b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    async with LoopbackServer(say("one"), say("two")) as server:
        host, port = server.base_url.removeprefix("http://").removesuffix("/v1").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(request[:30])
        await writer.drain()
        await server.until(lambda: server.open_connections == 1)
        writer.write(request[30:] + request)
        assert b'"one"' in await reader.readuntil(b'"one"')
        assert b'"two"' in await reader.readuntil(b'"two"')
        writer.close()
        await writer.wait_closed()


async def test_an_empty_reply() -> None:
    async with LoopbackServer(ScriptedReply()) as server:
        assert (await post(server)).content == b""
