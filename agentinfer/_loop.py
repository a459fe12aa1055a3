"""The loop of one run."""

import asyncio
import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from agentinfer import _words as words
from agentinfer._act import act
from agentinfer.errors import AgentInferError, CallTimeout, ModelError
from agentinfer.events import (
    AttemptDiscarded,
    Forced,
    LimitReached,
    ModelDelta,
    Nudged,
    StepFinished,
    StepStarted,
    ToolFinished,
    ToolStarted,
)
from agentinfer.limits import Forecast, Spent, completion_cap, judge
from agentinfer.models import Completion, Delta, ModelRequest, Sampling
from agentinfer.output import Output
from agentinfer.protocol import RawReply
from agentinfer.repeats import RepeatPolicy, Repeats
from agentinfer.run import Run, StopReason
from agentinfer.step import GivenUp, Middleware, StepRequest, StepResult, wrap
from agentinfer.tools import ResourceLocks, ToolContext, ToolResult, execute
from agentinfer.transcript import Message, ToolCall

__all__ = ["Loop", "Outcome"]

MALFORMED_IN_A_ROW = 3
"""Replies that cannot be used, one after the other, until the model has to answer; and answers that do not fit."""
ANSWER_TRIES = 2
"""How often the model is asked for an answer when it must give one."""


GIVEN_UP = 3
"""Steps that plug-ins may stop at work before the run ends."""
EARLIER = 0.05
"""Seconds by which a model call is stopped before its step, so that what had arrived is kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a loop ended."""

    answer: Any
    stop_reason: StopReason
    error: AgentInferError | None = None


class Loop:
    """Runs the steps of one run.

    Args:
        run: The run.
        middlewares: The name and the middleware of each plug-in, outermost first.
        output: The type of the answer, where it is not text.
        locks: What serialises tools that share a resource.
        repeats: What to do about calls that repeat.
        sampling: How the model is to write.
        wants_deltas: Whether anybody listens to replies as they stream in.
    """

    def __init__(
        self,
        run: Run,
        middlewares: Sequence[tuple[str, Middleware]],
        *,
        output: Output[Any] | None,
        locks: ResourceLocks,
        repeats: RepeatPolicy,
        sampling: Sampling | None,
        wants_deltas: bool,
    ) -> None:
        self._run = run
        self._output = output
        self._locks = locks
        self._repeats = Repeats(repeats)
        self._sampling = sampling
        self._wants_deltas = wants_deltas
        self._call_ids: set[str] = {call.id for message in run.transcript for call in message.tool_calls}
        self._forced: StopReason | None = None
        self._told = False
        self._malformed = 0
        self._unfit = 0
        self._answer_tries = 0
        self._given_up = 0
        """Steps that plug-ins stopped at work."""
        self._step_tokens = 256.0
        self._deadline: float | None = None
        """The loop's time at which the current step has to be over."""
        self._step = wrap(
            [(n, m.step) for n, m in middlewares if type(m).step is not Middleware.step],
            self._make_step, StepResult, once=True, failed=lambda n, e: run.plugin_failed(n, "step", e),
        )  # fmt: skip
        self._model = wrap(
            [(n, m.model) for n, m in middlewares if type(m).model is not Middleware.model],
            self._make_model_call, Completion, once=False, failed=lambda n, e: run.plugin_failed(n, "model", e),
        )  # fmt: skip
        self._tool = wrap(
            [(n, m.tool) for n, m in middlewares if type(m).tool is not Middleware.tool],
            self._make_tool_call, ToolResult, once=True, failed=lambda n, e: run.plugin_failed(n, "tool", e),
        )  # fmt: skip

    async def __call__(self) -> Outcome:
        """Step until there is an answer, or nothing left to spend."""
        while True:
            spent, forecast = self._spent(), self._forecast()
            verdict = judge(self._run.limits, spent, forecast)
            if verdict.action == "stop":
                assert verdict.limit is not None
                self._run.emit(LimitReached(limit=verdict.limit, answer_kept=False))
                return Outcome(answer=None, stop_reason=self._forced or verdict.limit)
            if verdict.action == "answer" and self._forced is None:
                assert verdict.limit is not None
                self._run.emit(LimitReached(limit=verdict.limit, answer_kept=True))
                self._forced = verdict.limit
            outcome = await self._next()
            if outcome is not None:
                return outcome

    async def _next(self) -> Outcome | None:
        """One step, and what it means for the run."""
        run = self._run
        if self._forced and not self._told:
            self._told = True
            run.append(Message.user(words.answer_now(self._forced)))
        request = StepRequest(
            index=self._spent().steps + 1,
            model=run.model,
            view=run.view,
            tools=run.tools,
            output=self._output,
            choice="none" if self._forced else "auto",
            sampling=self._capped(self._spent(), self._forecast()),
        )
        run.emit(StepStarted(step=request.index, answer_only=request.choice == "none"))
        before = len(run.transcript)
        self._set_deadline()
        watch = asyncio.timeout_at(self._deadline)
        try:
            async with watch:
                result = await self._step(request)
        except TimeoutError:
            if not watch.expired():
                raise
            return self._out_of_time()
        except GivenUp as error:
            self._given_up += 1
            return Outcome(answer=None, stop_reason="error", error=error) if self._given_up >= GIVEN_UP else None
        except ModelError as error:
            return self._failed(error)
        except AgentInferError as error:
            return Outcome(answer=None, stop_reason="error", error=error)
        run.steps.append(result)
        self._learn_growth(before)
        run.emit(
            StepFinished(
                step=result.index,
                text=result.message.content,
                calls=result.message.tool_calls,
                usage=run.usage,
                seconds=result.seconds,
            )
        )
        return self._judge_result(result)

    def _failed(self, error: ModelError) -> Outcome | None:
        """A call has failed for good: of an answer that was asked for, what had arrived has to do."""
        if self._forced and error.partial:
            model, tools = self._run.model, self._run.tools
            reply = model.protocol.read(RawReply(text=error.partial), tools, self._output, "none")
            return self._take_last_words(reply.message)
        out_of_time = self._deadline is not None and asyncio.get_running_loop().time() >= self._deadline - EARLIER
        if isinstance(error, CallTimeout) and out_of_time:
            return self._out_of_time()
        return Outcome(answer=None, stop_reason="error", error=error)

    def _out_of_time(self) -> Outcome | None:
        """A step's time has passed: what was kept in reserve is left for the answer, once."""
        self._run.emit(LimitReached(limit="seconds", answer_kept=self._forced is None))
        if self._forced is not None:
            return Outcome(answer=None, stop_reason=self._forced)
        self._forced = "seconds"
        return None

    def _judge_result(self, result: StepResult) -> Outcome | None:
        """Whether a step ends the run; else the model is told what was wrong with it, where something was."""
        if result.answer is not None:
            return self._take_answer(result.answer)
        bad = result.problem or (
            result.results and all(r.outcome in ("bad_arguments", "unknown_tool") for r in result.results)
        )
        self._malformed = self._malformed + 1 if bad else 0
        if result.problem:
            self._run.append(Message.user(result.problem))
        if self._forced:
            self._answer_tries += 1
            if self._answer_tries >= ANSWER_TRIES:
                return self._take_last_words(result.message)
        elif self._malformed >= MALFORMED_IN_A_ROW:
            self._force("malformed_replies")
        return None

    def _take_answer(self, answer: str) -> Outcome | None:
        if self._output is None:
            return Outcome(answer=answer, stop_reason=self._forced or "answered")
        try:
            return Outcome(answer=self._output.parse(answer), stop_reason=self._forced or "answered")
        except ValueError as error:
            problem = str(error)
        self._unfit += 1
        if self._unfit >= MALFORMED_IN_A_ROW:
            return Outcome(answer=None, stop_reason="invalid_answer")
        self._run.append(Message.user(words.unfit_answer(problem, self._output)))
        return None

    def _take_last_words(self, message: Message) -> Outcome:
        """The model was asked for its answer and gave none: its text, where there is some, has to do."""
        assert self._forced is not None
        text = message.content.strip()
        answer: Any = text or None
        if answer is not None and self._output is not None:
            try:
                answer = self._output.parse(text)
            except ValueError:
                answer = None
        return Outcome(answer=answer, stop_reason=self._forced)

    def _force(self, reason: StopReason) -> None:
        if self._forced is None:
            self._forced = reason
            self._run.emit(Forced(reason=reason))

    # The handlers that plug-ins wrap

    async def _make_step(self, request: StepRequest) -> StepResult:
        """Think, act, observe."""
        run = self._run
        started = time.perf_counter()
        completion = await self._model(
            ModelRequest(
                model=request.model,
                view=request.view,
                tools=request.tools,
                output=request.output,
                choice=request.choice,
                sampling=request.sampling,
                cause=request.cause,
                deadline=self._deadline - EARLIER if self._deadline else None,
            )
        )
        reply = completion.reply
        message = self._with_unique_ids(reply.message, request.index)
        if reply.problem is not None and message.tool_calls:  # calls that are not made are not kept
            message = dataclasses.replace(message, tool_calls=())
        thought = time.perf_counter()
        results: list[ToolResult] = []
        try:
            if reply.problem is None and message.tool_calls:
                handler = self._refuse if request.choice == "none" else self._guarded_tool
                await act(message.tool_calls, handler, results)
        finally:  # whatever happened, every call in the transcript has its result
            if message.content or message.tool_calls:
                run.append(message, *(result.message() for result in results))
        acted = time.perf_counter()
        for result in results:
            if result.outcome == "ok":
                self._repeats.succeeded(result.call, request.index)
        answers = reply.problem is None and not message.tool_calls
        if request.choice == "none" and message.tool_calls and message.content.strip():
            answers = True  # it called tools beside its answer, though none may be called
        return StepResult(
            index=request.index,
            model=request.model.name,
            message=message,
            results=tuple(results),
            answer=message.content if answers else None,
            problem=reply.problem,
            usage=completion.usage,
            seconds=acted - started,
            model_seconds=completion.seconds,
            tool_seconds=acted - thought if results else 0.0,
        )

    async def _make_model_call(self, request: ModelRequest) -> Completion:
        """One call, asked anew where the reply breaks off: no tool has started yet."""
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._run.calls.make(request, on_delta=self._delta_sink(attempt))
            except ModelError as error:
                if not (error.delivered and error.retryable and attempt <= request.model.retry.restarts):
                    raise
                self._run.emit(AttemptDiscarded(attempt=attempt, error=str(error)))

    def _delta_sink(self, attempt: int) -> Callable[[Delta], None] | None:
        if not self._wants_deltas:
            return None
        emit = self._run.emit
        return lambda delta: emit(ModelDelta(text=delta.text, reasoning=delta.reasoning, attempt=attempt))

    async def _guarded_tool(self, call: ToolCall) -> ToolResult:
        """One tool call: repeats are answered here, before any plug-in."""
        tool = self._run.tools.get(call.name)
        response = "run" if tool is not None and tool.repeatable else self._repeats.note(call)
        if response == "force":
            self._force("repeated_calls")
        if response != "run":
            self._run.emit(Nudged(reason=f"repeated call of {call.name}"))
            content = words.repeated(call.name, self._repeats.step_of(call))
            return self._finished(ToolResult(call=call, content=content, outcome="repeated", trust="instruction"))
        self._run.emit(ToolStarted(call=call))
        try:
            result = await self._tool(call)
        except Exception as error:  # noqa: BLE001 - a plug-in gave up a tool at work; the call still has its result
            result = ToolResult(call=call, content=f"{call.name} failed: {error}", outcome="failed")
        return self._finished(dataclasses.replace(result, call=call))

    async def _make_tool_call(self, call: ToolCall) -> ToolResult:
        run = self._run
        context = ToolContext(
            run_id=run.id, call_id=call.id, session=run.session, tenant=run.tenant, workspace=run.workspace
        )
        return await execute(run.tools, call, context, self._locks)

    async def _refuse(self, call: ToolCall) -> ToolResult:
        return self._finished(ToolResult(call=call, content=words.not_run(), outcome="cancelled", trust="instruction"))

    def _finished(self, result: ToolResult) -> ToolResult:
        self._run.emit(
            ToolFinished(call=result.call, outcome=result.outcome, content=result.content, seconds=result.seconds)
        )
        return result

    def _with_unique_ids(self, message: Message, step: int) -> Message:
        """The message with an id for every call, none used before in this run."""
        if not message.tool_calls:
            return message
        calls = []
        for position, call in enumerate(message.tool_calls, 1):
            unique = call.id if call.id and call.id not in self._call_ids else f"call_{step}_{position}"
            while unique in self._call_ids:
                unique += "_"
            self._call_ids.add(unique)
            calls.append(call if unique == call.id else dataclasses.replace(call, id=unique))
        return dataclasses.replace(message, tool_calls=tuple(calls))

    # What is left

    def _spent(self) -> Spent:
        run = self._run
        return Spent(
            steps=run.steps_before + len(run.steps) + self._given_up,
            tokens=run.usage.total_tokens,
            cost=run.usage.cost,
            seconds=run.seconds,
        )

    def _forecast(self) -> Forecast:
        run = self._run
        prompt = 0
        if run.limits.tokens is not None or run.limits.cost is not None:
            request = ModelRequest(model=run.model, view=run.view, tools=run.tools, output=self._output)
            prompt = run.model.count(request)
        return Forecast(prompt_tokens=prompt, step_tokens=round(self._step_tokens), pricing=run.model.pricing)

    def _capped(self, spent: Spent, forecast: Forecast) -> Sampling | None:
        """The sampling settings, with a bound on the completion where the token limit needs one."""
        cap = completion_cap(self._run.limits, spent, forecast, answering=self._forced is not None)
        if cap is None:
            return self._sampling
        sampling = self._sampling or self._run.model.sampling
        wanted = sampling.max_tokens or self._run.model.profile.default_max_tokens
        return dataclasses.replace(sampling, max_tokens=min(cap, wanted) if wanted else cap)

    def _set_deadline(self) -> None:
        limits, run = self._run.limits, self._run
        if limits.seconds is None:
            return
        left = limits.seconds - run.seconds - (0.0 if self._forced else limits.reserved_seconds)
        self._deadline = asyncio.get_running_loop().time() + left

    def _learn_growth(self, before: int) -> None:
        """Remember how many tokens a step adds, as a moving average."""
        run = self._run
        if run.limits.tokens is None and run.limits.cost is None:
            return
        added = sum(len(message.content) for message in run.transcript[before:]) / 4
        self._step_tokens = 0.5 * self._step_tokens + 0.5 * added
