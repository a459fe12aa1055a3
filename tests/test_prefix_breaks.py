"""Every prefix break of a run has a named cause."""

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from _scripted import Wrap, call, calls, model, script_of
from conftest import every_prefix_break_has_a_cause

from agentinfer import Agent, Message, Run, ToolSet, View, tool
from agentinfer.events import PrefixBreak, ViewCommitted

SIX = [calls(call("look", {"at": index}), text="thinking " * 200) for index in range(6)]


@tool(bounded=True)
async def look(at: int) -> str:
    """Look at something."""
    return f"seen {at} " * 200


def agent_with(step: Any, **settings: Any) -> Agent:
    return Agent(model(*SIX, "done"), tools=[look], plugins=[Wrap(step=step)], **settings)


def breaks(result: Any) -> list[PrefixBreak]:
    return [event for event in result.events if isinstance(event, PrefixBreak)]


async def test_a_plain_run_breaks_nothing() -> None:
    agent = Agent(model(*SIX, "done"), tools=[look], instructions="Look.")
    assert breaks(await agent.run("q")) == []
    bodies = script_of(agent.model).raw
    for one, other in pairwise(bodies):
        kept = one[: one.index(b'],"tools"')]
        assert other.startswith(kept)


async def test_a_committed_view_is_a_break_with_its_cause() -> None:
    async def compress(run: Run, request: Any, handler: Any) -> Any:
        if request.index == 3:
            notes = Message.user("notes", trust="data")
            run.commit(View([run.transcript[0], notes]), "compressed", covers=len(run.transcript))
            request = request.replace(view=run.view)
        return await handler(request)

    result = await agent_with(compress).run("q")
    (broken,) = breaks(result)
    assert broken.cause == "compressed"
    assert broken.lost_tokens > 100
    assert len([e for e in result.events if isinstance(e, ViewCommitted)]) == 1
    assert len(result.messages) == 14  # the transcript is whole
    assert len(result.run.view) == 2 + 4 * 2 + 1


async def test_two_models_that_alternate_each_name_the_commit() -> None:
    other = model(*SIX, "done", name="other")

    async def alternate(run: Run, request: Any, handler: Any) -> Any:
        if request.index == 5:
            run.commit(View([run.transcript[0], Message.user("notes")]), "compressed", covers=len(run.transcript))
            request = request.replace(view=run.view)
        return await handler(request.replace(model=other) if request.index % 2 else request)

    result = await agent_with(alternate).run("q")
    assert [(event.model, event.cause) for event in breaks(result)] == [
        ("other", "compressed"),
        ("scripted", "compressed"),
    ]


async def test_a_view_for_one_step_is_named_going_and_coming_back() -> None:
    async def once(run: Run, request: Any, handler: Any) -> Any:
        if request.index == 3:
            request = request.replace(view=View([Message.user("only this")]), cause="a fresh look")
        return await handler(request)

    result = await agent_with(once).run("q")
    assert [event.cause for event in breaks(result)] == ["a fresh look", "no longer: a fresh look"]


async def test_another_tool_list_for_one_step_names_itself() -> None:
    async def once(run: Run, request: Any, handler: Any) -> Any:
        return await handler(request.replace(tools=ToolSet()) if request.index == 3 else request)

    result = await agent_with(once).run("q")
    assert [event.cause for event in breaks(result)] == ["the tool list changed"] * 2


@pytest.mark.unnamed_break("an unexplained view, to see that it is noticed")
async def test_a_break_that_nobody_explains_has_no_cause() -> None:
    async def once(run: Run, request: Any, handler: Any) -> Any:
        if request.index == 3:
            request = request.replace(view=View([Message.user("only this")]))
        return await handler(request)

    assert [event.cause for event in breaks(await agent_with(once).run("q"))] == [None, None]


async def test_calls_for_another_purpose_are_no_breaks() -> None:
    async def ask(run: Run, request: Any, handler: Any) -> Any:
        await run.complete(View([Message.user(f"question {request.index}")]), purpose="notes")
        return await handler(request)

    assert breaks(await agent_with(ask).run("q")) == []


@pytest.mark.unnamed_break("made by hand")
def test_the_check_of_all_tests_fails_on_an_unnamed_break() -> None:
    class Node:
        def get_closest_marker(self, name: str) -> None:
            assert name == "unnamed_break"

    class Request:
        node = Node()

    with pytest.MonkeyPatch.context() as patch:
        check: Iterator[None] = every_prefix_break_has_a_cause.__wrapped__(Request(), patch)  # type: ignore[attr-defined]
        next(check)
        run = Run.__new__(Run)
        run.events, run._observe = [], None
        run.emit(PrefixBreak(model="m", purpose="step", cause=None, lost_tokens=1))
        with pytest.raises(AssertionError, match="without a cause"):
            next(check)


async def test_calls_that_stand_alone_do_not_break_with_the_history() -> None:
    """A commit changes what steps send; a call of another purpose does not continue the one before anyway."""

    async def ask(run: Run, request: Any, handler: Any) -> Any:
        await run.complete(View([Message.user(f"{request.index} " * 600)]), purpose="aside")
        if request.index == 3:
            run.commit(View([run.transcript[0], Message.user("notes")]), "compressed", covers=len(run.transcript))
            request = request.replace(view=run.view)
        return await handler(request)

    result = await agent_with(ask).run("q")
    assert {event.purpose for event in breaks(result)} == {"step"}
