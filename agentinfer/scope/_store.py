"""Where guidelines are kept: the protocol, and a store in memory."""

import dataclasses
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple, Protocol

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


class Score(NamedTuple):
    """What one run says of one guideline."""

    shown: bool
    score: float
    firm: bool


class Store(Protocol):
    """Keeps guidelines, their history and the evidence on them, per space.

    `agentinfer.scope.testing.STORE_CHECKS` holds what every store has to do. Every run loads at its start, so a load
    should not read the scores of all runs before it.
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
        self._scores: dict[Space, dict[str, dict[str, Score]]] = {}
        """By guideline and run."""
        self._evidence: dict[Space, dict[str, Evidence]] = {}
        """What the scores of each guideline come to."""

    def __repr__(self) -> str:
        return f"MemoryStore({sum(map(len, self._guidelines.values()))} guidelines)"

    async def load(self, space: Space) -> Snapshot:
        """The guidelines of a space, and what is known of their worth."""
        with self._lock:
            guidelines = dict(self._guidelines.get(space, {}))
            evidence = dict(self._evidence.get(space, {}))
            history = self._history.get(space)
            revision = history[-1].revision if history else 0
        return Snapshot(revision, MappingProxyType(guidelines), MappingProxyType(evidence))

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
            for change in changes:
                if change.brings_back:
                    self._scores.get(space, {}).pop(change.id, None)
                    self._evidence.get(space, {}).pop(change.id, None)
        return changes

    async def record(self, space: Space, outcome: Outcome) -> None:
        """Note what a run scored."""
        with self._lock:
            evidence = self._evidence.setdefault(space, {})
            for guideline, score in scores_of(outcome):
                scores = self._scores.setdefault(space, {}).setdefault(guideline, {})
                before = scores.get(outcome.run)
                if replaces(score, before):
                    scores[outcome.run] = score
                    evidence[guideline] = rescored(evidence.get(guideline, Evidence()), before, score)

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


def scores_of(outcome: Outcome) -> list[tuple[str, Score]]:
    """What an outcome says of each guideline that it tells of."""
    arms = [*((name, True) for name in outcome.shown), *((name, False) for name in outcome.held_out)]
    return [(name, Score(shown, outcome.score, outcome.firm)) for name, shown in arms]


def replaces(score: Score, before: Score | None) -> bool:
    """Whether a score counts instead of what the same run had before."""
    return before is None or score.firm or not before.firm


def rescored(evidence: Evidence, before: Score | None, score: Score) -> Evidence:
    """What there is to know of a guideline once a score has come, in place of what the same run had before."""
    if before is not None:
        evidence = _counted(evidence, before, -1)
    return _counted(evidence, score, 1)


def _counted(evidence: Evidence, score: Score, times: int) -> Evidence:
    if not score.shown:
        held_out = evidence.held_out + times
        without = _sum(evidence.held_out_score + times * score.score, held_out)
        return dataclasses.replace(evidence, held_out=held_out, held_out_score=without)
    used = evidence.used + times
    return dataclasses.replace(
        evidence,
        used=used,
        score=_sum(evidence.score + times * score.score, used),
        helpful=evidence.helpful + times * (score.score >= HELPFUL),
    )


def _sum(score: float, runs: int) -> float:
    """Taking away what was added leaves a last digit behind."""
    return min(max(score, 0.0), float(runs))
