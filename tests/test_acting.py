"""Every tool call has exactly one result, whatever happens."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from _scripted import Wrap, call, calls, model, unanswered
from hypothesis import given, settings
from hypothesis import strategies as st

from agentinfer import Agent, Limits, RepeatPolicy, Run, ToolError, ToolResult, tool
from agentinfer.events import Event, RunFinished

HOW = ["ok", "fail", "error", "exit", "spurious", "hang", "wait", "thread", "bad", "unknown"]


def make_tools(reached: Callable[[], None]) -> list[Any]:
    """A tool that ends as it is told to; `reached` hears of each start."""

    @tool(bounded=True, timeout=0.02)
    async def act(how: str, number: int) -> str:
        """Act."""
        reached()
        if how == "fail":
            raise ToolError("no")
        if how == "error":
            raise KeyError(how)
        if how == "exit":
            raise SystemExit(3)
        if how == "spurious":
            raise asyncio.CancelledError
        if how == "hang":
            await asyncio.Event().wait()
        for _ in range(3):
            await asyncio.sleep(0)
        return "done"

    @tool(bounded=True)
    def thread(number: int) -> str:
        """Act in a thread."""
        reached()
        return "done"

    return [act, thread]


def a_call(how: str, number: int) -> dict[str, Any]:
    if how == "unknown":
        return call("fly", {"number": number})
    if how == "bad":
        return call("act", "{")
    if how == "thread":
        return call("thread", {"number": number})
    return call("act", {"how": how, "number": number})


NEVER = RepeatPolicy(nudge_at=None, force_at=None)


def keep_end(finished: list[RunFinished]) -> Callable[[Event], None]:
    """An observer that keeps the last event only."""

    def observe(event: Event) -> None:
        if isinstance(event, RunFinished):
            finished.append(event)

    return observe


STEPS = st.lists(st.lists(st.sampled_from(HOW), min_size=1, max_size=4), min_size=1, max_size=2)


@settings(max_examples=40)
@given(steps=STEPS, cancel_at=st.none() | st.integers(0, 12), middleware=st.sampled_from(["none", "before", "after"]))
async def test_one_result_per_call_for_any_script_and_any_moment_of_cancellation(
    steps: list[list[str]], cancel_at: int | None, middleware: str
) -> None:
    started = 0
    task: asyncio.Task[Any] | None = None

    def reached() -> None:
        nonlocal started
        started += 1
        if cancel_at is not None and started > cancel_at and task is not None:
            loop.call_soon_threadsafe(task.cancel)

    async def around(run: Run, one: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        if middleware == "before":
            raise RuntimeError("before")
        result = await handler(one)
        if middleware == "after":
            raise RuntimeError("after")
        return result

    loop = asyncio.get_running_loop()
    number = iter(range(100))
    replies = [calls(*(a_call(how, next(number)) for how in step)) for step in steps]
    agent = Agent(model(*replies, "done"), tools=make_tools(reached), plugins=[Wrap(tool=around)], repeats=NEVER)
    finished: list[RunFinished] = []
    before = asyncio.all_tasks()
    task = asyncio.create_task(agent.run("q", on_event=keep_end(finished)))
    await asyncio.wait([task])
    run = finished[0].result.run
    assert not unanswered(run.transcript)
    assert asyncio.all_tasks() == before
    if task.cancelled():
        assert finished[0].result.stop_reason == "cancelled"
        at_end = started
        await asyncio.sleep(0.001)
        assert started == at_end
    else:
        assert task.result().answer == "done"
        assert [len(step.results) for step in task.result().steps] == [*map(len, steps), 0]


async def test_parallel_calls_keep_their_order() -> None:
    gate = asyncio.Event()

    @tool(bounded=True)
    async def first() -> str:
        """Waits for the second."""
        await gate.wait()
        return "one"

    @tool(bounded=True)
    async def second() -> str:
        """Lets the first go."""
        gate.set()
        return "two"

    result = await Agent(model(calls(call("first"), call("second")), "done"), tools=[first, second]).run("q")
    assert [r.content for r in result.steps[0].results] == ["one", "two"]


async def test_the_time_limit_stops_what_runs_and_keeps_what_is_done() -> None:
    @tool(bounded=True)
    async def quick() -> str:
        """Quick."""
        return "quick result"

    @tool(bounded=True)
    async def slow() -> str:
        """Slow."""
        await asyncio.Event().wait()
        return "never"

    agent = Agent(model(calls(call("quick"), call("slow")), "done"), tools=[quick, slow], limits=Limits(seconds=0.3))
    result = await agent.run("q")
    assert (result.answer, result.stop_reason) == ("done", "seconds")
    quickly, slowly = (message.content for message in result.messages if message.role == "tool")
    assert quickly == "quick result"
    assert "stopped" in slowly
    assert not unanswered(result.messages)


@pytest.mark.parametrize("where", ["before", "after"])
async def test_a_tool_middleware_that_raises_does_not_cost_the_result(where: str) -> None:
    ran = 0

    @tool(bounded=True)
    async def count() -> str:
        """Count."""
        nonlocal ran
        ran += 1
        return "counted"

    async def around(run: Run, one: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        if where == "after":
            await handler(one)
        raise RuntimeError(where)

    result = await Agent(model(calls(call("count")), "done"), tools=[count], plugins=[Wrap(tool=around)]).run("q")
    assert result.steps[0].results[0].content == "counted"
    assert ran == 1


async def test_a_tool_that_its_middleware_gives_up_is_not_run_twice() -> None:
    ran = 0

    @tool(bounded=True)
    async def slow() -> str:
        """Slow."""
        nonlocal ran
        ran += 1
        await asyncio.Event().wait()
        return ""

    async def impatient(run: Run, one: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        async with asyncio.timeout(0.01):
            return await handler(one)

    result = await Agent(model(calls(call("slow")), "done"), tools=[slow], plugins=[Wrap(tool=impatient)]).run("q")
    assert ran == 1
    assert result.steps[0].results[0].outcome == "failed"
    assert not unanswered(result.messages)


async def test_a_middleware_cannot_give_a_result_to_another_call() -> None:
    @tool(bounded=True)
    async def look() -> str:
        """Look."""
        return "seen"

    async def swap(run: Run, one: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        other = type(one)(id="other", name="look", arguments="{}")
        return ToolResult(call=other, content="swapped")

    result = await Agent(model(calls(call("look")), "done"), tools=[look], plugins=[Wrap(tool=swap)]).run("q")
    assert not unanswered(result.messages)


# Cancellation


async def cancelled_run(agent: Agent, when: asyncio.Event) -> tuple[Any, set[Any]]:
    """Cancel a run once `when` is set; its result, and the tasks it left."""
    finished: list[RunFinished] = []
    before = asyncio.all_tasks()
    task = asyncio.create_task(agent.run("q", on_event=keep_end(finished)))
    await when.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(finished) == 1
    return finished[0].result, asyncio.all_tasks() - before


async def test_cancelling_during_a_model_call() -> None:
    asked = asyncio.Event()

    async def hang(number: int) -> None:
        asked.set()
        await asyncio.Event().wait()

    scripted = model("never", before=hang)
    result, left = await cancelled_run(Agent(scripted), asked)
    assert (result.stop_reason, left) == ("cancelled", set())
    assert scripted.backend.open_count == 0  # type: ignore[attr-defined]


async def test_cancelling_among_parallel_tools() -> None:
    working = asyncio.Event()
    stopped: list[str] = []

    @tool(bounded=True)
    async def quick() -> str:
        """Quick."""
        return "done"

    @tool(bounded=True, resources=["one"])
    async def slow(name: str) -> str:
        """Slow; one at a time."""
        try:
            working.set()
            await asyncio.Event().wait()
        finally:
            stopped.append(name)
        return ""

    made = calls(call("quick"), call("slow", {"name": "a"}), call("slow", {"name": "b"}))
    result, left = await cancelled_run(Agent(model(made, "never"), tools=[quick, slow]), working)
    assert left == set()
    assert stopped == ["a"]  # the other one waited for its turn, and never began
    assert not unanswered(result.run.transcript)
    assert result.run.transcript[2].content == "done"


async def test_cancelling_does_not_wait_for_a_hung_thread() -> None:
    working, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    @tool(bounded=True)
    def hung() -> str:
        """Hung."""
        loop.call_soon_threadsafe(working.set)
        release.wait()
        return ""

    try:
        result, left = await cancelled_run(Agent(model(calls(call("hung")), "x"), tools=[hung]), working)
    finally:
        release.set()
    assert left == set()
    assert not unanswered(result.run.transcript)


@pytest.mark.parametrize("layer", ["step", "model", "tool"])
@pytest.mark.parametrize("makes", ["a result", "an error", "nothing"])
async def test_a_plugin_that_swallows_a_cancellation_does_not_stop_it(layer: str, makes: str) -> None:
    working = asyncio.Event()
    asked = 0

    @tool(bounded=True)
    async def hang() -> str:
        """Hang."""
        working.set()
        await asyncio.Event().wait()
        return ""

    async def before(number: int) -> None:
        nonlocal asked
        asked += 1
        if layer == "model":
            working.set()
            await asyncio.Event().wait()

    kept: list[Any] = []

    async def swallow(run: Run, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        try:
            return await handler(request)
        except asyncio.CancelledError:
            if makes == "an error":
                raise RuntimeError("stopped") from None
            return None if makes == "nothing" else ToolResult(call=request, content="made up")

    agent = Agent(model(calls(call("hang")), "x", before=before), tools=[hang], plugins=[Wrap(**{layer: swallow})])
    result, left = await cancelled_run(agent, working)
    assert (result.stop_reason, left, asked, kept) == ("cancelled", set(), 1, [])


async def test_a_run_may_follow_a_cancellation_its_task_survived() -> None:
    async def through(run: Run, request: Any, handler: Callable[[Any], Awaitable[Any]]) -> Any:
        return await handler(request)

    @tool(bounded=True)
    async def raises() -> str:
        """Raise."""
        raise asyncio.CancelledError

    async def clean_up() -> Any:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            agent = Agent(model(calls(call("raises")), "done"), tools=[raises], plugins=[Wrap(step=through)])
            return await agent.run("q")

    task = asyncio.create_task(clean_up())
    await asyncio.sleep(0)
    task.cancel()
    assert (await task).answer == "done"
