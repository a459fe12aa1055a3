"""One run under faults: what it is follows from its seed, what must hold of it whatever happened is checked here."""

import asyncio
import itertools
import os
import random
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from _scripted import unanswered

from agentinfer import Agent, AgentInferError, Limits, Message, Middleware, Model, Run, RunResult, Tool, View, tool
from agentinfer.events import (
    AttemptDiscarded,
    Event,
    ModelCallFinished,
    ModelCallStarted,
    ModelDelta,
    RunFinished,
    StepStarted,
)
from agentinfer.models import RetryPolicy, Timeouts
from agentinfer.tools import ToolContext

from ._endpoint import question
from ._faults import FAULTS
from ._proxy import FaultProxy

__all__ = ["KINDS", "Played", "Scenario", "play", "violations"]

KINDS = ["none", *FAULTS, "mixed"]
"""No fault, one kind of faults, or any."""
TIME_LIMIT = 30.0
"""Seconds; far more than all time-outs of a run together."""
HARMLESS = ("none", "split")
"""Kinds by which nothing is lost: the run has to be answered."""
TIMEOUTS = Timeouts(connect=2.0, first_token=0.4, between_tokens=0.4, call=1.5)
RETRY = RetryPolicy(attempts=3, first_delay=0.005, max_delay=0.02, max_retry_after=0.1, restarts=1)


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """What a run is like."""

    seed: int
    kind: str
    rate: float
    """The share of exchanges that are struck."""
    protocol: str
    transport: Literal["httpx", "httptools"]
    streams: bool
    """Whether replies are streamed."""
    mode: Literal["run", "stream", "cancel", "leave"]
    """Waited for; watched; cancelled midway; watched and left midway."""
    at: int
    """After how many events it is cancelled or left."""
    plugins: tuple[type, ...]
    held: bool
    """Whether the model is open before and after the run."""
    rounds: int
    """Of tool calls."""
    seconds: float | None
    """The run's own limit."""

    @classmethod
    def drawn(cls, seed: int) -> "Scenario":
        """The scenario of a seed; kinds, protocols and transports come in turn."""
        rng = random.Random(seed)
        kind = KINDS[seed % len(KINDS)]
        return cls(
            seed=seed,
            kind=kind,
            rate=rng.choice((0.3, 0.6, 1.0)),
            protocol=("native", "json", "tagged")[seed // 2 % 3],
            transport="httpx" if rng.random() < 0.5 else "httptools",
            streams=rng.random() < 0.75,
            mode=rng.choices(("run", "stream", "cancel", "leave"), (5, 2, 2, 1))[0],
            at=rng.randrange(1, 40),
            plugins=rng.choice(((), (Passing,), (Asking, Busy), (Passing, Failing, Busy))),
            held=rng.random() < 0.5,
            rounds=rng.randrange(4),
            seconds=None if kind in HARMLESS else rng.choice((None, None, 1.0)),
        )

    def fault_of(self, number: int) -> Any:
        """The fault of an exchange."""
        rng = random.Random(f"{self.seed}:{number}")
        if self.kind == "none" or rng.random() >= self.rate:
            return None
        return FAULTS[rng.choice(list(FAULTS)) if self.kind == "mixed" else self.kind]


@dataclass(kw_only=True)
class Played:
    """What came of a scenario."""

    scenario: Scenario
    ending: str = ""
    """`answered` or another reason to stop, the type of an error, or `left` where it was cancelled or left."""
    error: BaseException | None = None
    result: RunResult[Any] | None = None
    log: list[Event | int] = field(default_factory=list)
    """Events, and the numbers of exchanges as they began."""
    ran: list[tuple[str, str]] = field(default_factory=list)
    """The id and the key of every call whose tool was run."""
    seconds: float = 0.0
    exchanges: int = 0
    struck: int = 0
    left_over: list[str] = field(default_factory=list)
    """What was still there after the end."""
    complaints: list[str] = field(default_factory=list)
    """What the event loop had to report."""


async def play(scenario: Scenario, urls: Mapping[str, str]) -> Played:
    """Play a scenario against the endpoint that serves at these base URLs."""
    played = Played(scenario=scenario)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: played.complaints.append(str(context)))
    before = _resources()
    try:
        async with FaultProxy(
            urls[scenario.protocol], seed=scenario.seed, fault_of=scenario.fault_of, on_request=played.log.append
        ) as proxy:
            started = time.perf_counter()
            async with asyncio.timeout(TIME_LIMIT):
                await _run(scenario, proxy.base_url, played)
            played.seconds = time.perf_counter() - started
            played.left_over = await _left_over(proxy.closed, {"tasks": before["tasks"], "threads": before["threads"]})
            played.exchanges, played.struck = proxy.exchanges, proxy.struck
        played.left_over += await _left_over(proxy.closed, before)
    finally:
        loop.set_exception_handler(None)
    return played


async def _run(scenario: Scenario, base_url: str, played: Played) -> None:
    model = Model(
        "m",
        base_url=base_url,
        protocol=scenario.protocol,  # type: ignore[arg-type]
        transport=scenario.transport,
        stream=scenario.streams,
        timeouts=Timeouts() if scenario.kind in HARMLESS else TIMEOUTS,
        retry=RETRY,
    )
    limits = Limits(steps=scenario.rounds + 3, seconds=scenario.seconds)
    agent = Agent(model, tools=_tools(played), plugins=[plugin() for plugin in scenario.plugins], limits=limits)
    asked = question(scenario.seed, scenario.rounds)
    events = itertools.count(1)
    reached = asyncio.Event()

    def observe(event: Event) -> None:
        played.log.append(event)
        if isinstance(event, RunFinished):
            played.result = event.result
        if next(events) == scenario.at:
            reached.set()

    async with AsyncExitStack() as stack:
        if scenario.held:
            await stack.enter_async_context(agent)
        try:
            if scenario.mode == "run":
                await agent.run(asked, on_event=observe)
            elif scenario.mode == "cancel":
                await _cancelled(asyncio.create_task(agent.run(asked, on_event=observe)), reached)
            else:
                async with aclosing(agent.stream(asked)) as stream:
                    async for event in stream:
                        observe(event)
                        if scenario.mode == "leave" and reached.is_set():
                            played.ending = "left"
                            break
        except asyncio.CancelledError:
            played.ending = "left"
        except AgentInferError as error:
            played.ending, played.error = type(error).__name__, error
    if not played.ending and played.result is not None:
        played.error = played.result.error
        played.ending = type(played.error).__name__ if played.error else played.result.stop_reason


async def _cancelled(task: "asyncio.Task[Any]", reached: asyncio.Event) -> None:
    """Cancel a run midway, unless it ends before."""
    waiting = asyncio.create_task(reached.wait())
    await asyncio.wait([task, waiting], return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    task.cancel()
    await asyncio.wait([task, waiting])
    await task


def _resources() -> dict[str, set[Any]]:
    return {
        "tasks": asyncio.all_tasks(),
        "threads": set(threading.enumerate()),
        "descriptors": set(os.listdir("/dev/fd")),
    }


def _more(before: dict[str, set[Any]]) -> list[str]:
    now = _resources()
    return [f"{what}: {now[what] - known}" for what, known in before.items() if now[what] - known]


async def _left_over(closed: Callable[[], Awaitable[None]], before: dict[str, set[Any]]) -> list[str]:
    """What is there now and was not before. Connections and threads take a moment to be gone."""
    try:
        async with asyncio.timeout(10):
            await closed()
            while _more(before):  # noqa: ASYNC110 - nothing tells of a descriptor that is closed
                await asyncio.sleep(0.001)
    except TimeoutError:
        return _more(before) or ["a connection"]
    return []


# Tools and plug-ins


def _tools(played: Played) -> list[Tool]:
    @tool
    async def note(key: str, context: ToolContext) -> str:
        """Note something."""
        played.ran.append((context.call_id, key))
        await asyncio.sleep(0)
        return f"noted {key}"

    @tool
    async def fail(key: str, context: ToolContext) -> str:
        """Fail."""
        played.ran.append((context.call_id, key))
        raise ValueError(key)

    @tool
    def read(key: str, context: ToolContext) -> str:
        """Read something, in a thread."""
        played.ran.append((context.call_id, key))
        time.sleep(0.002)
        return f"read {key}"

    @tool(timeout=0.05)
    async def hang(key: str, context: ToolContext) -> str:
        """Hang."""
        played.ran.append((context.call_id, key))
        await asyncio.Event().wait()
        return ""

    return [note, fail, read, hang]


class Passing:
    """Wraps everything, and changes nothing."""

    @asynccontextmanager
    async def bind(self, run: Run) -> AsyncIterator[Middleware]:
        class Passes(Middleware):
            async def step(self, request: Any, handler: Any) -> Any:
                return await handler(request)

            async def model(self, request: Any, handler: Any) -> Any:
                return await handler(request)

            async def tool(self, call: Any, handler: Any) -> Any:
                return await handler(call)

        yield Passes()


class Failing:
    """Raises now and then, before or after its handler."""

    @asynccontextmanager
    async def bind(self, run: Run) -> AsyncIterator[Middleware]:
        rng = random.Random(run.question)

        async def around(request: Any, handler: Any) -> Any:
            if rng.random() < 0.2:
                raise RuntimeError("before")
            result = await handler(request)
            if rng.random() < 0.2:
                raise RuntimeError("after")
            return result

        class Fails(Middleware):
            async def step(self, request: Any, handler: Any) -> Any:
                return await around(request, handler)

            async def model(self, request: Any, handler: Any) -> Any:
                return await around(request, handler)

            async def tool(self, call: Any, handler: Any) -> Any:
                return await around(call, handler)

        yield Fails()


class Asking:
    """Makes a model call of its own before each step."""

    @asynccontextmanager
    async def bind(self, run: Run) -> AsyncIterator[Middleware]:
        class Asks(Middleware):
            async def step(self, request: Any, handler: Any) -> Any:
                await run.complete(View([Message.user(run.question)]), purpose="ask")
                return await handler(request)

        yield Asks()


class Busy:
    """Works beside the run for as long as it may."""

    @asynccontextmanager
    async def bind(self, run: Run) -> AsyncIterator[Middleware]:
        run.spawn(asyncio.Event().wait())
        yield Middleware()


# What must hold


def violations(played: Played) -> list[str]:
    """What is wrong with how a scenario went: nothing."""
    wrong = [f"left over: {what}" for what in played.left_over]
    wrong += [f"the event loop complains: {what}" for what in played.complaints]
    if not played.ending:
        wrong.append("no ending")
    if not (played.error is None or isinstance(played.error, AgentInferError)):
        wrong.append(f"an error of another type: {played.error!r}")
    for what, twice in (("call", [call_id for call_id, _ in played.ran]), ("key", [key for _, key in played.ran])):
        wrong += [f"the tool of {what} {name} ran twice" for name in {*twice} if twice.count(name) > 1]
    if played.result is not None:
        wrong += _wrong_in_history(played, played.result)
    if played.scenario.mode in ("run", "cancel"):
        wrong += _wrong_in_order(played.log)
    return wrong


def _wrong_in_history(played: Played, result: RunResult[Any]) -> list[str]:
    wrong = unanswered(result.messages)
    asked = {call.id for message in result.messages for call in message.tool_calls}
    wrong += [
        f"the tool of {call_id} ran, and its call is not in the history"
        for call_id, _ in played.ran
        if call_id not in asked
    ]
    wrong += ["an answer that nobody asked for" for message in result.messages if "stale" in message.content]
    if result.answer is None and result.stop_reason == "answered":
        wrong.append("answered without an answer")
    if played.scenario.kind in HARMLESS and played.ending not in ("answered", "left"):
        wrong.append(f"ended with {played.ending} where nothing was lost")
    return wrong


def _wrong_in_order(log: list[Event | int]) -> list[str]:
    """Within a call nothing is sent again once some of a reply was delivered; a new call of the step is announced."""
    wrong, delivered = [], False
    for entry in log:
        if isinstance(entry, ModelDelta):
            delivered = True
        elif isinstance(entry, AttemptDiscarded | ModelCallFinished | StepStarted):
            delivered = False
        elif delivered and isinstance(entry, int | ModelCallStarted):
            wrong.append("asked again after some of the reply had been delivered")
    return wrong
