"""Tool calls that repeat: noticed, answered with a nudge, then with force."""

import json
from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from agentinfer.transcript import ToolCall

__all__ = ["RepeatPolicy", "Repeats"]

Response = Literal["run", "nudge", "force"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatPolicy:
    """When an identical call is no longer just made. `None` switches a response off."""

    nudge_at: int | None = 2
    """From which occurrence on a call that succeeded before is not made again, and the model is told so."""
    force_at: int | None = 3
    """From which occurrence of one call on the model has to answer; one later where it has never succeeded."""

    def respond(self, occurrence: int, *, succeeded: bool) -> Response:
        """What to do about a call that occurs for the nth time.

        Args:
            occurrence: 1 for the first time.
            succeeded: Whether it has succeeded before; one that failed may be worth another try.
        """
        if self.force_at is not None and occurrence >= self.force_at + (not succeeded):
            return "force"
        if self.nudge_at is not None and occurrence >= self.nudge_at and succeeded:
            return "nudge"
        return "run"


class Repeats:
    """The calls of one run, counted."""

    def __init__(self, policy: RepeatPolicy) -> None:
        self._policy = policy
        self._occurrences: Counter[str] = Counter()
        self._succeeded: dict[str, int] = {}

    def note(self, call: ToolCall) -> Response:
        """Count a call, and say what to do about it."""
        key = _key(call)
        self._occurrences[key] += 1
        return self._policy.respond(self._occurrences[key], succeeded=key in self._succeeded)

    def succeeded(self, call: ToolCall, step: int) -> None:
        """Note that a call gave a result in this step."""
        self._succeeded.setdefault(_key(call), step)

    def step_of(self, call: ToolCall) -> int | None:
        """The step in which this very call gave a result."""
        return self._succeeded.get(_key(call))


def _key(call: ToolCall) -> str:
    return _key_of(call.name, call.arguments)


@lru_cache(maxsize=1024)
def _key_of(name: str, text: str) -> str:
    """Equal for calls that differ only in how their JSON is written."""
    try:
        arguments = json.dumps(json.loads(text or "{}"), sort_keys=True)
    except (ValueError, RecursionError):
        arguments = text
    return f"{name} {arguments}"
