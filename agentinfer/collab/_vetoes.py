"""What overrules a model that believes in its progress: facts about the step, worked out without any model."""

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentinfer.errors import UserError
from agentinfer.step import StepResult
from agentinfer.tools import ToolResult
from agentinfer.transcript import Message, ToolCall

__all__ = ["Evidence", "Facts", "Veto", "Vetoes"]

Veto = Literal["same_search", "nothing_new", "tool_errors", "malformed", "sent_back"]
"""The same call in other words; no new document or fact for some steps; tools that fail; a reply not to be read; an
answer that was not taken."""

NEW_SHARE = 0.3
"""A paragraph tells something new where this share of its word groups was not shown before."""
GROUP = 4
"""Words of a group."""
MAX_GROUPS = 200_000
"""Word groups remembered; a run that was shown more than that starts to forget all of them."""
_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Vetoes:
    """When a step counts as no progress, whatever the model says of it. `None` switches a veto off.

    Raises:
        UserError: A number is not positive.
    """

    same_search: bool = True
    """A call that was made before, also with its words in another order."""
    nothing_new: int | None = 2
    """Steps in a row in which tools showed nothing that had not been shown before."""
    tool_errors: int | None = 2
    """Steps in a row in which every tool call failed."""
    malformed: bool = True
    """A reply that could not be read."""
    sent_back: bool = True
    """An answer that another plug-in has sent back."""

    def __post_init__(self) -> None:
        for name in ("nothing_new", "tool_errors"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"Vetoes({name}={value}): a number of steps is positive, or None for never")

    def judge(self, facts: "Facts") -> tuple[Veto, ...]:
        """What speaks against progress."""
        against: list[Veto] = []
        if self.same_search and facts.same_search:
            against.append("same_search")
        if self.nothing_new is not None and facts.stale >= self.nothing_new:
            against.append("nothing_new")
        if self.tool_errors is not None and facts.errors >= self.tool_errors:
            against.append("tool_errors")
        if self.malformed and facts.malformed:
            against.append("malformed")
        if self.sent_back and facts.sent_back:
            against.append("sent_back")
        return tuple(against)


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What can be seen of a step from outside."""

    fresh: bool = False
    """Whether its tools showed something new."""
    same_search: bool = False
    malformed: bool = False
    sent_back: bool = False
    stale: int = 0
    """Steps in a row, this one included, that showed nothing new."""
    errors: int = 0
    """Steps in a row, this one included, in which every tool call failed."""


class Evidence:
    """What a run has been shown and has asked for, step by step.

    Args:
        messages: What happened before, where a run goes on.
        stale: The counter of `Facts` where it goes on.
        errors: Likewise.
    """

    def __init__(self, messages: Iterable[Message] = (), *, stale: int = 0, errors: int = 0) -> None:
        self._stale, self._errors = stale, errors
        self._calls: set[str] = set()
        self._groups: set[int] = set()
        for message in messages:
            self._calls.update(_key(call) for call in message.tool_calls)
            if message.role == "tool":
                self._learn(message.content)

    def note(self, result: StepResult) -> Facts:
        """What a step shows; it is remembered."""
        results, calls = result.results, result.message.tool_calls
        keys = [_key(call) for call in calls]
        same = any(key in self._calls for key in keys) or any(r.outcome == "repeated" for r in results)
        self._calls.update(keys)
        shown = [self._learn(r.content) for r in results if r.outcome == "ok" and not _is_empty(r.value)]
        failed = bool(results) and all(_failed(r) for r in results)
        self._stale = 0 if any(shown) else self._stale + 1
        self._errors = self._errors + 1 if failed else 0
        return Facts(
            fresh=any(shown),
            same_search=same,
            malformed=result.problem is not None,
            stale=self._stale,
            errors=self._errors,
        )

    def _learn(self, content: str) -> bool:
        """Remember a text; whether one of its paragraphs tells something new."""
        new = False
        for paragraph in content.split("\n\n"):
            groups = _groups(paragraph)
            unseen = groups - self._groups
            new |= bool(groups) and len(unseen) >= NEW_SHARE * len(groups)
            if len(self._groups) + len(unseen) > MAX_GROUPS:
                self._groups.clear()
            self._groups |= unseen
        return new


def _groups(paragraph: str) -> set[int]:
    """The groups of neighbouring words of a paragraph; all of it, where it has fewer words."""
    words = _WORD.findall(paragraph.casefold())
    if not words:
        return set()
    return {hash(tuple(words[start : start + GROUP])) for start in range(max(1, len(words) - GROUP + 1))}


def _failed(result: ToolResult) -> bool:
    return result.outcome in ("failed", "timeout", "bad_arguments", "unknown_tool")


def _is_empty(value: Any) -> bool:
    """Whether a tool found nothing."""
    return isinstance(value, Sequence) and len(value) == 0


def _key(call: ToolCall) -> str:
    """Equal for calls that ask for the same, the order of words aside."""
    try:
        arguments: Any = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        arguments = call.arguments
    return f"{call.name} {_plain(arguments)}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return sorted((str(name), str(_plain(inner))) for name, inner in value.items())
    if isinstance(value, str):
        return sorted(_WORD.findall(value.casefold())) or value
    return str(value)
