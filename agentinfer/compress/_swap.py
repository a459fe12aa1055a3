"""A run's view swapped for a shorter one, and what that came to."""

from agentinfer.compress._cut import Cut, Step, steps_of
from agentinfer.compress._events import Compressed
from agentinfer.compress._report import report
from agentinfer.compress._writer import request_of
from agentinfer.run import Run
from agentinfer.step import StepRequest
from agentinfer.transcript import View
from agentinfer.usage import Usage

__all__ = ["Swaps"]

GROWTH = 500.0
"""Tokens that a turn is expected to add before any has."""


class Swaps:
    """What one run sends: how it grows, and what takes its place."""

    def __init__(self, run: Run) -> None:
        self.report = report(run)
        self.growth = GROWTH
        """Tokens by which the prompt grows from turn to turn, a moving average."""
        self.look_again = 0
        """Tokens of the prompt below which it is not thought about again; a swap makes it worth another thought."""
        self._run = run
        self._last_prompt = 0

    @property
    def step(self) -> int:
        """The number of the step under way."""
        return self._run.steps_before + len(self._run.steps) + 1

    def steps(self) -> list[Step]:
        """The steps in what is sent, those of the agent's examples left out."""
        run = self._run
        return steps_of(run.view, [message for message in run.transcript[: run.opening] if message.tool_calls])

    def note_step(self, usage: Usage) -> None:
        """Learn from what a step took."""
        prompt = usage.prompt_tokens
        if self._last_prompt and prompt > self._last_prompt:
            self.growth = 0.5 * self.growth + 0.5 * (prompt - self._last_prompt)
        self._last_prompt = prompt
        self.report.note_step(usage)

    def swap(
        self, request: StepRequest, view: View, cut: Cut, reason: str, step: int, causes: tuple[str, ...] = ()
    ) -> None:
        """Put a view in the place of the run's own.

        Args:
            request: What else is sent with it.
            view: The view, which `cut` has made.
            cut: What went.
            reason: Why.
            step: The number of the step behind which this happens.
            causes: Of the pending changes that are made with it.
        """
        run = self._run
        before = request_of(request, run.view).tokens
        cause = f"compressed: {len(cut.originals)} tool results put away"
        run.commit_with_pending(view, cause, [cause for cause in causes if cause in run.pending])
        sent = request_of(request.replace(tools=run.tools), run.view)
        after = sent.tokens
        self.look_again, self._last_prompt = 0, after
        told = self.report
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
