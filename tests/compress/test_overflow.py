"""What does not fit is shortened at once, and nothing is lost."""

import asyncio
import json
from typing import Any

import pytest
from _agent import (
    STEPS,
    agent_model,
    agent_reply,
    is_notes,
    look_up,
    make_agent,
    notes_reply,
    of_kind,
    record,
    small_model,
)
from _scripted import Wrap, failures, unanswered

from agentinfer import Agent, ContextTooLong, Limits, Message, Run, StepRequest, ToolCall, View, tool
from agentinfer.compress import Compress, Compressed, report
from agentinfer.events import ModelCallFailed, ModelCallStarted
from agentinfer.run import Change
from agentinfer.testing import LoopbackServer, ScriptedModel, ScriptedReply, call, fail, http, say, wait_for

LATE: dict[str, Any] = {"start_tokens": 10**9}
"""Nothing is prepared beside the loop."""


def refusing(limit: int, steps: int = STEPS) -> ScriptedModel:
    """Refuses what is longer than so many characters, as an endpoint does whose window nobody has told of."""

    def reply(body: dict[str, Any]) -> ScriptedReply:
        if len(json.dumps(body["messages"])) > limit:
            return fail(ContextTooLong("too many tokens"))
        return agent_reply(body, steps)

    return ScriptedModel(handler=reply)


async def test_a_refused_prompt_is_shortened_and_sent_again() -> None:
    model = refusing(40_000)
    result = await make_agent(Compress(**LATE), model=model).run("What are the codes of the records?")
    assert result.answer == "done"
    assert not failures(result)
    refused = of_kind(result, ModelCallFailed)
    assert 1 <= len(refused) <= 3
    told = report(result.run)
    reasons = [event.reason for event in of_kind(result, Compressed)]
    assert reasons[0] == "overflow"
    assert told.overflows == reasons.count("overflow")
    assert set(reasons[1:]) <= {"overflow", "window"}, "the window is known from then on"
    assert not unanswered(result.run.view)
    notes = "\n".join(m.content for m in result.run.view if m.role == "assistant" and m.stands_for)
    assert "The code of record 1 is 1001. [look_up, step 1]" in notes
    assert len(result.steps) == STEPS + 1, "no step was made twice"


async def test_what_given_up_notes_took_is_counted() -> None:
    gate = asyncio.Event()

    async def open_at_last(run: Run, call: ToolCall, handler: Any) -> Any:
        if str(STEPS) in call.arguments:
            gate.set()
            await run.tasks.drain()
        return await handler(call)

    small = ScriptedModel(handler=lambda body: wait_for(gate) + notes_reply(body), name="small")
    plugin = Compress(small=small, start_tokens=2_000, turns=60.0)
    agent = make_agent(plugin, Wrap(tool=open_at_last), model=refusing(40_000), slow=False)
    result = await agent.run("What are the codes of the records?")
    assert "overflow" in [event.reason for event in of_kind(result, Compressed)]
    by_purpose = result.run.calls.by_purpose
    assert by_purpose["notes"].total_tokens > 0
    assert report(result.run).spent_tokens == sum(
        by_purpose[name].total_tokens for name in by_purpose if name != "step"
    )


async def test_it_is_bounded() -> None:
    model = ScriptedModel(handler=lambda body: fail(ContextTooLong("too many tokens")))
    result = await make_agent(Compress(**LATE), model=model).run("What are the codes?")
    assert result.stop_reason == "error"
    assert isinstance(result.error, ContextTooLong)
    assert len(model.requests) <= 3
    assert not failures(result)


async def test_one_result_that_is_too_long_keeps_its_beginning_and_its_end() -> None:
    book = "It begins. " + "word " * 30_000 + "It ends."

    @tool(max_chars=10**6)
    async def read() -> str:
        """Read the book."""
        return book

    def reply(body: dict[str, Any]) -> ScriptedReply:
        if len(json.dumps(body["messages"])) > 40_000:
            return fail(ContextTooLong("too many tokens"))
        return say("done") if any(m["role"] == "tool" for m in body["messages"]) else call("read")

    result = await Agent(ScriptedModel(handler=reply), tools=[read], plugins=[Compress(**LATE)]).run("How does it end?")
    assert result.answer == "done"
    (shown,) = [m for m in result.run.view if m.role == "tool"]
    assert shown.content.startswith("It begins.")
    assert shown.content.endswith("It ends.")
    handle = shown.content.partition("full text: ")[2].split()[0]
    assert result.workspace.read(handle, length=10**6) == book


async def test_a_known_window_is_never_passed() -> None:
    """Also where an endpoint would cut the prompt without a word."""
    window = 8_000
    model = agent_model(20, context_window=window)
    agent = make_agent(Compress(small=small_model(), start_tokens=10**9), model=model)
    result = await agent.run("What are the codes of the records?")
    assert result.answer == "done"
    calls = [event for event in of_kind(result, ModelCallStarted) if event.model == "scripted"]
    assert max(event.price.prompt_tokens for event in calls) < window
    assert {event.reason for event in of_kind(result, Compressed)} <= {"window", "overflow"}
    assert of_kind(result, Compressed)[0].reason == "window", "in time, and not at the last moment"
    codes = "\n".join(m.content for m in result.run.view if m.stands_for)
    assert all(f"is {1000 + number}" in codes for number in range(1, 10))


async def test_without_tool_results_there_is_nothing_to_shorten() -> None:
    model = ScriptedModel(handler=lambda body: fail(ContextTooLong("too many tokens")))
    result = await Agent(model, tools=[look_up], plugins=[Compress()]).run("word " * 10_000)
    assert isinstance(result.error, ContextTooLong)
    assert 1 <= len(model.requests) <= 3


async def test_a_view_for_one_step_is_shortened_too() -> None:
    async def hint(run: Run, request: StepRequest, handler: Any) -> Any:
        if request.index > 3:
            request = request.replace(view=View([*request.view, Message.user("Think hard.")]), cause="a hint")
        return await handler(request)

    plugin = Compress(**LATE)
    both: list[list[Any]] = [[plugin, Wrap(step=hint)], [Wrap(step=hint), plugin]]
    for plugins in both:
        model = refusing(40_000)
        result = await Agent(model, tools=[look_up], plugins=plugins, limits=Limits(steps=40)).run("The codes?")
        assert result.answer == "done"
        assert all(body["messages"][-1]["content"] == "Think hard." for body in model.requests[4:])


async def test_against_a_real_connection() -> None:
    def reply(body: dict[str, Any]) -> Any:
        if is_notes(body):
            return say("- The code of record 1 is 1001.")
        if len(json.dumps(body["messages"])) > 40_000:
            return http(400, {"error": {"message": "This model's maximum context length is 9999 tokens"}})
        return agent_reply(body)

    async with LoopbackServer(handler=reply) as server:
        from agentinfer import Model

        model = Model("m", base_url=server.base_url)
        result = await make_agent(Compress(**LATE), model=model).run("What are the codes?")  # type: ignore[arg-type]
    assert result.answer == "done"
    assert report(result.run).overflows >= 1


@pytest.mark.parametrize("notes", ["model", "none"])
async def test_a_resumed_run_finds_what_was_put_away(notes: Any) -> None:
    """The workspace of the first run is gone; the transcript is not."""
    plugin = Compress(small=small_model(), start_tokens=2_000, turns=60.0, notes=notes)
    first = await make_agent(plugin).run("What are the codes?", limits=Limits(steps=STEPS))
    assert of_kind(first, Compressed)
    dump = json.loads(json.dumps(first.run.dump()))
    stubs = [m for m in first.run.view if m.role == "tool" and m.stands_for]
    handle = stubs[0].content.partition("full text: ")[2].rstrip(")")
    del first

    def reply(body: dict[str, Any]) -> ScriptedReply:
        asked = sum("read_result" in json.dumps(m.get("tool_calls") or "") for m in body["messages"])
        return say("done") if asked else call("read_result", handle=handle)

    agent = make_agent(Compress(), model=ScriptedModel(handler=reply))
    result = await agent.run("", resume=dump)
    assert result.answer == "done"
    assert result.steps[0].results[0].content == record(1)
    new = result.workspace.keep(b"more")
    assert new not in {m.content.partition("full text: ")[2].rstrip(")") for m in stubs}
    assert report(result.run).swaps >= 1, "its report goes on"


async def test_what_waits_for_a_break_rides_on_it() -> None:
    async def propose(run: Run, request: StepRequest, handler: Any) -> Any:
        if request.index == 2:
            run.pending["a new guideline"] = Change(view=lambda view: View([Message.system("Be brief."), *view[1:]]))
        return await handler(request)

    agent = make_agent(Compress(**LATE), Wrap(step=propose), model=refusing(40_000))
    result = await agent.run("What are the codes of the records?")
    assert result.answer == "done"
    assert result.run.pending == {}
    assert result.run.view[0].content == "Be brief."
    assert not failures(result)
