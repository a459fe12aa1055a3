"""What happened between the models of a run."""

from dataclasses import dataclass
from typing import Literal

from agentinfer.collab._policy import Phase
from agentinfer.collab._verdict import Verdict
from agentinfer.collab._vetoes import Veto
from agentinfer.events import Event
from agentinfer.ledger import Price

__all__ = ["FallCause", "ModelFellOver", "ModelSwitched", "ProgressJudged", "SwitchPutOff", "TierChosen"]

FallCause = Literal["down", "rate_limited", "context_too_small", "refused", "unusable"]
"""`refused`: this request; `unusable`: it cannot be started, has no price, or its key is not taken."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class TierChosen(Event):
    """Who makes a step, and how much it is to think."""

    step: int
    tier: str
    model: str
    phase: Phase
    think: str | None


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ProgressJudged(Event):
    """A step was judged."""

    step: int
    tier: str
    model: str
    said: Verdict
    """What the model says of its progress."""
    reason: str
    asked: bool
    """Whether it took a call of its own."""
    vetoes: tuple[Veto, ...]
    """Facts that speak against progress."""
    verdict: Verdict
    """What counts."""
    fresh: bool
    """Whether the step's tools showed something new."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ModelSwitched(Event):
    """Another model than before makes the next step."""

    step: int
    before: str
    model: str
    cause: str
    """`warmed_up`, `no_progress`, `progress`, `budget_spent`, `recovered`, or why a model fell out."""
    price: Price
    """What its prompt costs: `uncached_tokens` is what it has not seen."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class SwitchPutOff(Event):
    """Going back to a weaker model would cost more than it is expected to save."""

    step: int
    model: str
    price: Price


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ModelFellOver(Event):
    """A model could not make a step; another one makes it."""

    step: int
    model: str
    to: str
    cause: FallCause
    error: str
