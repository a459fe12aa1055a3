"""Compression in one run: what wraps its steps, its model calls and its tools."""

from typing import TYPE_CHECKING

from agentinfer.compress._cut import Cut, Step, is_whole, join_notes, steps_of
from agentinfer.compress._events import Compressed, CompressionDropped, CompressionStarted
from agentinfer.compress._filter import filter_hits
from agentinfer.compress._options import options_of
from agentinfer.compress._policy import Decision, Outlook, Prices, decide, expected_turns
from agentinfer.compress._put_away import cut_now
from agentinfer.compress._report import report
from agentinfer.compress._work import Work
from agentinfer.compress._writer import Call, request_of
from agentinfer.errors import ContextTooLong, RequestRefused
from agentinfer.models import Completion, ModelRequest
from agentinfer.run import Run
from agentinfer.step import Middleware, ModelHandler, StepHandler, StepRequest, StepResult, ToolHandler
from agentinfer.tools import ToolResult
from agentinfer.transcript import ToolCall, View

if TYPE_CHECKING:
    from agentinfer.compress._plugin import Compress

__all__ = ["Compression"]

SQUEEZES = 2
"""How often a prompt that does not fit is shortened and sent again: without old results, then with recent ones cut."""
LEAST_REPLY = 64
"""Tokens of the window that a prompt leaves for its reply."""
NOTES_JOINED = "compressed: notes joined with results"
GROWTH = 500.0
"""Tokens that a turn is expected to add before any has."""


class Compression(Middleware):
    """What `Compress` does in one run.

    Args:
        plugin: Whose settings and experience count.
        run: The run.
        call: Makes the calls of work beside the loop.
    """

    def __init__(self, plugin: "Compress", run: Run, call: Call) -> None:
        self.work: Work | None = None
        self.course = plugin.course_of(run)
        self._plugin = plugin
        self._run = run
        self._call = call
        self._settings = plugin.settings
        self._report = report(run)
        self._windows: dict[str, int] = {}
        """What refusals have taught of the windows of models, by name."""
        self._last_prompt = 0
        self._growth = GROWTH
        self._look_again = 0
        """Tokens of the prompt before it is thought about again."""

    async def step(self, request: StepRequest, handler: StepHandler) -> StepResult:
        """Begin work beside the step, where it pays; put what is ready into effect behind it. Waits for nothing."""
        self._consider(request)
        result = await handler(request)
        self.course.turns += result.usage.calls > 0  # what a plug-in says in the model's place carries no prompt
        self._learn(result)
        self.take(request, ends=result.answer is not None)
        return result

    def note_spent(self, work: Work) -> None:
        """Count what work took that is over now."""
        self._report.note_spent(work.usage)
        self._report.struck += len(work.read.struck)

    # T0

    def _consider(self, request: StepRequest) -> None:
        if self.work is not None or self.course.turns < self.course.rest_until or not self._run.tools:
            return
        sent = request_of(request, self._run.view)
        total, window = sent.tokens, self._window_of(sent)
        if total < self._look_again or (total < self._settings.start_tokens and (window is None or total < window / 2)):
            return
        steps = self._steps()
        apart = self._plugin.small is not None or request.output is not None
        options = options_of(sent, steps, self._settings, apart=apart)
        outlook = self._outlook(sent, total, window)
        decision = decide([option for option, _ in options], outlook, self._prices(sent))
        if decision.option is None:
            self._look_again = round(total * 1.05)
            return
        chosen = next(steps for option, steps in options if option is decision.option)
        going = sum(is_whole(result, self._settings.least) for step in chosen for result in step.results)
        self._tell_start(decision, total, outlook.turns, going)
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
            turns = expected_turns(self.course.turns, left, (past.turns for past in self._plugin.courses.values()))
        return Outlook(
            total=total,
            growth=self._growth,
            turns=turns,
            lag=self._plugin.lag,
            hit_share=share,
            window=window,
            reserve=settings.reserve,
            # What an endpoint does not keep need not be warmed up.
            prewarm=settings.prewarm and share >= 0.5,
        )

    def _steps(self) -> list[Step]:
        """The steps in what is sent, those of the agent's examples left out."""
        run = self._run
        return steps_of(run.view, [message for message in run.transcript[: run.opening] if message.tool_calls])

    def _prices(self, sent: ModelRequest) -> Prices:
        small = self._plugin.small
        return Prices.of(sent.model.pricing, sent.model.pricing if small is None else small.pricing)

    def _left(self) -> int | None:
        run = self._run
        return None if run.limits.steps is None else run.limits.steps - run.spent().steps

    def _window_of(self, sent: ModelRequest) -> int | None:
        known = (sent.model.context_window, self._windows.get(sent.model.name))
        return min((window for window in known if window), default=None)

    def _tell_start(self, decision: Decision, total: int, turns: float, results: int) -> None:
        self._run.emit(
            CompressionStarted(
                step=self._step,
                reason=decision.reason,
                results=results,
                tokens=total,
                turns=turns,
                saving=decision.saving,
            )
        )

    @property
    def _step(self) -> int:
        return self._run.steps_before + len(self._run.steps) + 1

    def _learn(self, result: StepResult) -> None:
        prompt = result.usage.prompt_tokens
        if self._last_prompt and prompt > self._last_prompt:
            self._growth = 0.5 * self._growth + 0.5 * (prompt - self._last_prompt)
        self._last_prompt = prompt
        self._report.note_step(result.usage)

    # T2

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
            step = self._step if request else self._step - 1
            self._commit(request or work.request, view, work.cut, work.reason, step, work.causes)

    def _drop(self, why: str) -> None:
        self._report.dropped += 1
        self.course.note_failure()
        self._run.emit(CompressionDropped(reason=why))

    def _commit(
        self, request: StepRequest, view: View, cut: Cut, reason: str, step: int, causes: tuple[str, ...] = ()
    ) -> None:
        run = self._run
        before = request_of(request, run.view).tokens
        cause = f"compressed: {len(cut.originals)} tool results put away"
        run.commit_with_pending(view, cause, [cause for cause in causes if cause in run.pending])
        sent = request_of(request.replace(tools=run.tools), run.view)
        after = sent.tokens
        self._look_again = 0
        self._last_prompt = after
        told = self._report
        told.swaps += 1
        told.results += len(cut.originals)
        told.tokens_before += before
        told.tokens_after += after
        run.emit(
            Compressed(
                step=step,
                reason=reason,
                results=len(cut.originals),
                tokens_before=before,
                tokens_after=after,
                uncached_tokens=run.calls.ledger.price(sent).uncached_tokens,
            )
        )

    # Refusals

    async def model(self, request: ModelRequest, handler: ModelHandler) -> Completion:
        """Make up for notes that the endpoint refuses, and for prompts that do not fit."""
        try:
            return await self._fitting(request, handler)
        except ContextTooLong:
            raise
        except RequestRefused:
            joined = join_notes(request.view)
            if joined is request.view:
                raise
            completion = await self._fitting(request.replace(view=joined, cause=NOTES_JOINED), handler)
            self._plugin.refusing.add(request.model.name)
            self._run.commit(join_notes(self._run.view), NOTES_JOINED)
            return completion

    async def _fitting(self, request: ModelRequest, handler: ModelHandler) -> Completion:
        """Shorten a prompt that does not fit, and send it again: at most twice, each time by more."""
        squeeze = 0
        while True:
            window = request.model.context_window
            refused: ContextTooLong | None = None
            if window is None or request.tokens + LEAST_REPLY < window:
                try:
                    return await handler(request)
                except ContextTooLong as error:
                    if error.delivered:
                        raise
                    refused = error
                    name, known = request.model.name, self._windows.get(request.model.name, request.tokens)
                    self._windows[name] = min(known, request.tokens)
            shorter = None
            while shorter is None and squeeze < SQUEEZES:
                shorter = await self._squeeze(request, squeeze)
                squeeze += 1
            if shorter is not None:
                request = shorter
            elif refused is not None:
                raise refused
            else:  # the estimate may be wrong: let the endpoint say
                return await handler(request)

    async def _squeeze(self, request: ModelRequest, squeeze: int) -> ModelRequest | None:
        """The request with a shorter view, which is committed; nothing where there is nothing left to cut."""
        run, work = self._run, self.work
        cut, reason = None, "overflow"
        if squeeze == 0 and work is not None and work.state == "ready":
            cut, reason = work.cut, work.reason
        if cut is None or cut.apply(run.view) is None:
            steps = self._steps()
            recent = min(self._settings.recent, len(steps))
            old, late = steps[: len(steps) - recent], steps[len(steps) - recent :]
            cut = await cut_now(run, old, self._settings, clipped=late if squeeze else ())
            cut = cut.joined() if request.model.name in self._plugin.refusing else cut
        view = cut.apply(run.view)
        if view is None:
            return None
        step = StepRequest(
            index=self._step, model=request.model, view=run.view, tools=request.tools, output=request.output
        )
        if request_of(step, view).tokens >= request_of(step, run.view).tokens:
            return None
        if work is not None:
            work.give_up(self.note_spent)
            self.work = None
        self._report.overflows += 1
        own = request.view == run.view
        there = None if own else cut.apply(request.view)
        # A view that holds for this call only comes back without them, and nobody would have said why.
        causes = tuple(run.pending) if own else ()
        self._commit(step, view, cut, reason, self._step, causes)
        return request.replace(view=run.view if there is None else there)

    # Layer 1

    async def tool(self, call: ToolCall, handler: ToolHandler) -> ToolResult:
        """Rank search results by title and snippet, and leave out those that fit least."""
        return await filter_hits(self._run, self._settings, self._plugin.small, call, await handler(call))
