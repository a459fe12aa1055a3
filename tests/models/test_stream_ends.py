"""How streams end, and whether their connections can be used again."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from unittest.mock import Mock

import pytest

from agentinfer.errors import ServerFailed
from agentinfer.models import Model, Timeouts
from agentinfer.models._httptools import _Wire

from ._ask import ONCE, TRANSPORTS, Transport, asking

EVENTS = [
    {"choices": [{"delta": {"content": "Hi"}}]},
    {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3, "completion_tokens": 1}},
]
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
Ending = Callable[[asyncio.StreamWriter], Awaitable[None]]


def chunk(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


async def served(
    ending: Ending, transport: Transport, calls: int, end_seconds: float, patch: pytest.MonkeyPatch
) -> int:
    """Ask a server that ends its streams in this way; how many connections it saw."""
    patch.setattr("agentinfer.models._answer.END_SECONDS", end_seconds)
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
                await reader.readexactly(int(length.split(b":")[1]))
                body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in EVENTS)
                writer.write(HEAD + chunk(body + b"data: [DONE]\n\n"))
                await writer.drain()
                await ending(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with (
        server,
        Model("m", base_url=f"http://127.0.0.1:{port}/v1", transport=transport, timeouts=Timeouts(call=20)) as model,
    ):
        for _ in range(calls):
            assert (await model.complete(asking(model, "Hello"))).text == "Hi"
    return connections


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_end_that_comes_late_leaves_the_connection_usable(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def late(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0)  # a packet of its own
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    assert await served(late, transport, 3, 10.0, monkeypatch) == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_end_that_never_comes_costs_the_connection_and_little_time(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(writer: asyncio.StreamWriter) -> None:
        del writer

    assert await served(never, transport, 2, 0.01, monkeypatch) == 2


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_long_refusal_leaves_the_next_call_unharmed(transport: Transport) -> None:
    """Of a refusal only the beginning is read, however many pieces have arrived."""
    refusal = b"HTTP/1.1 500 Oops\r\ntransfer-encoding: chunked\r\n\r\n" + chunk(b"x" * 250) * 300 + b"0\r\n\r\n"
    fine = json.dumps({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}).encode()
    answers = [refusal, b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(fine) + fine]

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
                await reader.readexactly(int(length.split(b":")[1]))
                writer.write(answers.pop(0))
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    settings = {"transport": transport, "retry": ONCE, "timeouts": Timeouts(call=10)}
    async with server, Model("m", base_url=url, **settings) as model:  # type: ignore[arg-type]
        with pytest.raises(ServerFailed):
            await model.complete(asking(model))
        assert (await model.complete(asking(model))).text == "Hi"


def test_a_connection_that_was_made_to_wait_reads_again_for_the_next_call() -> None:
    transport = Mock(asyncio.Transport)
    transport.is_reading.return_value = False
    wire = _Wire()
    wire.connection_made(transport)

    wire.send(b"", b"")

    transport.resume_reading.assert_called_once()
