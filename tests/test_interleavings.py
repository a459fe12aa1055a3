"""The transcript is whole at every moment, in whatever order results, cancellations and time-outs come.

A run is driven one happening at a time, on a loop whose time passes when it is told to.
"""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Sized
from contextlib import asynccontextmanager
from typing import Any

import pytest
from _scripted import call, unanswered
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from agentinfer import Agent, Limits, Message, Middleware, Model, Run, ToolError, tool
from agentinfer.errors import ModelError, ServerFailed, StreamCut
from agentinfer.events import Event, RunFinished
from agentinfer.models import END, Connection, RetryPolicy, Timeouts
from agentinfer.tools import ToolContext

TOOL_SECONDS = 5.0


class Loop(asyncio.SelectorEventLoop):
    """An event loop with a clock of its own, which never waits."""

    def __init__(self) -> None:
        self.now = 0.0
        self._ready: Sized  # what asyncio is about to run
        super().__init__()

    def time(self) -> float:
        return self.now

    def settle(self) -> None:
        """Run until nothing happens by itself any more."""
        quiet = 0
        while quiet < 2:  # a timer that is due becomes ready in one pass, and runs in the next
            quiet = 0 if self._ready else quiet + 1
            self.call_soon(self.stop)
            self.run_forever()


class Endpoint:
    """Answers when it is told to."""

    endpoint = "scripted"

    def __init__(self) -> None:
        self.asked: asyncio.Future[list[Any]] | None = None

    @asynccontextmanager
    async def open(self, timeouts: Timeouts) -> AsyncIterator[Connection]:
        yield self

    async def chunks(self, body: bytes, *, stream: bool) -> AsyncGenerator[Any, None]:
        self.asked = asyncio.get_running_loop().create_future()
        try:
            pieces = await self.asked
        finally:
            self.asked = None
        for piece in pieces:
            if isinstance(piece, ModelError):
                raise piece
            yield piece
        yield END


class Interleavings(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = Loop()
        self.endpoint = Endpoint()
        retry = RetryPolicy(attempts=2, first_delay=1.0, restarts=1)
        timeouts = Timeouts(first_token=20.0, between_tokens=20.0, call=50.0)
        self.model = Model("m", backend=self.endpoint, retry=retry, timeouts=timeouts)
        self.loop.run_until_complete(self.model.__aenter__())
        self.runs: list[Run] = []
        self.finished: list[RunFinished] = []
        self.task: asyncio.Task[Any] | None = None
        self.wrong: list[str] = []
        self.seen: list[Message] = []
        self.started: list[str] = []
        self.working: dict[str, asyncio.Future[str]] = {}
        self.returned: dict[str, str] = {}
        self.number = 0

    def teardown(self) -> None:
        if self.task is not None:
            self.task.cancel()
            self.loop.settle()
            self.whole()
            self.ended()
        self.loop.run_until_complete(self.model.__aexit__())
        self.loop.close()

    # What happens

    @initialize(seconds=st.sampled_from([None, 30.0]), resources=st.booleans())
    def begin(self, seconds: float | None, resources: bool) -> None:
        async def work(number: int, context: ToolContext) -> str:
            """Work until told to stop."""
            assert context.call_id not in self.started
            self.started.append(context.call_id)
            self.working[context.call_id] = asyncio.get_running_loop().create_future()
            try:
                return await self.working[context.call_id]
            finally:
                del self.working[context.call_id]

        tools = [
            tool(name="work", bounded=True, timeout=TOOL_SECONDS)(work),
            tool(name="alone", bounded=True, timeout=TOOL_SECONDS, resources=["desk"] if resources else [])(work),
        ]
        self.agent = Agent(self.model, tools=tools, plugins=[self], limits=Limits(steps=6, seconds=seconds))
        self.go(None)

    @asynccontextmanager
    async def bind(self, run: Run) -> AsyncIterator[Middleware]:
        """As a plug-in: keep the run."""
        self.runs.append(run)
        yield Middleware()

    def go(self, resume: dict[str, Any] | None) -> None:
        def observe(event: Event) -> None:
            if self.runs:  # also in the midst of a step
                self.wrong += unanswered(self.runs[-1].transcript)
            if isinstance(event, RunFinished):
                self.finished.append(event)

        self.task = self.loop.create_task(self.agent.run("q", on_event=observe, resume=resume))
        self.loop.settle()

    @precondition(lambda self: self.endpoint.asked)
    @rule(
        names=st.lists(st.sampled_from(["work", "work", "alone", "nothing"]), max_size=4),
        text=st.sampled_from(["", "so"]),
    )
    def model_replies(self, names: list[str], text: str) -> None:
        """With tool calls, or an answer, or nothing at all."""
        made = []
        for name in names:
            self.number += 1
            made.append(call(name, {"number": self.number}, id="same"))
        self.answer([{"choices": [{"delta": {"content": text, "tool_calls": made}, "finish_reason": "stop"}]}])

    @precondition(lambda self: self.endpoint.asked)
    @rule(text=st.sampled_from(["", "begun"]), cut=st.booleans())
    def model_fails(self, text: str, cut: bool) -> None:
        """Before or after some of its reply had come."""
        begun = (
            [{"choices": [{"delta": {"content": text, "tool_calls": [call("work", {"number": 0})]}}]}] if text else []
        )
        self.answer([*begun, StreamCut("cut") if cut else ServerFailed("failed")])

    @precondition(lambda self: self.working)
    @rule(which=st.integers(0, 9), how=st.sampled_from(["ok", "ok", "error", "defect", "cancelled"]))
    def tool_ends(self, which: int, how: str) -> None:
        """In any order."""
        call_id, future = list(self.working.items())[which % len(self.working)]
        if how == "ok":
            self.returned[call_id] = f"result of {call_id}"
            future.set_result(self.returned[call_id])
        elif how == "cancelled":
            future.cancel()
        else:
            future.set_exception(ToolError("no") if how == "error" else KeyError("no"))
        self.loop.settle()

    @rule(seconds=st.sampled_from([0.5, 2.0, TOOL_SECONDS, 25.0]))
    def time_passes(self, seconds: float) -> None:
        """Past the time-outs of tools, of the model, of the run."""
        self.loop.now += seconds
        self.loop.settle()

    @precondition(lambda self: self.task and not self.task.done())
    @rule(also_ends=st.booleans())
    def cancel(self, also_ends: bool) -> None:
        """Also in the very moment in which a tool ends."""
        if also_ends and self.working:
            next(iter(self.working.values())).set_result("too late, or just in time")
        assert self.task
        self.task.cancel()
        self.loop.settle()
        assert self.task.cancelled()

    @precondition(lambda self: self.task and self.task.done())
    @rule()
    def resume(self) -> None:
        """Go on from what the run dumps."""
        run = self.runs[-1]
        self.go(json.loads(json.dumps(run.dump())))
        assert list(self.runs[-1].transcript)[: len(run.transcript)] == list(run.transcript)

    @precondition(lambda self: self.task and not self.task.done())
    @rule()
    def dump(self) -> None:
        """What is dumped at any moment is whole."""
        data = json.loads(json.dumps(self.runs[-1].dump()))
        assert not unanswered(Message.from_dict(message) for message in data["transcript"])

    def answer(self, pieces: list[Any]) -> None:
        assert self.endpoint.asked
        self.endpoint.asked.set_result(pieces)
        self.loop.settle()

    # What holds

    @invariant()
    def whole(self) -> None:
        """Every call has one result, nothing that was there changes, no result is lost or another call's."""
        history = list(self.runs[-1].transcript) if self.runs else []
        assert not self.wrong + unanswered(history)
        assert history[: len(self.seen)] == self.seen
        self.seen = history
        asked = [one.id for message in history for one in message.tool_calls]
        told = {message.tool_call_id: message.content for message in history if message.role == "tool"}
        assert list(told) == asked  # in order
        for call_id, content in self.returned.items():
            assert told.get(call_id, content) == content

    @invariant()
    def ended(self) -> None:
        """A run that is over has a result, and nothing of it goes on."""
        if self.task is None or not self.task.done():
            return
        assert len(self.finished) == len(self.runs)
        assert not self.working
        assert not asyncio.all_tasks(self.loop)
        asked = {one.id for message in self.runs[-1].transcript for one in message.tool_calls}
        assert asked >= set(self.started)
        assert set(self.returned) <= {message.tool_call_id for message in self.runs[-1].transcript}
        reason = self.finished[-1].result.stop_reason
        assert (reason == "cancelled") == self.task.cancelled()
        if not self.task.cancelled():
            assert self.task.result() is self.finished[-1].result


TestInterleavings = pytest.mark.timeout(300)(Interleavings.TestCase)  # to find the shortest way to a failure takes long
TestInterleavings.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
