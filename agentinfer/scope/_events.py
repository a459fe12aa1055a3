"""What guidelines do in a run, as events."""

from dataclasses import dataclass

from agentinfer.events import Event

__all__ = [
    "GuidelineLearned",
    "GuidelineMoved",
    "GuidelineRejected",
    "GuidelinesGiven",
    "LearningSkipped",
    "StoreDamaged",
]


@dataclass(frozen=True, kw_only=True)
class GuidelinesGiven(Event):
    """A run was given guidelines, or goes without."""

    shown: tuple[str, ...]
    """Their ids."""
    held_out: tuple[str, ...]
    """On trial, and left out of this run to see how it fares without."""
    placement: str
    characters: int


@dataclass(frozen=True, kw_only=True)
class GuidelineLearned(Event):
    """A guideline was drawn from a run."""

    text: str
    stream: str
    """`strategic`, `tactical`, or `support`: it is known, and has one more source now."""
    id: str | None
    """Where it is kept."""
    status: str | None
    reason: str


@dataclass(frozen=True, kw_only=True)
class GuidelineRejected(Event):
    """A draft was not taken."""

    text: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class GuidelineMoved(Event):
    """A guideline was kept, retired, or put on trial."""

    id: str
    status: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class LearningSkipped(Event):
    """There was something to learn, and no time or budget for it."""

    what: str
    reason: str


@dataclass(frozen=True, kw_only=True)
class StoreDamaged(Event):
    """A damaged file of guidelines was set aside, and a new one begun."""

    path: str
    """Where it is now."""
