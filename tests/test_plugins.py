"""A plug-in never takes the run down."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from _scripted import Script, Wrap, call, calls, failures, model, script_of

from agentinfer import (
    Agent,
    Background,
    BudgetSpent,
    Feedback,
    Limits,
    Message,
    Middleware,
    Model,
    ModelRequest,
    RetryPolicy,
    Run,
    ServerFailed,
    UserError,
    View,
    tool,
)
from agentinfer.events import Event, PluginFailed

Handler = Callable[[Any], Awaitable[Any]]
LAYERS = ["step", "model", "tool"]


@tool(bounded=True)
async def look(at: int) -> str:
    """Look at something."""
    return f"seen {at}"


def agent_with(*plugins: Any, **settings: Any) -> Agent:
    return Agent(model(calls(call("look", {"at": 1})), "done"), tools=[look], plugins=plugins, **settings)


async def test_the_first_plugin_is_the_outermost() -> None:
    order: list[str] = []

    def named(name: str) -> Wrap:
        def at(layer: str) -> Any:
            async def around(run: Run, request: Any, handler: Handler) -> Any:
                order.append(f"{layer} {name}")
                result = await handler(request)
                order.append(f"{layer} /{name}")
                return result

            return around

        return Wrap(step=at("step"), model=at("model"), tool=at("tool"))

    await agent_with(named("a"), named("b")).run("q")
    model_call = ["model a", "model b", "model /b", "model /a"]
    tool_call = ["tool a", "tool b", "tool /b", "tool /a"]
    assert order == [
        *["step a", "step b", *model_call, *tool_call, "step /b", "step /a"],
        *["step a", "step b", *model_call, "step /b", "step /a"],
    ]


@pytest.mark.parametrize("layer", LAYERS)
async def test_raising_before_the_handler(layer: str) -> None:
    async def fail(run: Run, request: Any, handler: Handler) -> Any:
        raise RuntimeError("before")

    result = await agent_with(Wrap(**{layer: fail})).run("q")
    assert result.answer == "done"
    assert result.steps[0].results[0].content == "seen 1"
    assert (layer, "RuntimeError: before") in failures(result)


@pytest.mark.parametrize("layer", LAYERS)
async def test_raising_after_the_handler(layer: str) -> None:
    async def fail(run: Run, request: Any, handler: Handler) -> Any:
        await handler(request)
        raise RuntimeError("after")

    agent = agent_with(Wrap(**{layer: fail}))
    result = await agent.run("q")
    assert (result.answer, len(script_of(agent.model).bodies)) == ("done", 2)
    assert (layer, "RuntimeError: after") in failures(result)


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("wrong", [None, "a text"])
async def test_returning_nothing_or_the_wrong_type(layer: str, wrong: Any) -> None:
    async def forget(run: Run, request: Any, handler: Handler) -> Any:
        await handler(request)
        return wrong

    agent = agent_with(Wrap(**{layer: forget}))
    result = await agent.run("q")
    assert (result.answer, len(script_of(agent.model).bodies)) == ("done", 2)
    assert failures(result)[0][1].startswith("TypeError")


@pytest.mark.parametrize("layer", ["step", "tool"])
async def test_calling_the_handler_twice_runs_nothing_twice(layer: str) -> None:
    ran = 0

    @tool(bounded=True)
    async def count() -> str:
        """Count."""
        nonlocal ran
        ran += 1
        return "counted"

    async def twice(run: Run, request: Any, handler: Handler) -> Any:
        await handler(request)
        return await handler(request)

    agent = Agent(model(calls(call("count")), "done"), tools=[count], plugins=[Wrap(**{layer: twice})])
    result = await agent.run("q")
    assert (result.answer, ran) == ("done", 1)
    assert "twice" in failures(result)[0][1]


async def test_a_model_handler_may_be_called_again() -> None:
    async def again(run: Run, request: ModelRequest, handler: Handler) -> Any:
        try:
            return await handler(request)
        except ServerFailed:
            return await handler(request)

    agent = Agent(model(ServerFailed("once"), "done", retry=RetryPolicy(attempts=1)), plugins=[Wrap(model=again)])
    assert (await agent.run("q")).answer == "done"


@pytest.mark.parametrize("layer", ["step", "model"])
async def test_errors_from_within_pass_through_unchanged(layer: str) -> None:
    error = ServerFailed("gone")
    seen: list[BaseException] = []

    async def watch(run: Run, request: Any, handler: Handler) -> Any:
        try:
            return await handler(request)
        except Exception as raised:
            seen.append(raised)
            raise

    agent = Agent(model(error, retry=RetryPolicy(attempts=1)), plugins=[Wrap(**{layer: watch})])
    result = await agent.run("q")
    assert result.error is error
    assert seen == [error]
    assert failures(result) == []


async def test_an_error_from_within_cannot_be_hidden_by_another() -> None:
    error = ServerFailed("gone")

    async def clumsy(run: Run, request: Any, handler: Handler) -> Any:
        try:
            return await handler(request)
        except ServerFailed:
            raise RuntimeError("while handling") from None

    agent = Agent(model(error, retry=RetryPolicy(attempts=1)), plugins=[Wrap(step=clumsy)])
    assert (await agent.run("q")).error is error


@pytest.mark.parametrize("where", ["bind", "unbind", "no middleware", "no context"])
async def test_a_plugin_that_cannot_be_bound_or_left(where: str) -> None:
    class Broken:
        @asynccontextmanager
        async def bind(self, run: Run) -> AsyncIterator[Any]:
            if where == "bind":
                raise RuntimeError("bind")
            yield None if where == "no middleware" else Middleware()
            if where == "unbind":
                raise RuntimeError("unbind")

    class NoContext:
        def bind(self, run: Run) -> Any:
            return None

    other = Wrap()
    result = await agent_with(NoContext() if where == "no context" else Broken(), other).run("q")
    assert result.answer == "done"
    assert failures(result)[0][0] == ("unbind" if where == "unbind" else "bind")
    assert other.left == 1


async def test_hanging_in_bind_ends_with_the_time_for_steps() -> None:
    class Hangs:
        @asynccontextmanager
        async def bind(self, run: Run) -> AsyncIterator[Middleware]:
            await asyncio.Event().wait()
            yield Middleware()

    result = await agent_with(Hangs(), limits=Limits(seconds=0.3)).run("q")
    assert result.stop_reason == "seconds"
    assert failures(result)[0][0] == "bind"


async def test_hanging_in_unbind_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    class Hangs:
        @asynccontextmanager
        async def bind(self, run: Run) -> AsyncIterator[Middleware]:
            yield Middleware()
            await asyncio.Event().wait()

    monkeypatch.setattr("agentinfer._bind.LEAVE_SECONDS", 0.01)
    result = await agent_with(Hangs()).run("q")
    assert result.answer == "done"
    assert failures(result)[0][0] == "unbind"


@pytest.mark.parametrize("layer", LAYERS)
async def test_hanging_in_a_handler_ends_with_the_time_limit(layer: str) -> None:
    async def hang(run: Run, request: Any, handler: Handler) -> Any:
        await asyncio.Event().wait()

    result = await agent_with(Wrap(**{layer: hang}), limits=Limits(seconds=0.2)).run("q")
    assert result.stop_reason == "seconds"


@pytest.mark.parametrize("layer", ["step", "model"])
async def test_turning_the_time_limit_into_an_error_does_not_stop_it(layer: str) -> None:
    async def hang(number: int) -> None:
        await asyncio.Event().wait()

    async def convert(run: Run, request: Any, handler: Handler) -> Any:
        try:
            return await handler(request)
        except asyncio.CancelledError:
            raise RuntimeError("converted") from None

    agent = Agent(model("x", before=hang), plugins=[Wrap(**{layer: convert})], limits=Limits(seconds=0.2))
    result = await agent.run("q")
    assert result.stop_reason == "seconds"
    assert len(script_of(agent.model).bodies) == 2


async def test_a_step_given_up_by_its_plugin_is_not_made_again_but_the_run_goes_on() -> None:
    async def slow_once(number: int) -> None:
        if number == 1:
            await asyncio.Event().wait()

    async def impatient(run: Run, request: Any, handler: Handler) -> Any:
        async with asyncio.timeout(0.02):
            return await handler(request)

    agent = Agent(model("done", before=slow_once), plugins=[Wrap(step=impatient)])
    result = await agent.run("q")
    assert result.answer == "done"
    assert [step.index for step in result.steps] == [2]


async def test_a_plugin_that_gives_up_every_step_ends_the_run() -> None:
    async def hang(number: int) -> None:
        await asyncio.Event().wait()

    async def impatient(run: Run, request: Any, handler: Handler) -> Any:
        async with asyncio.timeout(0.005):
            return await handler(request)

    agent = Agent(model("x", before=hang), plugins=[Wrap(step=impatient)], limits=Limits(steps=None))
    result = await agent.run("q")
    assert result.stop_reason == "error"
    assert len(script_of(agent.model).bodies) == 3


@pytest.mark.parametrize("layer", LAYERS)
async def test_awaiting_what_somebody_else_cancelled_is_a_failure_like_any_other(layer: str) -> None:
    async def await_cancelled(run: Run, request: Any, handler: Handler) -> Any:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        await future

    result = await agent_with(Wrap(**{layer: await_cancelled})).run("q")
    assert result.answer == "done"
    assert result.steps[0].results[0].content == "seen 1"


async def test_a_request_that_makes_no_sense_is_a_result() -> None:
    async def spoil(run: Run, request: Any, handler: Handler) -> Any:
        return await handler(request.replace(view=None))

    result = await agent_with(Wrap(step=spoil)).run("q")
    assert result.stop_reason == "error"


def test_something_without_bind_is_no_plugin() -> None:
    with pytest.raises(UserError, match="bind"):
        agent_with(object())


@dataclass(frozen=True, kw_only=True)
class StepTimed(Event):
    seconds: float


class Timer:
    @asynccontextmanager
    async def bind(self, run: Run) -> AsyncIterator[Middleware]:
        class Timed(Middleware):
            async def step(self, request: Any, handler: Any) -> Any:
                started = time.perf_counter()
                result = await handler(request)
                run.emit(StepTimed(seconds=time.perf_counter() - started))
                return result

        yield Timed()


async def test_a_plugin_of_ten_lines() -> None:
    result = await agent_with(Timer()).run("q")
    assert len([event for event in result.events if isinstance(event, StepTimed)]) == 2


# Work beside the loop


async def test_work_of_a_run_ends_with_it() -> None:
    ended: list[str] = []
    began = asyncio.Event()

    async def work() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("work")

    async def start(run: Run, request: Any, handler: Handler) -> Any:
        run.spawn(work())
        await began.wait()
        return await handler(request)

    before = asyncio.all_tasks()
    await Agent(model("done"), plugins=[Wrap(step=start)]).run("q")
    assert ended == ["work"]
    assert asyncio.all_tasks() == before


async def test_a_plugin_leaves_when_its_work_has_stopped() -> None:
    order: list[str] = []

    async def work(began: asyncio.Event) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            order.append("work stopped")

    class Works:
        @asynccontextmanager
        async def bind(self, run: Run) -> AsyncIterator[Middleware]:
            began = asyncio.Event()
            run.spawn(work(began))
            await began.wait()
            yield Middleware()
            order.append("plug-in left")

    await agent_with(Works()).run("q")
    assert order == ["work stopped", "plug-in left"]


async def test_work_spawned_at_the_very_end_ends_too() -> None:
    async def work() -> None:
        await asyncio.Event().wait()

    async def late(run: Run, request: Any, handler: Handler) -> Any:
        result = await handler(request)
        run.spawn(work())
        return result

    before = asyncio.all_tasks()
    async with asyncio.timeout(5):
        assert (await Agent(model("done"), plugins=[Wrap(step=late)]).run("q")).answer == "done"
    assert asyncio.all_tasks() == before


async def test_work_that_raises_is_an_event() -> None:
    failed = asyncio.Event()

    async def work() -> None:
        failed.set()
        raise RuntimeError("beside")

    async def start(run: Run, request: Any, handler: Handler) -> Any:
        run.spawn(work(), name="learning")
        await failed.wait()
        await asyncio.sleep(0)
        return await handler(request)

    result = await Agent(model("done"), plugins=[Wrap(step=start)]).run("q")
    assert failures(result) == [("background", "RuntimeError: beside")]


class Learner(Wrap):
    """Learns in the background from each run, with a model call."""

    def __init__(self, gate: asyncio.Event, teacher: Model, **budget: Any) -> None:
        super().__init__()
        self.background = Background("learner", **budget)
        self._gate, self._teacher = gate, teacher
        self.learned: list[str] = []

    @asynccontextmanager
    async def bind(self, run: Run) -> AsyncIterator[Middleware]:
        yield Middleware()
        self.background.spawn(self._learn())

    async def _learn(self) -> None:
        await self._gate.wait()
        request = ModelRequest(model=self._teacher, view=View([Message.user("What was that?")]), purpose="learn")
        self.learned.append((await self.background.calls.make(request)).text)


USAGE = {"prompt_tokens": 10, "completion_tokens": 5}


async def test_background_work_outlives_the_run_and_is_waited_for_and_counted() -> None:
    gate = asyncio.Event()
    learner = Learner(gate, model("a lesson", usage=USAGE))
    agent = Agent(model("done", usage=USAGE), plugins=[learner])
    async with agent:
        await agent.run("q")
        assert learner.learned == []
        assert agent.usage.total_tokens == 15
        gate.set()
    assert learner.learned == ["a lesson"]
    assert agent.usage.total_tokens == 30


async def test_background_work_is_cancelled_where_the_block_fails() -> None:
    learner = Learner(asyncio.Event(), model("a lesson"))
    before = asyncio.all_tasks()

    async def fail() -> None:
        async with Agent(model("done"), plugins=[learner]) as agent:
            await agent.run("q")
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert asyncio.all_tasks() == before


async def test_background_work_has_a_budget_of_its_own() -> None:
    gate = asyncio.Event()
    gate.set()
    learner = Learner(gate, model("a lesson"), tokens=1)
    async with Agent(model("done"), plugins=[learner]) as agent:
        assert (await agent.run("q")).answer == "done"
    (event,) = learner.background.events
    assert isinstance(event, PluginFailed)
    assert "BudgetSpent" in event.error


async def test_a_plugins_own_calls_are_counted_by_purpose() -> None:
    async def ask(run: Run, request: Any, handler: Handler) -> Any:
        await run.complete(View([Message.user("And?")]), purpose="notes")
        return await handler(request)

    result = await Agent(model("done", usage=USAGE), plugins=[Wrap(step=ask)]).run("q")
    assert result.usage.total_tokens == 30
    assert {name: usage.calls for name, usage in result.run.calls.by_purpose.items()} == {"notes": 1, "step": 1}


async def test_a_plugins_call_may_not_use_up_what_the_answer_needs() -> None:
    refused: list[BaseException] = []

    async def greedy(run: Run, request: Any, handler: Handler) -> Any:
        try:
            await run.complete(View([Message.user("long " * 2000)]), purpose="notes")
        except BudgetSpent as error:
            refused.append(error)
        return await handler(request)

    agent = Agent(model("done"), plugins=[Wrap(step=greedy)], limits=Limits(tokens=2000))
    assert (await agent.run("q")).answer == "done"
    assert len(refused) == 1


# One plug-in, many runs


async def test_fifty_runs_of_one_plugin_keep_their_states_apart() -> None:
    class Remembers(Wrap):
        @asynccontextmanager
        async def bind(self, run: Run) -> AsyncIterator[Middleware]:
            class Own(Middleware):
                def __init__(self) -> None:
                    self.views: list[str] = []

                async def step(self, request: Any, handler: Any) -> Any:
                    self.views.append(request.view[0].content)
                    await asyncio.sleep(0)
                    result = await handler(request)
                    assert set(self.views) == {run.question}
                    return result

            own = Own()
            yield own
            assert len(own.views) == 2

    class Echo(Script):
        async def chunks(self, body: bytes, *, stream: bool) -> Any:
            import json

            messages = json.loads(body)["messages"]
            first = len(messages) == 1
            reply = calls(call("look", {"at": 1})) if first else {"content": messages[0]["content"]}
            await asyncio.sleep(0)
            yield {"choices": [{"message": reply, "finish_reason": "stop"}]}

    agent = Agent(Model("m", backend=Echo()), tools=[look], plugins=[Remembers()])
    results = await asyncio.gather(*(agent.run(f"question {number}") for number in range(50)))
    assert [result.answer for result in results] == [f"question {number}" for number in range(50)]
    assert [failures(result) for result in results] == [[]] * 50


async def test_feedback_reaches_the_plugins_after_the_result() -> None:
    class Hears(Wrap):
        heard: list[tuple[str, float, str]] = []  # noqa: RUF012 - one object, one test

        async def feedback(self, run: Run, feedback: Feedback) -> None:
            self.heard.append((run.id, feedback.score, feedback.source))

    class Deaf(Wrap):
        async def feedback(self, run: Run, feedback: Feedback) -> None:
            raise RuntimeError("deaf")

    hears = Hears()
    result = await agent_with(Deaf(), hears).run("q")
    await result.run.feedback(0.5, "user")
    assert hears.heard == [(result.run.id, 0.5, "user")]
    assert failures(result) == [("feedback", "RuntimeError: deaf")]
