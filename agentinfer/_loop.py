"""The loop of one run."""

import asyncio
import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentinfer import _words as words
from agentinfer._steps import EARLIER, Steps
from agentinfer.errors import AgentInferError, CallTimeout, ModelError
from agentinfer.events import (
    Forced,
    LimitReached,
    StepFinished,
    StepStarted,
)
from agentinfer.limits import Forecast, completion_cap, judge
from agentinfer.models import ModelRequest, Sampling
from agentinfer.output import Output
from agentinfer.protocol import RawReply
from agentinfer.repeats import RepeatPolicy
from agentinfer.result import StopReason
from agentinfer.run import Run
from agentinfer.step import GivenUp, Middleware, StepRequest, StepResult
from agentinfer.tools import ResourceLocks
from agentinfer.transcript import Message

__all__ = ["Loop", "Outcome"]

MALFORMED_IN_A_ROW = 3
"""Replies that cannot be used, one after the other, until the model has to answer; and answers that do not fit."""
ANSWER_TRIES = 2
"""How often the model is asked for an answer when it must give one."""


GIVEN_UP = 3
"""Steps that plug-ins may stop at work before the run ends."""


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
        self._sampling = sampling
        self._steps = Steps(run, middlewares, locks=locks, repeats=repeats, wants_deltas=wants_deltas)
        self._forced: StopReason | None = None
        self._told = False
        self._malformed = 0
        self._unfit = 0
        self._answer_tries = 0
        self._last_words: Outcome | None = None
        """What has to do as an answer, should there be no further one."""
        self._step_tokens = 256.0

    async def __call__(self) -> Outcome:
        """Step until there is an answer, or nothing left to spend."""
        while True:
            spent = self._run.spent()
            verdict = judge(self._run.limits, spent, self._forecast())
            if verdict.action == "stop":
                assert verdict.limit is not None
                self._run.emit(LimitReached(limit=verdict.limit, answer_kept=False))
                return self._last_words or Outcome(answer=None, stop_reason=self._forced or verdict.limit)
            if verdict.action == "answer" and self._forced is None:
                assert verdict.limit is not None
                self._run.emit(LimitReached(limit=verdict.limit, answer_kept=True))
                self._forced = verdict.limit
            outcome = await self._next(spent.steps + 1)
            if outcome is not None:
                return outcome

    async def _next(self, index: int) -> Outcome | None:
        """One step, and what it means for the run."""
        run = self._run
        if self._forced and not self._told:
            self._told = True
            run.append(Message.user(words.answer_now(self._forced)))
        request = StepRequest(
            index=index,
            model=run.model,
            view=run.view,
            tools=run.tools,
            output=self._output,
            choice="none" if self._forced else "auto",
            sampling=self._capped(),
        )
        run.emit(StepStarted(step=request.index, answer_only=request.choice == "none"))
        before = len(run.transcript)
        self._set_deadline()
        watch = asyncio.timeout_at(self._steps.deadline)
        try:
            if self._steps.deadline is None:
                result = await self._steps.make(request)
            else:
                async with watch:
                    result = await self._steps.make(request)
        except TimeoutError:
            if not watch.expired():
                raise
            return self._out_of_time()
        except GivenUp as error:
            run.given_up += 1
            return Outcome(answer=None, stop_reason="error", error=error) if run.given_up >= GIVEN_UP else None
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
        deadline = self._steps.deadline
        out_of_time = deadline is not None and asyncio.get_running_loop().time() >= deadline - EARLIER
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
            self._last_words = self._take_last_words(result.message)
            if self._answer_tries >= ANSWER_TRIES:
                return self._last_words
        elif self._malformed >= MALFORMED_IN_A_ROW:
            self._force("malformed_replies")
        elif self._steps.repeats_itself:
            self._force("repeated_calls")
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

    # What is left

    def _forecast(self) -> Forecast:
        run = self._run
        prompt = 0
        if run.limits.tokens is not None or run.limits.cost is not None:
            request = ModelRequest(model=run.model, view=run.view, tools=run.tools, output=self._output)
            prompt = request.tokens
        return Forecast(prompt_tokens=prompt, step_tokens=round(self._step_tokens), pricing=run.model.pricing)

    def _capped(self) -> Sampling | None:
        """The sampling settings, with a bound on the completion where a limit needs one."""
        limits, run = self._run.limits, self._run
        if limits.tokens is None and limits.cost is None:
            return self._sampling
        cap = completion_cap(limits, run.spent(), self._forecast(), answering=self._forced is not None)
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
        self._steps.deadline = asyncio.get_running_loop().time() + left

    def _learn_growth(self, before: int) -> None:
        """Remember how many tokens a step adds, as a moving average."""
        run = self._run
        if run.limits.tokens is None and run.limits.cost is None:
            return
        added = sum(len(message.content) for message in run.transcript[before:]) / 4
        self._step_tokens = 0.5 * self._step_tokens + 0.5 * added
