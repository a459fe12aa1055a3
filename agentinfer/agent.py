"""An agent: a model, its tools, and what wraps its steps."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, overload

from agentinfer._bind import bind
from agentinfer._loop import Loop, Outcome
from agentinfer._stream import stream_events
from agentinfer.background import Background
from agentinfer.errors import AgentInferError, UserError
from agentinfer.events import Event, LimitReached, RunFinished, RunStarted
from agentinfer.ledger import Ledger
from agentinfer.limits import Limits
from agentinfer.models import Model, Sampling
from agentinfer.output import Output
from agentinfer.repeats import RepeatPolicy
from agentinfer.result import RunResult
from agentinfer.run import DUMP_VERSION, Run
from agentinfer.sessions import Sessions
from agentinfer.step import Middleware, Plugin
from agentinfer.tools import ResourceLocks, Tool, ToolSet, Workspace, read_result
from agentinfer.transcript import Message
from agentinfer.usage import Usage

__all__ = ["Agent"]

T = TypeVar("T")


class Agent:
    """Answers questions in steps: the model thinks, its tools act, the results are observed.

    One agent serves many runs at once. `async with agent` opens its model and waits, at the end, for what its
    plug-ins still do in the background; without it every run opens and closes the model by itself.

    Args:
        model: Who is asked.
        tools: What the model may call: tools, or functions that become tools.
        instructions: What the model is told at the start.
        examples: Messages that come before every question and show how to go about one (few-shot): questions, calls
            with their results, answers. They are written as the model's protocol has it, and stay in the prefix that
            endpoints cache.
        plugins: What wraps the steps, outermost first.
        limits: What one run may spend.
        sampling: How the model is to write; the model's own settings unless given.
        repeats: What to do about identical tool calls.
        workspace: A folder for results too long to show, one folder per run in it; a temporary one unless given.
        ledger: What the endpoints have cached; share one between agents that share endpoints.

    Raises:
        UserError: The arguments do not go together.
    """

    def __init__(
        self,
        model: Model,
        *,
        tools: Iterable[Tool | Callable[..., Any]] = (),
        instructions: str = "",
        examples: Iterable[Message] = (),
        plugins: Iterable[Plugin] = (),
        limits: Limits | None = None,
        sampling: Sampling | None = None,
        repeats: RepeatPolicy | None = None,
        workspace: Path | None = None,
        ledger: Ledger | None = None,
    ) -> None:
        if not isinstance(model, Model):
            raise UserError(f"Agent needs a Model, not {model!r}")
        self.model = model
        self.tools = _with_reader(ToolSet(tools))
        self.instructions = instructions
        self.examples = tuple(examples)
        self.plugins = tuple(plugins)
        self.limits = limits or Limits()
        self.sampling = sampling
        self.repeats = repeats or RepeatPolicy()
        self.ledger = ledger or Ledger()
        """What the endpoints have cached."""
        self._workspace = workspace
        self._locks = ResourceLocks()
        self._sessions = Sessions()
        self._usage = Usage()
        if "final_answer" in self.tools and model.protocol.name == "json":
            raise UserError("A tool cannot be called final_answer: under the JSON protocol that is how a model answers")
        for plugin in self.plugins:
            if not callable(getattr(plugin, "bind", None)):
                raise UserError(f"{plugin!r} is no plug-in: it has no method bind(run)")
        _check_examples(self.examples)
        self._check_limits(self.limits)

    async def __aenter__(self) -> Self:
        await self.model.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        try:
            if exc_type is None:
                await self.drain()
            else:
                await asyncio.gather(*(background.cancel() for background in self._backgrounds()))
        finally:
            await self.model.__aexit__(exc_type, exc_value, traceback)

    @property
    def usage(self) -> Usage:
        """What all runs have spent, and what plug-ins spend in the background."""
        return sum((background.usage for background in self._backgrounds()), self._usage)

    async def drain(self) -> None:
        """Wait for what plug-ins do in the background; `async with agent` does so at its end."""
        for background in self._backgrounds():
            await background.drain()

    @overload
    async def run(
        self,
        question: str,
        *,
        session: str | None = None,
        tenant: str | None = None,
        limits: Limits | None = None,
        on_event: Callable[[Event], None] | None = None,
        resume: Mapping[str, Any] | None = None,
    ) -> RunResult[str]: ...
    @overload
    async def run(
        self,
        question: str,
        *,
        output_type: type[T],
        session: str | None = None,
        tenant: str | None = None,
        limits: Limits | None = None,
        on_event: Callable[[Event], None] | None = None,
        resume: Mapping[str, Any] | None = None,
    ) -> RunResult[T]: ...
    async def run(
        self,
        question: str,
        *,
        output_type: type[Any] = str,
        session: str | None = None,
        tenant: str | None = None,
        limits: Limits | None = None,
        on_event: Callable[[Event], None] | None = None,
        resume: Mapping[str, Any] | None = None,
    ) -> RunResult[Any]:
        """Answer a question.

        Whatever happens on the way, there is a result: `stop_reason` says how the run ended, `error` what ended it.

        Args:
            question: What the user wants.
            output_type: The type of the answer: a string, a pydantic model, or any type pydantic can validate.
            session: The conversation the run belongs to; it sees what was said there before.
            tenant: On whose behalf; nothing that one tenant wrote is ever shown to another.
            limits: What this run may spend, instead of the agent's limits.
            on_event: Told of every event as it happens; must not block.
            resume: What `run.dump()` of an unfinished run gave: go on there. Question, session and tenant are those
                of the dump where they are empty here.

        Raises:
            UserError: The arguments do not go together.
            asyncio.CancelledError: The caller was cancelled; nothing goes on.
        """
        return await self._run(
            question,
            output_type,
            session,
            tenant,
            limits or self.limits,
            on_event,
            resume,
            wants_deltas=on_event is not None,
        )

    def stream(
        self,
        question: str,
        *,
        output_type: type[Any] = str,
        session: str | None = None,
        tenant: str | None = None,
        limits: Limits | None = None,
        resume: Mapping[str, Any] | None = None,
    ) -> AsyncGenerator[Event, None]:
        """Answer a question, and give every event as it happens; the last one is `RunFinished` with the result.

        Leaving the loop early cancels the run (at once with `contextlib.aclosing`). The arguments are those of `run`.

        Raises:
            UserError: The arguments do not go together.
        """
        return stream_events(
            lambda on_event: self._run(
                question, output_type, session, tenant, limits or self.limits, on_event, resume, wants_deltas=True
            )
        )

    def run_sync(self, question: str, **settings: Any) -> RunResult[Any]:
        """`run`, for scripts: owns its event loop, waits for background work, and closes what it opened.

        Args:
            question: What the user wants.
            settings: Further arguments of `run`.

        Raises:
            UserError: There is a running event loop: use `await agent.run(...)` there.
        """
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            pass
        else:
            raise UserError("run_sync cannot be called where an event loop runs: use `await agent.run(...)`")

        async def main() -> RunResult[Any]:
            async with self:
                result: RunResult[Any] = await self.run(question, **settings)
                return result

        return asyncio.run(main())

    async def _run(
        self,
        question: str,
        output_type: type[Any],
        session: str | None,
        tenant: str | None,
        limits: Limits,
        on_event: Callable[[Event], None] | None,
        resume: Mapping[str, Any] | None,
        *,
        wants_deltas: bool,
    ) -> RunResult[Any]:
        self._check_limits(limits)
        if resume is not None:
            question, session, tenant = _resumed(resume, question, session, tenant)
        output = None if output_type is str else Output(output_type)
        async with AsyncExitStack() as stack:
            if session is not None:
                await stack.enter_async_context(self._sessions.turn(tenant, session))
            run = self._make_run(question, session, tenant, limits, on_event, resume, output)
            outcome = Outcome(answer=None, stop_reason="cancelled")
            task = asyncio.current_task()
            cancellations = task.cancelling() if task else 0
            try:
                outcome = await self._drive(run, output, wants_deltas=wants_deltas)
            except UserError as error:
                outcome = Outcome(answer=None, stop_reason="error", error=error)
                raise
            except (Exception, asyncio.CancelledError) as error:  # there is always a result
                if isinstance(error, asyncio.CancelledError) and task and task.cancelling() > cancellations:
                    raise
                outcome = Outcome(answer=None, stop_reason="error", error=_as_ours(error))
            finally:
                self._usage += run.calls.spent
                result: RunResult[Any] = RunResult(
                    answer=outcome.answer,
                    stop_reason=outcome.stop_reason,
                    error=outcome.error,
                    run=run,
                    seconds=run.seconds,
                )
                if outcome.answer is not None and session is not None:
                    self._sessions.save(tenant, session, run.transcript, run.view)
                run.emit(RunFinished(result=result))
            return result

    async def _drive(self, run: Run, output: Output[Any] | None, *, wants_deltas: bool) -> Outcome:
        """Bind the plug-ins, run the loop, leave nothing behind."""
        run.emit(
            RunStarted(
                run_id=run.id,
                question=run.question,
                model=self.model.name,
                session=run.session,
                tenant=run.tenant,
            )
        )
        async with AsyncExitStack() as stack:
            watch = asyncio.timeout(run.limits.seconds)
            try:
                async with watch:
                    await stack.enter_async_context(self.model)
            except TimeoutError:
                if not watch.expired():
                    raise
                run.emit(LimitReached(limit="seconds", answer_kept=False))
                return Outcome(answer=None, stop_reason="seconds")
            stack.push_async_callback(run.tasks.cancel)  # last: nothing outlives the run
            middlewares: list[tuple[str, Middleware]] = []
            for plugin in self.plugins:
                name = type(plugin).__name__
                middleware = await bind(run, plugin, name, stack)
                if middleware is not None:
                    middlewares.append((name, middleware))
            loop = Loop(
                run,
                middlewares,
                output=output,
                locks=self._locks,
                repeats=self.repeats,
                sampling=self.sampling,
                wants_deltas=wants_deltas,
            )
            stack.push_async_callback(run.tasks.cancel)  # first: plug-ins leave when their work has stopped
            return await loop()

    def _make_run(
        self,
        question: str,
        session: str | None,
        tenant: str | None,
        limits: Limits,
        on_event: Callable[[Event], None] | None,
        resume: Mapping[str, Any] | None,
        output: Output[Any] | None,
    ) -> Run:
        run = Run(
            question=question,
            model=self.model,
            tools=self.tools,
            limits=limits,
            ledger=self.ledger,
            session=session,
            tenant=tenant,
            resume=resume,
            observe=on_event,
        )
        directory = self._workspace and self._workspace / run.id
        if session is None:
            run.workspace = Workspace(directory)
        else:
            run.workspace = self._sessions.workspace(tenant, session, lambda: Workspace(directory))
        told = self.instructions or self.model.codec(self.tools, output).preamble
        opening = ([Message.system(self.instructions)] if told else []) + list(self.examples)
        run.opening = len(opening)
        if resume is not None:
            return run
        if session is not None:
            run.restore(*self._sessions.load(tenant, session))
        if not len(run.transcript):
            run.append(*opening)
        run.append(Message.user(question))
        return run

    def _check_limits(self, limits: Limits) -> None:
        if limits.cost is not None and self.model.pricing is None:
            raise UserError("Limits(cost=...) needs a price: give the model pricing=Pricing(input=..., output=...)")

    def _backgrounds(self) -> list[Background]:
        found = (getattr(plugin, "background", None) for plugin in self.plugins)
        return [background for background in found if isinstance(background, Background)]


def _resumed(
    dump: Mapping[str, Any], question: str, session: str | None, tenant: str | None
) -> tuple[str, str | None, str | None]:
    """Question, session and tenant of a run that goes on: as dumped, where nothing else is said."""
    if dump.get("version") != DUMP_VERSION:
        raise UserError("resume= takes what run.dump() gave, of this version of the library")
    return question or dump["question"], session or dump["session"], tenant or dump["tenant"]


def _check_examples(examples: Sequence[Message]) -> None:
    """Endpoints refuse a history in which a call has no result, or a result no call."""
    calls = [call.id for message in examples for call in message.tool_calls]
    results = [message.tool_call_id for message in examples if message.role == "tool"]
    if calls != results or len(set(calls)) < len(calls):
        raise UserError(f"examples need one result for every call, in the same order: calls {calls}, results {results}")


def _as_ours(error: BaseException) -> AgentInferError:
    """What a backend, a protocol or a plug-in's request made go wrong, as the error of a run."""
    if isinstance(error, AgentInferError):
        return error
    ours = AgentInferError(f"{type(error).__name__}: {error}")
    ours.__cause__ = error
    return ours


def _with_reader(tools: ToolSet) -> ToolSet:
    """The tools, and a way to read on where results may be too long to show.

    It is there from the start: a tool that came later would break the prefix.
    """
    if all(tool.bounded for tool in tools.values()) or "read_result" in tools:
        return tools
    return ToolSet([*tools.values(), read_result()])
