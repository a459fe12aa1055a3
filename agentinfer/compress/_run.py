"""Compression in one run: what wraps its steps, its model calls and its tools."""

from typing import TYPE_CHECKING

from agentinfer.compress._cut import Step, is_whole
from agentinfer.compress._events import CompressionDropped, CompressionStarted
from agentinfer.compress._filter import filter_hits
from agentinfer.compress._options import options_of
from agentinfer.compress._overflow import Overflow
from agentinfer.compress._policy import Decision, Outlook, Prices, decide, expected_turns
from agentinfer.compress._swap import Swaps
from agentinfer.compress._work import Work
from agentinfer.compress._writer import Call, request_of
from agentinfer.models import Completion, ModelRequest
from agentinfer.run import Run
from agentinfer.step import Middleware, ModelHandler, StepHandler, StepRequest, StepResult, ToolHandler
from agentinfer.tools import ToolResult
from agentinfer.transcript import ToolCall

if TYPE_CHECKING:
    from agentinfer.compress._plugin import Compress

__all__ = ["Compression"]


class Compression(Middleware):
    """What `Compress` does in one run.

    Args:
        plugin: Whose settings and experience count.
        run: The run.
        call: Makes the calls of work beside the loop.
    """

    def __init__(self, plugin: "Compress", run: Run, call: Call) -> None:
        self.work: Work | None = None
        self.course = plugin.courses.of(run)
        self._plugin = plugin
        self._run = run
        self._call = call
        self._settings = plugin.settings
        self._swaps = Swaps(run)
        self._overflow = Overflow(
            run, plugin.settings, self._swaps, plugin.refusing, at_work=lambda: self.work, give_up=self._give_up
        )

    async def step(self, request: StepRequest, handler: StepHandler) -> StepResult:
        """Begin work beside the step, where it pays; put what is ready into effect behind it. Waits for nothing."""
        self._consider(request)
        result = await handler(request)
        self.course.turns += result.usage.calls > 0  # what a plug-in says in the model's place carries no prompt
        self._swaps.note_step(result.usage)
        self.take(request, ends=result.answer is not None)
        return result

    async def model(self, request: ModelRequest, handler: ModelHandler) -> Completion:
        """Make up for notes that the endpoint refuses, and for prompts that do not fit."""
        return await self._overflow.model(request, handler)

    async def tool(self, call: ToolCall, handler: ToolHandler) -> ToolResult:
        """Layer 1: rank search results by title and snippet, and leave out those that fit least."""
        return await filter_hits(self._run, self._settings, self._plugin.small, call, await handler(call))

    # T0, work is begun

    def _consider(self, request: StepRequest) -> None:
        if self.work is not None or self.course.turns < self.course.rest_until or not self._run.tools:
            return
        sent = request_of(request, self._run.view)
        total, window = sent.tokens, self._overflow.window_of(sent)
        small = total < self._settings.start_tokens and (window is None or total < window / 2)
        if small or total < self._swaps.look_again:
            return
        apart = self._plugin.small is not None or request.output is not None
        options = options_of(sent, self._swaps.steps(), self._settings, apart=apart)
        outlook = self._outlook(sent, total, window)
        decision = decide([option for option, _ in options], outlook, self._prices(sent))
        if decision.option is None:
            self._swaps.look_again = round(total * 1.05)
            return
        chosen = next(steps for option, steps in options if option is decision.option)
        self._tell_start(decision, outlook, chosen)
        self.work = Work(
            self._run,
            request,
            chosen,
            self._settings,
            self._plugin.small,
            self._call,
            reason=decision.reason,
            at_step=self.course.turns,
            warm=outlook.prewarm,
            joined=sent.model.name in self._plugin.refusing,
            tell=self._run.emit,
        )
        self._plugin.spawn(self._run, self.work)

    def _outlook(self, sent: ModelRequest, total: int, window: int | None) -> Outlook:
        run, settings = self._run, self._settings
        share = run.calls.ledger.hit_share(sent)
        turns = settings.turns
        if turns is None:
            left = None if run.session else self._left()
            turns = expected_turns(self.course.turns, left, self._plugin.courses.turns())
        return Outlook(
            total=total,
            growth=self._swaps.growth,
            turns=turns,
            lag=self._plugin.lag,
            hit_share=share,
            window=window,
            reserve=settings.reserve,
            # What an endpoint does not keep need not be warmed up.
            prewarm=settings.prewarm and share >= 0.5,
        )

    def _prices(self, sent: ModelRequest) -> Prices:
        small = self._plugin.small
        return Prices.of(sent.model.pricing, sent.model.pricing if small is None else small.pricing)

    def _left(self) -> int | None:
        run = self._run
        return None if run.limits.steps is None else run.limits.steps - run.spent().steps

    def _tell_start(self, decision: Decision, outlook: Outlook, chosen: list[Step]) -> None:
        self._run.emit(
            CompressionStarted(
                step=self._swaps.step,
                reason=decision.reason,
                results=sum(is_whole(result, self._settings.least) for step in chosen for result in step.results),
                tokens=outlook.total,
                turns=outlook.turns,
                saving=decision.saving,
            )
        )

    # T2, it takes effect, or comes to nothing

    def take(self, request: StepRequest | None = None, *, ends: bool = False) -> None:
        """Put the work into effect, where it is ready.

        Args:
            request: The step behind which this happens; none before a run's first step.
            ends: Whether that step gave the answer: what is sent then matters to the session's next run only.
        """
        work, run = self.work, self._run
        if work is None or work.state == "working" or (ends and run.session is None):
            return
        self.work = None
        self.note_spent(work)
        left = self._left()
        if work.state == "failed" or work.cut is None:
            self._drop(work.error)
        elif left is not None and left < 1 and run.session is None:
            self._drop("late")
        elif (view := work.cut.apply(run.view)) is None:
            self._drop("stale")
        else:
            self.course.failures = 0
            self._plugin.learn_lag(self.course.turns - work.at_step)
            step = self._swaps.step if request else self._swaps.step - 1
            self._swaps.swap(request or work.request, view, work.cut, work.reason, step, work.causes)

    def _drop(self, why: str) -> None:
        self._swaps.report.dropped += 1
        self.course.note_failure()
        self._run.emit(CompressionDropped(reason=why))

    def _give_up(self) -> None:
        if self.work is not None:
            self.work.give_up(self.note_spent)
            self.work = None

    def note_spent(self, work: Work) -> None:
        """Count what work took that is over now."""
        self._swaps.report.note_spent(work.usage)
        self._swaps.report.struck += len(work.read.struck)
