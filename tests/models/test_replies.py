"""Replies over a real connection, streamed and whole."""

import asyncio

import pytest

from agentinfer.models import Delta, RetryPolicy
from agentinfer.testing import (
    LoopbackServer,
    call,
    end_early,
    finish,
    http,
    no_usage,
    raw,
    say,
    think,
    usage,
    wait_for,
)
from agentinfer.tools import ToolSet
from agentinfer.usage import Pricing

from ._ask import TRANSPORTS, Transport, ask, asking, model_at

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS)


@pytest.mark.parametrize("stream", [True, False])
async def test_text_reasoning_and_calls(transport: Transport, stream: bool) -> None:
    step = think("hm") + say("Let me ", "see: 潮汐") + call("search", query="tides") + call("fetch", url="u")
    async with LoopbackServer(step) as server:
        completion = await ask(model_at(server, transport=transport, stream=stream), tools=ToolSet())
    assert completion.text == "Let me see: 潮汐"
    assert completion.message.reasoning == "hm"
    assert [(c.id, c.name, c.arguments) for c in completion.message.tool_calls] == [
        ("call_1_1", "search", '{"query": "tides"}'),
        ("call_1_2", "fetch", '{"url": "u"}'),
    ]
    assert (completion.finish_reason, completion.model, completion.attempts) == ("tool_calls", "m", 1)
    assert server.requests[0].get("stream", False) is stream
    assert (completion.first_token_seconds is not None) is stream


async def test_pieces_arrive_as_they_are_written(transport: Transport) -> None:
    go_on, deltas = asyncio.Event(), list[Delta]()
    async with LoopbackServer(say("Hel") + wait_for(go_on) + say("lo")) as server:

        def take(delta: Delta) -> None:
            deltas.append(delta)
            go_on.set()

        model = model_at(server, transport=transport)
        await model.complete(asking(model), on_delta=take)
    assert [delta.text for delta in deltas] == ["Hel", "lo"]


@pytest.mark.parametrize("stream", [True, False])
async def test_reported_usage(transport: Transport, stream: bool) -> None:
    step = say("Hi") + usage(1000, 20, cached_tokens=900, reasoning_tokens=15)
    async with LoopbackServer(step) as server:
        pricing = Pricing(input=10, output=100, cached_input=1)
        completion = await ask(model_at(server, transport=transport, stream=stream, pricing=pricing))
    spent = completion.usage
    assert (spent.calls, spent.estimated_calls) == (1, 0)
    assert (spent.prompt_tokens, spent.cached_tokens) == (1000, 900)
    assert (spent.completion_tokens, spent.reasoning_tokens) == (20, 15)
    assert spent.cost == pytest.approx((100 * 10 + 900 * 1 + 20 * 100) / 1e6)


@pytest.mark.parametrize("stream", [True, False])
async def test_usage_that_is_not_reported_is_estimated_and_flagged(transport: Transport, stream: bool) -> None:
    async with LoopbackServer(say("word " * 100) + no_usage()) as server:
        completion = await ask(model_at(server, transport=transport, stream=stream), "word " * 1000)
    spent = completion.usage
    assert (spent.calls, spent.estimated_calls, spent.cached_tokens) == (1, 1, None)
    assert 500 < spent.prompt_tokens < 2000
    assert 50 < spent.completion_tokens < 200


async def test_reports_teach_the_counter(transport: Transport) -> None:
    async with LoopbackServer(say("Hi") + usage(77, 1)) as server:
        model = model_at(server, transport=transport)
        await ask(model, "a question")
        assert asking(model, "a question").tokens == 77


async def test_a_json_answer_to_a_request_that_streams(transport: Transport) -> None:
    whole = {"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}
    async with LoopbackServer(http(200, whole)) as server:
        assert (await ask(model_at(server, transport=transport))).text == "Hi"


async def test_a_finish_reason_without_done_is_an_end(transport: Transport) -> None:
    chunk = {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}
    async with LoopbackServer(raw(chunk) + end_early()) as server:
        assert (await ask(model_at(server, transport=transport))).text == "Hi"


async def test_done_without_a_finish_reason_is_an_end(transport: Transport) -> None:
    async with LoopbackServer(raw({"choices": [{"delta": {"content": "Hi"}}]})) as server:
        completion = await ask(model_at(server, transport=transport))
    assert (completion.text, completion.finish_reason) == ("Hi", None)


async def test_a_reply_cut_at_the_token_limit_is_a_problem(transport: Transport) -> None:
    async with LoopbackServer(say("Hel") + finish("length")) as server:
        completion = await ask(model_at(server, transport=transport))
    assert completion.finish_reason == "length"
    assert completion.reply.problem is not None


async def test_connections_are_kept_alive(transport: Transport) -> None:
    async with LoopbackServer(*[say("Hi")] * 5) as server, model_at(server, transport=transport) as model:
        for _ in range(5):
            await ask(model)
        assert server.connections == 1
    assert len(server.requests) == 5


async def test_attempts_count_what_was_sent(transport: Transport) -> None:
    async with LoopbackServer(http(503, "busy"), http(503, "busy"), say("Hi")) as server:
        model = model_at(server, transport=transport, retry=RetryPolicy(first_delay=0.0))
        assert (await ask(model)).attempts == 3
