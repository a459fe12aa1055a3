"""An evaluation, shown as it goes on."""

import sys
from typing import TextIO

from agentinfer.evals import Progress, Record

__all__ = ["EvalView"]

ANSWER_CHARS = 32


class EvalView:
    """Prints a line per finished question: how it went, and how all have gone so far.

    Args:
        quiet: Whether to print nothing.
        out: Where to print; standard error unless given.
    """

    def __init__(self, *, quiet: bool = False, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._quiet = quiet
        self._name = ""
        self._last: Progress | None = None

    def begin(self, name: str) -> None:
        """Note which configuration comes next."""
        self._name = name
        self._last = None

    def __call__(self, progress: Progress) -> None:
        """Show one more question."""
        self._last = progress
        if self._quiet:
            return
        for note in progress.notes:
            self._line(note)
        if progress.record is None:
            before = f", {progress.resumed} of them finished before" if progress.resumed else ""
            self._line(f"{self._name}: {progress.total} questions{before}")
        else:
            width = len(str(progress.total))
            self._line(f"{progress.done:>{width}}/{progress.total} {_outcome(progress.record)} | {_so_far(progress)}")

    def finished(self) -> str:
        """What is finished, for somebody whose evaluation has stopped before its end."""
        if self._last is None:
            return "nothing was asked"
        return f"{self._name}: {self._last.done} of {self._last.total} questions are finished; the same command goes on"

    def _line(self, text: str) -> None:
        print(text, file=self._out, flush=True)


def _outcome(record: Record) -> str:
    """How a question went."""
    mark = "right" if record.solved else "wrong"
    said = record.answer or f"({record.stop_reason})"
    said = " ".join("".join(letter if letter.isprintable() else " " for letter in said).split())
    said = said if len(said) <= ANSWER_CHARS else said[: ANSWER_CHARS - 1] + "…"
    raised = f" ({', '.join(record.grading_errors)} raised)" if record.grading_errors else ""
    return f"{mark} {said:<{ANSWER_CHARS}}{raised} {record.steps:>2} steps {record.seconds:6.1f} s"


def _so_far(progress: Progress) -> str:
    """How all questions have gone so far."""
    parts = [f"{progress.accuracy or 0.0:.0%} right", f"{progress.tokens:,} tokens"]
    if progress.cost:
        parts.append(f"cost {progress.cost:.4f}")
    if progress.seconds_left:
        parts.append(f"{_duration(progress.seconds_left)} left")
    return " · ".join(parts)


def _duration(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
