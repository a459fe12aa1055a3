"""Models that answer from a script."""

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from agentinfer import Agent
from agentinfer.errors import CallTimeout, ConnectionFailed, InvalidResponse, RateLimited, StreamCut, UserError
from agentinfer.models import Delta, Model, ModelRequest, RetryPolicy, Timeouts
from agentinfer.testing import (
    ScriptedModel,
    ScriptedReply,
    ScriptError,
    ScriptExhausted,
    StepsUnread,
    call,
    cut,
    delay,
    end_early,
    fail,
    finish,
    hang,
    http,
    no_usage,
    raw,
    say,
    think,
    usage,
    wait_for,
)
from agentinfer.transcript import Message, View

PROTOCOLS = ("native", "json", "tagged")


def search(query: str) -> str:
    """Search."""
    return f"found {query}"


def asking(model: Model, text: str = "?") -> ModelRequest:
    return ModelRequest(model=model, view=View([Message.user(text)]))


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_run_by_the_script(protocol: str, stream: bool) -> None:
    steps = (say("I look ", "it up.") + call("search", query="潮汐 \"'\n"), say("Twice ", 'a "day"'))
    with ScriptedModel(*steps, protocol=protocol, stream=stream) as model:
        result = await Agent(model, tools=[search]).run("How often?")
    assert (result.answer, result.stop_reason) == ('Twice a "day"', "answered")
    assert result.steps[0].message.content == "I look it up."
    assert result.steps[0].results[0].content == "found 潮汐 \"'\n"
    assert result.usage.estimated_calls == 0
    assert "How often?" in str(model.requests[0]["messages"])
    assert len(model.bodies) == 2


@pytest.mark.parametrize("protocol", ["native", "tagged"])
async def test_several_calls_in_one_reply(protocol: str) -> None:
    steps = (call("search", query="a") + call("search", query="b"), say("Done"))
    with ScriptedModel(*steps, protocol=protocol) as model:
        result = await Agent(model, tools=[search]).run("?")
    assert [r.content for r in result.steps[0].results] == ["found a", "found b"]


async def test_the_json_protocol_has_one_call_per_reply() -> None:
    model = ScriptedModel(call("a") + call("b"), protocol="json")
    with pytest.raises(ScriptError, match="one call"):
        await model.complete(asking(model))


class Tide(BaseModel):
    """A tide."""

    height: float


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_structured_answers(protocol: str) -> None:
    with ScriptedModel(say('{"height": 1.5}'), protocol=protocol) as model:
        result = await Agent(model).run("?", output_type=Tide)
    assert result.answer == Tide(height=1.5)


async def test_malformed_arguments() -> None:
    with ScriptedModel(call("search", "[1]"), say("Sorry")) as model:
        result = await Agent(model, tools=[search]).run("?")
    assert result.steps[0].results[0].outcome == "bad_arguments"


async def test_more_calls_than_steps() -> None:
    model = ScriptedModel(say("Hi"))
    await model.complete(asking(model))
    with pytest.raises(ScriptExhausted, match="Call 2 of a script of 1"):
        await model.complete(asking(model))
    with pytest.raises(ScriptExhausted):
        model.assert_complete()


async def test_fewer_calls_than_steps() -> None:
    with pytest.raises(StepsUnread, match="1 of 2"), ScriptedModel(say("Hi"), say("there")) as model:
        await model.complete(asking(model))
    assert issubclass(StepsUnread, AssertionError)


async def test_another_error_is_not_hidden_by_unread_steps() -> None:
    with pytest.raises(ZeroDivisionError), ScriptedModel(say("Hi")):
        raise ZeroDivisionError


async def test_steps_made_of_the_request() -> None:
    def answer(body: dict[str, Any]) -> ScriptedReply:
        return say(body["messages"][-1]["content"].upper())

    with ScriptedModel(answer, say("b")) as model:
        assert (await model.complete(asking(model, "a"))).text == "A"
        assert (await model.complete(asking(model, "a"))).text == "b"
    endless = ScriptedModel(handler=answer)
    assert [(await endless.complete(asking(endless, text))).text for text in "xyz"] == ["X", "Y", "Z"]
    endless.assert_complete()


async def test_an_assertion_in_a_step_is_the_tests() -> None:
    def refuse(body: dict[str, Any]) -> ScriptedReply:
        raise AssertionError("not this")

    model = ScriptedModel(refuse)
    with pytest.raises(AssertionError, match="not this"):
        await model.complete(asking(model))
    with pytest.raises(AssertionError, match="not this"):
        model.assert_complete()


async def test_errors_and_retries() -> None:
    with ScriptedModel(http(429, "slow"), fail(ConnectionFailed("gone")), say("Hi")) as model:
        assert (await model.complete(asking(model))).attempts == 3
    once = RetryPolicy(attempts=1)
    for step, kind in (
        (http(429, "slow"), RateLimited),
        (http(200, "<html>"), InvalidResponse),
        (raw({"choices": []}), InvalidResponse),
        (say("x") + cut(), StreamCut),
        (say("x") + end_early(), StreamCut),
        (cut(), ConnectionFailed),
        (fail(KeyError("x")), KeyError),
    ):
        model = ScriptedModel(step, retry=once)
        with pytest.raises(kind):
            await model.complete(asking(model))


async def test_waiting() -> None:
    event, began, deltas = asyncio.Event(), asyncio.Event(), list[Delta]()

    def take(delta: Delta) -> None:
        deltas.append(delta)
        began.set()

    with ScriptedModel(say("Hel") + wait_for(event) + delay(0) + say("lo")) as model:
        task = asyncio.create_task(model.complete(asking(model), on_delta=take))
        await began.wait()
        assert not task.done()
        event.set()
        assert (await task).text == "Hello"
    assert [delta.text for delta in deltas] == ["Hel", "lo"]
    assert model.abandoned == 0


async def test_replies_that_are_left() -> None:
    model = ScriptedModel(hang(), timeouts=Timeouts(first_token=0.01), retry=RetryPolicy(attempts=1))
    with pytest.raises(CallTimeout):
        await model.complete(asking(model))
    assert model.abandoned == 1
    began = asyncio.Event()
    model = ScriptedModel(say("Hel") + hang())
    task = asyncio.create_task(model.complete(asking(model), on_delta=lambda delta: began.set()))
    await began.wait()
    task.cancel()
    await asyncio.wait([task])
    assert model.abandoned == 1


async def test_what_is_reported() -> None:
    steps = (think("hm") + say("Hi") + usage(10, 5, cached_tokens=8) + finish("length"), say("Hi") + no_usage())
    with ScriptedModel(*steps) as model:
        first, second = [await model.complete(asking(model)) for _ in range(2)]
    assert (first.usage.prompt_tokens, first.usage.cached_tokens, first.finish_reason) == (10, 8, "length")
    assert first.message.reasoning == "hm"
    assert second.usage.estimated_calls == 1


def test_what_is_no_script() -> None:
    with pytest.raises(UserError, match="no step"):
        ScriptedModel("Hi")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="not both"):
        ScriptedModel(say("Hi"), handler=lambda body: say("Hi"))


def test_scripts_are_endpoints_of_their_own() -> None:
    assert ScriptedModel().endpoint != ScriptedModel().endpoint


def test_one_model_on_two_event_loops() -> None:
    model = ScriptedModel(say("a"), say("b"))
    assert [asyncio.run(model.complete(asking(model))).text for _ in range(2)] == ["a", "b"]
