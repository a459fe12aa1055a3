"""How runs end."""

import asyncio
from typing import Any

import pytest
from _scripted import Script, call, calls, failures, kinds, model, script_of, unanswered

from agentinfer import (
    Agent,
    AgentInferError,
    Limits,
    Model,
    Pricing,
    RepeatPolicy,
    RetryPolicy,
    ServerFailed,
    StreamCut,
    UserError,
    tool,
)
from agentinfer.events import AttemptDiscarded, Event, LimitReached, ModelDelta, RunFinished, StepStarted

LOOK = [calls(call("look", {"at": index})) for index in range(100)]


@tool(bounded=True)
async def look(at: int) -> str:
    """Look at something."""
    return f"seen {at}"


def script(agent: Agent) -> Script:
    return script_of(agent.model)


async def test_an_answer_ends_the_run() -> None:
    result = await Agent(model(LOOK[0], "42"), tools=[look]).run("How many?")
    assert (result.answer, result.stop_reason, len(result.steps)) == ("42", "answered", 2)
    assert [message.role for message in result.messages] == ["user", "assistant", "tool", "assistant"]
    assert kinds(result)[0] == "RunStarted"
    assert kinds(result)[-1] == "RunFinished"


async def test_the_last_step_can_only_answer() -> None:
    agent = Agent(model(LOOK[0], LOOK[1], "enough"), tools=[look], limits=Limits(steps=3))
    result = await agent.run("q")
    assert (result.answer, result.stop_reason) == ("enough", "steps")
    assert [body.get("tool_choice") for body in script(agent).bodies] == [None, None, "none"]
    assert script(agent).bodies[-1]["tools"] == script(agent).bodies[0]["tools"]
    (limit,) = [event for event in result.events if isinstance(event, LimitReached)]
    assert (limit.limit, limit.answer_kept) == ("steps", True)


@pytest.mark.parametrize("steps", [1, 2, 5])
async def test_no_more_steps_than_allowed(steps: int) -> None:
    agent = Agent(model(*LOOK), tools=[look], limits=Limits(steps=steps))
    result = await agent.run("q")
    assert len(script(agent).bodies) == steps
    assert result.stop_reason == "steps"
    assert not unanswered(result.messages)


async def test_a_token_limit_ends_with_an_answer_inside_it() -> None:
    replies = [calls(call("look", {"at": index}), text="x" * 400) for index in range(50)]

    backend = Script(*replies)
    agent = Agent(Model("m", backend=backend), tools=[look], limits=Limits(tokens=6000, steps=None, answer_tokens=200))

    async def before(number: int) -> None:
        if backend.bodies[-1].get("tool_choice") == "none":
            backend.replies[min(number, len(backend.replies)) - 1] = "the answer"

    backend._before = before
    result = await agent.run("q")
    assert (result.answer, result.stop_reason) == ("the answer", "tokens")
    assert result.usage.total_tokens <= 6000
    assert len(result.steps) > 3


async def test_every_call_under_a_token_limit_is_capped() -> None:
    agent = Agent(model("hi"), limits=Limits(tokens=3000))
    await agent.run("q")
    assert script(agent).bodies[0]["max_tokens"] < 3000


async def test_a_cost_limit_ends_with_an_answer_inside_it() -> None:
    pricing = Pricing(input=10.0, output=10.0)
    replies = [calls(call("look", {"at": index}), text="x" * 400) for index in range(5)]
    agent = Agent(
        model(*replies, "the answer", pricing=pricing),
        tools=[look],
        limits=Limits(cost=0.04, steps=6, answer_tokens=50),
    )
    result = await agent.run("q")
    assert result.cost is not None
    assert result.cost <= 0.04
    assert script(agent).bodies[0]["max_tokens"] <= 4000
    assert result.answer == "the answer"


async def test_a_cost_limit_needs_a_price() -> None:
    with pytest.raises(UserError, match="price"):
        Agent(model("hi"), limits=Limits(cost=1.0))


async def test_a_time_limit_ends_with_an_answer() -> None:
    async def before(number: int) -> None:
        if number == 1:
            await asyncio.Event().wait()

    agent = Agent(model("late", before=before), limits=Limits(seconds=0.4, answer_seconds=0.3))
    result = await agent.run("q")
    assert (result.answer, result.stop_reason) == ("late", "seconds")
    assert result.seconds < 0.4


async def test_a_hung_endpoint_is_not_asked_again_and_again() -> None:
    async def hang(number: int) -> None:
        await asyncio.Event().wait()

    agent = Agent(model("never", before=hang), limits=Limits(seconds=0.3))
    result = await agent.run("q")
    assert (result.answer, result.stop_reason) == (None, "seconds")
    assert len(script(agent).bodies) == 2
    assert [event.answer_kept for event in result.events if isinstance(event, LimitReached)] == [True, False]


async def test_what_had_arrived_of_the_last_answer_is_the_answer() -> None:
    class Stalls(Script):
        async def chunks(self, body: bytes, *, stream: bool) -> Any:
            self.bodies.append({})
            yield {"choices": [{"delta": {"content": "half an ans"}}]}
            await asyncio.Event().wait()

    agent = Agent(Model("m", backend=Stalls("")), limits=Limits(seconds=0.3, steps=1))
    result = await agent.run("q")
    assert (result.answer, result.stop_reason) == ("half an ans", "steps")


async def test_a_limit_too_small_for_anything_still_gives_a_result() -> None:
    agent = Agent(model("hi"), limits=Limits(tokens=1))
    result = await agent.run("q")
    assert (result.answer, result.stop_reason) == (None, "tokens")
    assert script(agent).bodies == []


async def test_a_backend_that_cannot_be_opened_is_a_result() -> None:
    class Closed(Script):
        def open(self, timeouts: Any) -> Any:
            raise ServerFailed("nobody there")

    result = await Agent(Model("m", backend=Closed("x"))).run("q")
    assert result.stop_reason == "error"
    assert isinstance(result.error, ServerFailed)


async def test_opening_the_model_counts_as_time() -> None:
    class Slow(Script):
        def open(self, timeouts: Any) -> Any:
            class Opening:
                async def __aenter__(self) -> None:
                    await asyncio.Event().wait()

                async def __aexit__(self, *_: object) -> None: ...

            return Opening()

    result = await Agent(Model("m", backend=Slow("x")), limits=Limits(seconds=0.05)).run("q")
    assert result.stop_reason == "seconds"


async def test_a_model_error_mid_run_keeps_the_work() -> None:
    agent = Agent(model(LOOK[0], ServerFailed("gone"), retry=RetryPolicy(attempts=1)), tools=[look])
    result = await agent.run("q")
    assert (result.answer, result.stop_reason) == (None, "error")
    assert len(result.steps) == 1
    with pytest.raises(ServerFailed):
        result.raise_for_error()


async def test_a_defect_below_is_a_result_with_its_cause() -> None:
    result = await Agent(model(ValueError("boom"))).run("q")
    assert result.stop_reason == "error"
    assert type(result.error) is AgentInferError
    assert isinstance(result.error.__cause__, ValueError)


async def test_an_observer_that_raises_does_not_end_the_run() -> None:
    def observe(event: Event) -> None:
        raise RuntimeError("cannot print")

    result = await Agent(model(LOOK[0], "done"), tools=[look]).run("q", on_event=observe)
    assert result.answer == "done"
    assert failures(result) == [("on_event", "RuntimeError: cannot print")]


async def test_a_reply_that_broke_off_is_asked_for_again() -> None:
    class Breaks(Script):
        async def chunks(self, body: bytes, *, stream: bool) -> Any:
            if not self.bodies:
                self.bodies.append({})
                yield {"choices": [{"delta": {"content": "hal"}}]}
                raise StreamCut("cut")
            async for chunk in super().chunks(body, stream=stream):
                yield chunk

    seen: list[Event] = []
    result = await Agent(Model("m", backend=Breaks("", "whole"))).run("q", on_event=seen.append)
    assert result.answer == "whole"
    order = [type(e) for e in seen if isinstance(e, ModelDelta | AttemptDiscarded)]
    assert order == [ModelDelta, AttemptDiscarded, ModelDelta]
    assert [e.attempt for e in seen if isinstance(e, ModelDelta)] == [1, 2]
    assert result.usage.calls == 2  # what broke off was paid for


# Replies that cannot be used


@pytest.mark.parametrize("bad", ["", {"content": "", "reasoning_content": "hm"}])
async def test_an_empty_reply_is_told_and_bounded(bad: Any) -> None:
    agent = Agent(model(bad, bad, bad, "fine"), tools=[look])
    result = await agent.run("q")
    assert (result.answer, result.stop_reason) == ("fine", "malformed_replies")
    assert "empty" in script(agent).bodies[1]["messages"][-1]["content"]


async def test_a_cut_off_reply_is_told() -> None:
    agent = Agent(model("half", "whole", finish=["length"]))
    result = await agent.run("q")
    assert result.answer == "whole"
    assert "cut off" in script(agent).bodies[1]["messages"][-1]["content"]


async def test_malformed_arguments_go_back_to_the_model_a_bounded_number_of_times() -> None:
    bad = [calls(call("look", {"at": f"word {index}"})) for index in range(9)]
    agent = Agent(model(*bad[:3], "sorry"), tools=[look])
    result = await agent.run("q")
    assert (result.answer, result.stop_reason) == ("sorry", "malformed_replies")
    assert [r.outcome for step in result.steps for r in step.results] == ["bad_arguments"] * 3
    assert "schema" in script(agent).bodies[1]["messages"][-1]["content"]


async def test_a_good_call_between_forgives_malformed_ones() -> None:
    bad = [calls(call("look", {"at": f"word {index}"})) for index in range(9)]
    agent = Agent(model(bad[0], bad[1], LOOK[0], bad[2], bad[3], "fine"), tools=[look])
    assert (await agent.run("q")).stop_reason == "answered"


async def test_unknown_tools_are_named_to_the_model() -> None:
    agent = Agent(model(calls(call("fly")), "ok"), tools=[look])
    result = await agent.run("q")
    assert result.steps[0].results[0].outcome == "unknown_tool"
    assert "look" in result.messages[2].content


async def test_a_model_that_calls_tools_when_it_has_to_answer_ends_all_the_same() -> None:
    """Three calls that cannot be read force an answer; two more replies that only call tools end the run."""
    bad = [calls(call("look", {"at": "word"}))] * 3
    policy = RepeatPolicy(nudge_at=None, force_at=None)
    agent = Agent(model(*bad, *LOOK), tools=[look], repeats=policy)
    result = await agent.run("q")
    assert (result.answer, result.stop_reason, len(result.steps)) == (None, "malformed_replies", 5)
    assert [r.outcome for step in result.steps[3:] for r in step.results] == ["cancelled"] * 2
    assert "ToolStarted" not in kinds(result)[-8:]
    assert not unanswered(result.messages)


# Repeats


async def test_a_repeated_call_is_nudged_then_forced() -> None:
    agent = Agent(model(*[LOOK[1]] * 3, "I give up"), tools=[look])
    result = await agent.run("q")
    outcomes = [r.outcome for step in result.steps for r in step.results]
    assert outcomes == ["ok", "repeated", "repeated"]
    assert (result.answer, result.stop_reason) == ("I give up", "repeated_calls")
    assert kinds(result).count("Nudged") == 2
    assert script(agent).bodies[-1]["tool_choice"] == "none"


async def test_a_failed_call_may_be_tried_again() -> None:
    tries = 0

    @tool(bounded=True)
    async def flaky(at: int) -> str:
        """Look."""
        nonlocal tries
        tries += 1
        if tries < 3:
            raise OSError("not yet")
        return "now"

    result = await Agent(model(*[calls(call("flaky", {"at": 1}))] * 3, "done"), tools=[flaky]).run("q")
    assert [r.outcome for step in result.steps for r in step.results] == ["failed", "failed", "ok"]
    assert result.stop_reason == "answered"


async def test_a_repeatable_tool_may_repeat() -> None:
    @tool(bounded=True, repeatable=True)
    async def clock() -> str:
        """The time."""
        return "noon"

    result = await Agent(model(*[calls(call("clock"))] * 6, "done"), tools=[clock]).run("q")
    assert {r.outcome for step in result.steps for r in step.results} == {"ok"}
    assert result.answer == "done"


async def test_repeats_can_be_switched_off() -> None:
    policy = RepeatPolicy(nudge_at=None, force_at=None)
    result = await Agent(model(*[LOOK[1]] * 6, "done"), tools=[look], repeats=policy).run("q")
    assert {r.outcome for step in result.steps for r in step.results} == {"ok"}


async def test_call_ids_are_unique_whatever_the_endpoint_sends() -> None:
    made = calls(call("look", {"at": 1}, id="a"), call("look", {"at": 2}, id="a"), call("look", {"at": 3}))
    result = await Agent(model(made, calls(call("look", {"at": 4}, id="a")), "done"), tools=[look]).run("q")
    assert not unanswered(result.messages)


async def test_events_come_in_order() -> None:
    result = await Agent(model(LOOK[0], "done"), tools=[look]).run("q")
    assert kinds(result) == [
        *["RunStarted", "StepStarted", "ModelCallStarted", "ModelCallFinished", "ToolStarted", "ToolFinished"],
        *["StepFinished", "StepStarted", "ModelCallStarted", "ModelCallFinished", "StepFinished", "RunFinished"],
    ]
    assert [event.step for event in result.events if isinstance(event, StepStarted)] == [1, 2]
    last = result.events[-1]
    assert isinstance(last, RunFinished)
    assert last.result is result
    assert all(event.to_dict()["kind"] == event.kind for event in result.events)
