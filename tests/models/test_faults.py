"""What endpoints do wrong, over both transports."""

import contextlib
import socket
from typing import Any

import pytest

from agentinfer.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    ContextTooLong,
    InvalidResponse,
    ModelError,
    RateLimited,
    RequestRefused,
    ServerFailed,
    StreamCut,
    UnknownModel,
)
from agentinfer.models import Model
from agentinfer.testing import (
    HttpAnswer,
    LoopbackServer,
    ScriptedReply,
    call,
    cut,
    end_early,
    fail,
    http,
    raw,
    reset,
    say,
)

from ._ask import AT_ONCE, ONCE, TRANSPORTS, Transport, ask, model_at

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS)


def closed_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        port: int = bound.getsockname()[1]
        return port


async def failure(transport: Transport, *steps: ScriptedReply | HttpAnswer, **settings: Any) -> ModelError:
    async with LoopbackServer(*steps) as server:
        model = model_at(server, transport=transport, **settings)
        with pytest.raises(ModelError) as caught:
            await ask(model)
    return caught.value


async def test_nobody_listens(transport: Transport) -> None:
    model = Model("m", base_url=f"http://127.0.0.1:{closed_port()}/v1", transport=transport, retry=AT_ONCE)
    with pytest.raises(ConnectionFailed, match=r"127\.0\.0\.1") as caught:
        await ask(model)
    assert caught.value.attempts == 4
    assert not caught.value.delivered


async def test_no_such_host(transport: Transport) -> None:
    model = Model("m", base_url="http://no-such-host.invalid/v1", transport=transport, retry=ONCE)
    with pytest.raises(ConnectionFailed):
        await ask(model)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"error": {"message": "bad field"}}, RequestRefused),
        (400, {"error": {"message": "This model's maximum context length is 8 tokens"}}, ContextTooLong),
        (413, "", ContextTooLong),
        (500, {"error": {"message": "1 validation error: Input should be a valid list"}}, RequestRefused),
        (401, {"error": "who are you?"}, AuthenticationFailed),
        (403, {"detail": "not for you"}, AuthenticationFailed),
        (404, {"error": {"message": "The model `m` does not exist"}}, UnknownModel),
        (422, [1, 2], RequestRefused),
        (307, "", RequestRefused),
        (429, {"error": {"code": "insufficient_quota"}}, RateLimited),
    ],
)
async def test_a_refusal_is_not_sent_again(
    transport: Transport, status: int, body: Any, kind: type[ModelError]
) -> None:
    error = await failure(transport, http(status, body), retry=AT_ONCE)
    assert type(error) is kind
    assert (error.status, error.attempts, error.partial) == (status, 1, "")


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (500, ServerFailed), (503, ServerFailed)])
async def test_busy_endpoints_are_asked_again(transport: Transport, status: int, kind: type[ModelError]) -> None:
    error = await failure(transport, *[http(status, "<html><b>busy</b></html>")] * 4, retry=AT_ONCE)
    assert type(error) is kind
    assert error.attempts == 4
    assert "busy" in str(error)
    assert "<b>" not in str(error)


async def test_the_endpoints_own_words_are_shown(transport: Transport) -> None:
    error = await failure(transport, http(404, {"error": {"message": "The model `m` does not exist"}}))
    assert "The model `m` does not exist" in str(error)
    assert "/v1" in str(error)


async def test_a_long_refusal_is_read_no_further_than_its_start(transport: Transport) -> None:
    error = await failure(transport, http(400, "x" * 1_000_000))
    assert len(str(error)) < 1000


@pytest.mark.parametrize("stream", [True, False])
async def test_html_with_status_200(transport: Transport, stream: bool) -> None:
    step = http(200, "<!doctype html><html>Welcome</html>")
    error = await failure(transport, step, retry=AT_ONCE, stream=stream)
    assert isinstance(error, InvalidResponse)
    assert "HTML" in str(error)
    assert error.attempts == 1


@pytest.mark.parametrize("body", [b"", b"\x00\xff\x01", b'{"choices": [', b"[" * 100_000, b"null", b"[]", b'"hi"'])
@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream"])
async def test_garbage(transport: Transport, body: bytes, content_type: str) -> None:
    error = await failure(transport, http(200, body, headers={"content-type": content_type}))
    assert isinstance(error, InvalidResponse)


async def test_garbage_between_events_is_a_cut_stream(transport: Transport) -> None:
    body = b'data: {"choices": [{"delta": {"content": "Hel"}}]}\n\ndata: {oops\n\n'
    error = await failure(transport, http(200, body, headers={"content-type": "text/event-stream"}), retry=AT_ONCE)
    assert isinstance(error, StreamCut)
    assert error.partial == "Hel"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("body", [{}, {"choices": []}, {"choices": None}, {"object": "error", "message": "no"}])
async def test_empty_choices(transport: Transport, stream: bool, body: dict[str, Any]) -> None:
    error = await failure(transport, raw(body), stream=stream)
    assert isinstance(error, InvalidResponse)


@pytest.mark.parametrize("stream", [True, False])
async def test_an_error_body_under_200(transport: Transport, stream: bool) -> None:
    error = await failure(transport, http(200, {"error": {"message": "CUDA error"}}), stream=stream)
    assert isinstance(error, ServerFailed)
    assert "CUDA error" in str(error)
    assert not error.delivered


@pytest.mark.parametrize("stream", [True, False])
async def test_an_error_body_with_a_code_is_that_error(transport: Transport, stream: bool) -> None:
    error = await failure(transport, raw({"error": {"message": "slow down", "code": 429}}), stream=stream)
    assert isinstance(error, RateLimited)


async def test_an_error_in_the_middle_of_a_stream(transport: Transport) -> None:
    error = await failure(transport, say("Hel") + raw({"error": {"message": "CUDA error"}}), retry=AT_ONCE)
    assert isinstance(error, ServerFailed)
    assert (error.partial, error.delivered, error.attempts) == ("Hel", True, 1)


@pytest.mark.parametrize("end", [cut(), reset(), end_early(), fail(ConnectionFailed("gone"))])
async def test_a_stream_cut_in_the_middle_is_not_sent_again(transport: Transport, end: ScriptedReply) -> None:
    error = await failure(transport, say("Hel", "lo") + end, retry=AT_ONCE)
    assert isinstance(error, StreamCut)
    assert error.delivered
    assert error.attempts == 1
    if end != reset():  # a reset throws away what the client had not read yet
        assert error.partial == "Hello"


async def test_a_stream_cut_in_a_tool_call(transport: Transport) -> None:
    error = await failure(transport, call("search", query="tides") + cut(), retry=AT_ONCE)
    assert isinstance(error, StreamCut)
    assert (error.partial, error.delivered, error.attempts) == ("", True, 1)


@pytest.mark.parametrize("end", [cut(), reset()])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_connection_broken_before_the_reply_is_sent_again(
    transport: Transport, end: ScriptedReply, stream: bool
) -> None:
    async with LoopbackServer(end, say("Hi")) as server:
        completion = await ask(model_at(server, transport=transport, retry=AT_ONCE, stream=stream))
    assert (completion.text, completion.attempts) == ("Hi", 2)


WHOLE_STREAM = 900


@pytest.mark.parametrize("at", [*range(0, WHOLE_STREAM, 37)])
async def test_a_stream_cut_at_any_byte_never_passes_for_whole(transport: Transport, at: int) -> None:
    async with LoopbackServer(say("Hello ", "you") + cut(at_byte=at)) as server:
        model = model_at(server, transport=transport)
        with contextlib.suppress(StreamCut, ConnectionFailed):
            completion = await ask(model)
            assert completion.text == "Hello you"  # cut behind the end, or not at all
            assert completion.finish_reason == "stop"


async def test_a_whole_body_cut_in_the_middle(transport: Transport) -> None:
    error = await failure(transport, say("Hello") + cut(at_byte=50), stream=False)
    assert isinstance(error, ConnectionFailed)
