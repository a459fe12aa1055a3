"""Whether a run repeats itself: the automaton over actions instead of tokens."""

import json
import re
from collections.abc import Hashable
from dataclasses import dataclass

from agentinfer.sam._automaton import SuffixAutomaton
from agentinfer.sam._plain import CONTEXT
from agentinfer.transcript import ToolCall

__all__ = ["ActionRepeats", "Repetition", "action_of"]

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Repetition:
    """The end of a run has been there before."""

    actions: int
    """How many of the last actions, in this order, were made before: 64 at most."""
    times: int
    """How often, the latest included."""


def action_of(call: ToolCall) -> Hashable:
    """What a tool call is about: equal for calls of one tool whose arguments have the same words, in any order."""
    try:
        arguments = json.dumps(json.loads(call.arguments), ensure_ascii=False)
    except (ValueError, RecursionError):
        arguments = call.arguments
    return call.name, tuple(sorted(set(_WORD.findall(arguments.casefold()))))


class ActionRepeats:
    """The actions of one run.

    Args:
        least: How many actions in a row have to come again.
        times: How often they have to have been made.
    """

    def __init__(self, *, least: int = 2, times: int = 2) -> None:
        self.least = least
        self.times = times
        self._automaton = SuffixAutomaton()
        self._numbers: dict[Hashable, int] = {}
        self._actions: list[int] = []

    def note(self, action: Hashable) -> Repetition | None:
        """Note an action; whether the last ones have been made before, in this order."""
        number = self._numbers.setdefault(action, len(self._numbers))
        self._automaton.extend([number])
        self._actions = [*self._actions, number][-CONTEXT:]
        length = min(self._automaton.match_length, CONTEXT)
        if length < self.least:
            return None
        followed = self._automaton.continuation(self._actions[-self.least :])
        times = 1 + (followed[1] if followed else 0)
        return Repetition(length, times) if times >= self.times else None
