"""The user's own SDK client, whichever major version is installed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest

from agentinfer import Agent
from agentinfer.errors import (
    AuthenticationFailed,
    CallTimeout,
    ConnectionFailed,
    ContextTooLong,
    InvalidResponse,
    ModelError,
    RateLimited,
    ServerFailed,
    StreamCut,
    UnknownModel,
    UserError,
)
from agentinfer.models import Delta, Model
from agentinfer.testing import (
    HttpAnswer,
    LoopbackServer,
    ScriptedReply,
    call,
    cut,
    end_early,
    hang,
    http,
    raw,
    reset,
    say,
    think,
    usage,
)

from ._ask import AT_ONCE, ONCE, ask


@pytest.fixture
async def clients() -> AsyncIterator[list[openai.AsyncOpenAI]]:
    made: list[openai.AsyncOpenAI] = []
    yield made
    for client in made:
        await client.close()


def model_for(server: LoopbackServer, clients: list[openai.AsyncOpenAI], **settings: Any) -> Model:
    client = openai.AsyncOpenAI(base_url=server.base_url, api_key="sk-secret-0123456789", max_retries=5)
    clients.append(client)
    return Model("m", client=client, **{"retry": ONCE, **settings})


@pytest.mark.parametrize("stream", [True, False])
async def test_replies(clients: list[openai.AsyncOpenAI], stream: bool) -> None:
    step = think("hm") + say("Hel", "lo") + call("search", query="tides") + usage(100, 10, cached_tokens=90)
    deltas: list[Delta] = []
    async with LoopbackServer(step) as server:
        model = model_for(server, clients, stream=stream)
        completion = await ask(model, deltas=deltas)
    assert completion.text == "Hello"
    assert completion.message.reasoning == "hm"
    assert completion.message.tool_calls[0].arguments == '{"query": "tides"}'
    assert completion.usage.cached_tokens == 90
    assert [delta.text for delta in deltas if delta.text] == (["Hel", "lo"] if stream else ["Hello"])
    assert server.requests[0].get("stream", False) is stream
    assert model.endpoint == server.base_url


async def test_the_body_is_what_the_other_transports_send(clients: list[openai.AsyncOpenAI]) -> None:
    def search(query: str) -> str:
        """Search."""
        return query

    bodies = []
    for over_client in (True, False):
        async with LoopbackServer(call("search", query="x"), say("Hi")) as server:
            model = model_for(server, clients) if over_client else Model("m", base_url=server.base_url)
            await Agent(model, tools=[search]).run("How often is high tide?")
        bodies.append(server.requests)
    assert bodies[0] == bodies[1]


async def test_an_agent_over_the_client(clients: list[openai.AsyncOpenAI]) -> None:
    async with LoopbackServer(say("Hel") + cut(), say("Hello")) as server:
        result = await Agent(model_for(server, clients)).run("?")
    assert (result.answer, result.stop_reason) == ("Hello", "answered")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("step", "kind"),
    [
        (http(401, {"error": {"message": "no"}}), AuthenticationFailed),
        (http(404, {"error": {"message": "no model m"}}), UnknownModel),
        (http(400, {"error": {"message": "maximum context length"}}), ContextTooLong),
        (http(429, {"error": {"message": "slow"}}, headers={"retry-after": "3"}), RateLimited),
        (http(500, "<html>oops</html>"), ServerFailed),
        (http(200, "<html>Welcome</html>"), InvalidResponse),
        (http(200, b"{", headers={"content-type": "application/json"}), InvalidResponse),
        (http(200, b"[" * 100_000, headers={"content-type": "application/json"}), InvalidResponse),
        (http(200, b"data: {oops\n\n", headers={"content-type": "text/event-stream"}), InvalidResponse),
        (http(200, {"error": {"message": "CUDA error"}}), ModelError),
        (raw({"choices": []}), InvalidResponse),
        (raw({"error": {"message": "CUDA error"}}), ServerFailed),
        (cut(), ConnectionFailed),
        (reset(), ConnectionFailed),
    ],
)
async def test_errors_are_ours_and_nothing_is_sent_twice(
    clients: list[openai.AsyncOpenAI], step: ScriptedReply | HttpAnswer, kind: type[ModelError], stream: bool
) -> None:
    async with LoopbackServer(step) as server:
        with pytest.raises(kind) as caught:
            await ask(model_for(server, clients, stream=stream))
        assert len(server.received) == 1
    assert not isinstance(caught.value.__cause__, openai.APIStatusError)  # it may repeat the key
    if kind is RateLimited:
        assert caught.value.retry_after == 3.0


@pytest.mark.parametrize("end", [cut(), end_early(), raw({"error": {"message": "CUDA error"}}), raw("nonsense")])
async def test_a_stream_that_breaks_off(clients: list[openai.AsyncOpenAI], end: ScriptedReply) -> None:
    async with LoopbackServer(say("Hel", "lo") + end) as server:
        with pytest.raises((StreamCut, ServerFailed)) as caught:
            await ask(model_for(server, clients, retry=AT_ONCE))
    assert (caught.value.partial, caught.value.delivered, caught.value.attempts) == ("Hello", True, 1)


async def test_retries_are_the_runtimes(clients: list[openai.AsyncOpenAI]) -> None:
    async with LoopbackServer(http(500, ""), cut(), say("Hi")) as server:
        completion = await ask(model_for(server, clients, retry=AT_ONCE))
    assert completion.attempts == 3


async def test_the_clients_own_time_out(clients: list[openai.AsyncOpenAI]) -> None:
    async with LoopbackServer(say("Hel") + hang()) as server:
        client = openai.AsyncOpenAI(base_url=server.base_url, api_key="sk-secret-0123456789", timeout=0.05)
        clients.append(client)
        with pytest.raises(CallTimeout) as caught:
            await ask(Model("m", client=client, retry=ONCE))
        await server.until(lambda: server.disconnects == 1)
    assert caught.value.partial == "Hel"


async def test_cancelling_closes_the_connection(clients: list[openai.AsyncOpenAI]) -> None:
    async with LoopbackServer(say("Hel") + hang()) as server:
        task = asyncio.create_task(ask(model_for(server, clients)))
        await server.until(lambda: server.answering == 1)
        task.cancel()
        await asyncio.wait([task])
        await server.until(lambda: server.disconnects == 1)


async def test_the_client_stays_open(clients: list[openai.AsyncOpenAI]) -> None:
    async with LoopbackServer(say("Hi"), say("Hi")) as server:
        async with model_for(server, clients) as model:
            await ask(model)
        assert not clients[0].is_closed()
        await ask(model)


def test_a_client_brings_its_own_key() -> None:
    client = openai.AsyncOpenAI(base_url="http://127.0.0.1/v1", api_key="sk-1")
    with pytest.raises(UserError):
        Model("m", client=client, api_key="sk-2")
    with pytest.raises(UserError, match="one of"):
        Model("m", client=client, base_url="http://127.0.0.1/v1")
    with pytest.raises(UserError, match="one of"):
        Model("m")
