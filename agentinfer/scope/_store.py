"""Where guidelines are kept: the protocol, and a store in memory."""

import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from agentinfer.errors import AgentInferError, UserError
from agentinfer.scope._deltas import Change, Delta, Snapshot, reduce
from agentinfer.scope._guideline import Guideline, Space
from agentinfer.scope._trial import Evidence

__all__ = ["MemoryStore", "Outcome", "Store", "StoreError"]

HELPFUL = 0.5
"""A run that scores as much speaks for what it was shown."""


class StoreError(AgentInferError):
    """A store cannot be read or written. What was reported written before is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run scored, and which guidelines it was shown and which were held out.

    Raises:
        UserError: The score is not between 0 and 1.
    """

    run: str
    score: float
    """0 to 1."""
    shown: tuple[str, ...] = ()
    held_out: tuple[str, ...] = ()
    firm: bool = False
    """Whether somebody judged the result; such a score is not replaced by the run's own."""

    def __post_init__(self) -> None:
        if not 0 <= self.score <= 1:
            raise UserError(f"a score lies between 0 and 1: {self.score}")


class Store(Protocol):
    """Keeps guidelines, their history and the evidence on them, per space.

    `agentinfer.scope.testing.StoreConformance` holds what every store has to do.
    """

    async def load(self, space: Space) -> Snapshot:
        """The guidelines of a space, and what is known of their worth."""

    async def apply(self, space: Space, deltas: Sequence[Delta], *, author: str, reason: str = "") -> list[Change]:
        """Apply deltas in order, all of them or none, as `reduce` says; what has changed.

        When this returns the changes are on disk, or wherever the store keeps them, also should this process die.
        The scores of a guideline that is brought back (`Change.brings_back`) are forgotten with the change.

        Raises:
            StoreError: They could not be written; nothing of them was.
        """

    async def record(self, space: Space, outcome: Outcome) -> None:
        """Note what a run scored. A later outcome of the same run replaces it, unless that one is firm and this is not.

        Raises:
            StoreError: It could not be written.
        """

    async def history(self, space: Space) -> list[Change]:
        """Every change of a space, oldest first."""

    async def spaces(self) -> list[Space]:
        """The spaces that hold guidelines."""

    async def aclose(self) -> None:
        """Let go of what the store holds open. It may be used again."""


class MemoryStore:
    """Keeps guidelines as long as the process lives."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._guidelines: dict[Space, dict[str, Guideline]] = {}
        self._history: dict[Space, list[Change]] = {}
        self._scores: dict[Space, dict[tuple[str, str], tuple[bool, float, bool]]] = {}
        """(guideline, run): whether it was shown, the score, whether that is firm."""

    def __repr__(self) -> str:
        return f"MemoryStore({sum(map(len, self._guidelines.values()))} guidelines)"

    async def load(self, space: Space) -> Snapshot:
        """The guidelines of a space, and what is known of their worth."""
        with self._lock:
            guidelines = dict(self._guidelines.get(space, {}))
            rows = [(key[0], *row) for key, row in self._scores.get(space, {}).items()]
            history = self._history.get(space)
            revision = history[-1].revision if history else 0
        return Snapshot(revision, MappingProxyType(guidelines), MappingProxyType(evidence_of(rows)))

    async def apply(self, space: Space, deltas: Sequence[Delta], *, author: str, reason: str = "") -> list[Change]:
        """Apply deltas in order, all of them or none; what has changed."""
        with self._lock:
            known = dict(self._guidelines.get(space, {}))
            history = self._history.get(space, [])
            revision = history[-1].revision + 1 if history else 1
            changes: list[Change] = []
            for delta in deltas:
                for after in reduce(delta, known.values()):
                    before, known[after.id] = known.get(after.id), after
                    changes.append(change_of(revision, author, reason, before, after))
            if changes:
                self._guidelines[space] = known
                self._history[space] = [*history, *changes]
            scores = self._scores.get(space, {})
            back = {change.id for change in changes if change.brings_back}
            for key in [key for key in scores if key[0] in back]:
                del scores[key]
        return changes

    async def record(self, space: Space, outcome: Outcome) -> None:
        """Note what a run scored."""
        with self._lock:
            scores = self._scores.setdefault(space, {})
            for guideline, shown in arms_of(outcome):
                there = scores.get((guideline, outcome.run))
                if there is None or outcome.firm or not there[2]:
                    scores[guideline, outcome.run] = shown, outcome.score, outcome.firm

    async def history(self, space: Space) -> list[Change]:
        """Every change of a space, oldest first."""
        return list(self._history.get(space, ()))

    async def spaces(self) -> list[Space]:
        """The spaces that hold guidelines."""
        return sorted(self._guidelines, key=lambda space: (space.tenant or "", space.memory))

    async def aclose(self) -> None:
        """Nothing to let go of."""


def change_of(revision: int, author: str, reason: str, before: Guideline | None, after: Guideline) -> Change:
    """A change made now."""
    return Change(revision=revision, at=time.time(), author=author, reason=reason, before=before, after=after)


def arms_of(outcome: Outcome) -> list[tuple[str, bool]]:
    """Each guideline that an outcome tells of, and whether it was shown."""
    return [*((name, True) for name in outcome.shown), *((name, False) for name in outcome.held_out)]


def evidence_of(rows: Iterable[tuple[str, bool, float, bool]]) -> dict[str, Evidence]:
    """What rows of (guideline, shown, score, firm) come to."""
    sums: dict[str, list[float]] = {}
    for guideline, shown, score, _ in rows:
        row = sums.setdefault(guideline, [0, 0.0, 0, 0.0, 0])
        row[0 if shown else 2] += 1
        row[1 if shown else 3] += score
        row[4] += shown and score >= HELPFUL
    return {
        guideline: Evidence(
            used=int(used), score=score, held_out=int(held_out), held_out_score=without, helpful=int(helpful)
        )
        for guideline, (used, score, held_out, without, helpful) in sums.items()
    }
