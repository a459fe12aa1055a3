"""What there is to learn from: steps that went wrong, and steps that worked and were wasteful.

What a model writes after it has read tool output may have been put into its mouth. So a situation keeps `facts`, for
which this library can vouch (which tool, which outcome, what repeats), apart from `texts`, which anybody may have
written.
"""

import json
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from agentinfer.scope._guideline import similarity
from agentinfer.scope._store import HELPFUL
from agentinfer.step import StepResult
from agentinfer.tools import ToolResult, ToolSet

__all__ = ["Situation", "Watch"]

NEAR = 0.6
"""Arguments that share so many of their words ask for much the same."""
STALL = 3
"""Steps in a row that bring nothing new."""
REMEMBERED = 30
"""Calls of a tool that a new one is compared with."""
_FAILED = ("failed", "timeout", "bad_arguments", "unknown_tool")
_CUT = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """Something to learn from."""

    kind: Literal["corrective", "enhancement"]
    trigger: str
    """What it is, for events, and to learn from the same thing once per run."""
    step: int
    facts: str
    texts: str = ""
    """What the model and its tools wrote; empty unless it may be read."""
    tainted: bool = False
    """Whether a stranger may have written some of `texts`."""


class Watch:
    """Watches the steps of one run; each costs what is new.

    Args:
        tools: The tools there are.
        texts: Whether what the model and its tools wrote may be read.
        data_before: Whether the model had read tool output before the run's first step.
    """

    def __init__(self, tools: ToolSet, *, texts: bool, data_before: bool) -> None:
        self._tools = tools
        self._texts = texts
        self._data = data_before
        self._told: list[str] = []
        """Each step, in words that hold nothing a stranger may have written."""
        self._idle: list[bool] = []
        """Which steps brought nothing new."""
        self._wasted = 0
        """Steps among them whose calls all succeeded."""
        self._large = False
        self._results: dict[int, int] = {}
        """The step that first had a result, by the result's hash."""
        self._calls: dict[str, deque[tuple[str, int]]] = {}
        """Per tool the words of its latest arguments, and the step."""

    def see(self, step: StepResult) -> Situation | None:
        """Note a step; what went wrong in it, where something did."""
        remarks = [self._remark(step.index, result) for result in step.results]
        self._told.append(self._line(step, remarks))
        self._idle.append(step.problem is not None or (bool(remarks) and all(remarks)))
        self._wasted += self._idle[-1] and bool(step.results) and all(r.outcome == "ok" for r in step.results)
        self._large = self._large or any(result.handle for result in step.results)
        self._data = self._data or any(result.trust == "data" for result in step.results)
        trigger = self._trigger(step)
        if trigger is None:
            return None
        written = _texts(step) if self._texts else ""
        return Situation(
            kind="corrective",
            trigger=trigger,
            step=step.index,
            facts="\n".join([f"What went wrong: {trigger}.", *self._told[-STALL:]]),
            texts=written,
            tainted=bool(written) and self._data,
        )

    def waste(self) -> Situation | None:
        """What a run that came to its answer did for nothing, though nothing failed; where it did."""
        wasted, steps = self._wasted, len(self._idle)
        if not wasted and not self._large:
            return None
        return Situation(
            kind="enhancement",
            trigger=f"{wasted} of {steps} steps brought nothing new" if wasted else "results too long to show whole",
            step=steps,
            facts="\n".join(
                [f"The task was done in {steps} steps; {wasted} of them brought nothing new.", *self._told]
            ),
        )

    def judged(self, score: float) -> Situation | None:
        """What there is to learn from an answer, by the score that somebody gave it: nothing unless it was wrong."""
        if score >= HELPFUL:
            return None
        steps = len(self._idle)
        return Situation(
            kind="corrective",
            trigger="an answer that was judged wrong",
            step=steps,
            facts="\n".join([f"What went wrong: after {steps} steps the agent gave a wrong answer.", *self._told]),
        )

    def _trigger(self, step: StepResult) -> str | None:
        if step.problem is not None:
            return "a reply that could not be read"
        failed = [result for result in step.results if result.outcome in _FAILED]
        if failed:
            name = failed[0].call.name if failed[0].call.name in self._tools else "a tool that does not exist"
            return f"a call of {name} that ended as {failed[0].outcome.replace('_', ' ')}"
        if any(result.outcome == "repeated" for result in step.results):
            return "the very same call again"
        if len(self._idle) >= STALL and all(self._idle[-STALL:]):
            return f"{STALL} steps in a row that brought nothing new"
        return None

    def _remark(self, step: int, result: ToolResult) -> str:
        """What is idle about a call; an empty string where nothing is."""
        if result.outcome != "ok":
            return result.outcome.replace("_", " ")
        earlier = self._results.setdefault(hash(result.content), step)
        calls = self._calls.setdefault(result.call.name, deque(maxlen=REMEMBERED))
        words = _words(result)
        near = next((at for other, at in calls if at < step and similarity(words, other) >= NEAR), None)
        calls.append((words, step))
        if earlier < step:
            return f"the same result as in step {earlier}"
        return "" if near is None else f"much the same arguments as in step {near}"

    def _line(self, step: StepResult, remarks: Sequence[str]) -> str:
        if step.problem is not None:
            return f"- step {step.index}: the reply could not be read"
        parts = []
        for result, remark in zip(step.results, remarks, strict=True):
            name = result.call.name if result.call.name in self._tools else "a tool that does not exist"
            size = f"{len(result.content)} characters" if result.outcome == "ok" else ""
            whole = "too long to show whole" if result.handle else ""
            parts.append(f"{name}: {', '.join(filter(None, [size, whole, remark]))}")
        return f"- step {step.index}: {'; '.join(parts) or 'gave its answer'}"


def _texts(step: StepResult) -> str:
    lines = [f"The model wrote: {step.message.content[:_CUT]}"] if step.message.content else []
    calls = [f"{r.call.name[:64]} {r.call.arguments[:_CUT]} -> {r.content[:_CUT]}" for r in step.results]
    return "\n".join(lines + calls)


def _words(result: ToolResult) -> str:
    try:
        given = json.loads(result.call.arguments or "{}")
    except (ValueError, RecursionError):
        return result.call.arguments
    return " ".join(map(str, given.values())) if isinstance(given, dict) else str(given)
