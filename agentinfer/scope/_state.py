"""The settings of the plug-in, and what is kept with each run."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, PrivateAttr

from agentinfer.models import Model
from agentinfer.result import RunResult
from agentinfer.scope._accept import AcceptPolicy
from agentinfer.scope._trial import TrialPolicy

if TYPE_CHECKING:
    from agentinfer.scope._bound import Bound

__all__ = ["ScopeState", "Settings", "own_outcome"]


class ScopeState(BaseModel):
    """What is kept with a run, so that it can be resumed and judged later."""

    given: bool = False
    memory: str = ""
    shown: list[str] = []
    """Ids drawn to be shown."""
    held_out: list[str] = []
    """Ids drawn to be held out."""
    block: list[str] = []
    """The texts of the strategic guidelines that the run was given."""
    tactical: list[str] = []
    """What this run was told."""
    learned_from: list[str] = []
    """Triggers; the same one is learned from once per run."""
    spent: float = 0.0
    """By learning from this run."""
    _bound: "Bound | None" = PrivateAttr(None)

    @property
    def bound(self) -> "Bound | None":
        """What the plug-in does in the run, as long as the run is held in memory; it is not kept with it."""
        return self._bound

    def bind(self, bound: "Bound") -> None:
        """Note it."""
        self._bound = bound


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of the plug-in; `Scope` tells what they mean."""

    small: Model | None
    placement: str
    learn: str
    give: str
    evidence: str
    score: Callable[[RunResult[Any]], float | None]
    texts: bool
    best_of: int
    share: float
    timeout: float
    max_tokens: int
    max_chars: int
    accept: AcceptPolicy
    trial: TrialPolicy


def own_outcome(result: RunResult[Any]) -> float | None:
    """What a run scores by itself, 0 to 1.

    1 for an answer of its own accord, half of that for one it was made to give, 0 for none; less by up to a half for
    the share of its steps that only failed or repeated. `None` where it broke off: that says nothing about guidelines.
    """
    if result.stop_reason in ("error", "cancelled"):
        return None
    if result.answer is None or not result.steps:
        return 0.0
    bad = [s for s in result.steps if s.problem or (s.results and all(r.outcome != "ok" for r in s.results))]
    worth = 1 - len(bad) / len(result.steps) / 2
    return worth if result.stop_reason == "answered" else worth / 2
