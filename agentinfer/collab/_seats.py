"""The tiers of one run, and what a step of each model takes."""

from dataclasses import dataclass

from agentinfer.collab._tiers import Think
from agentinfer.models import Model, Thinking
from agentinfer.step import StepResult

__all__ = ["Seat", "Usual"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A tier in one run."""

    name: str
    model: Model
    """As it is asked: with the check in its replies."""
    think: Think | None
    thinking: Thinking | None

    @property
    def key(self) -> str:
        """What tells the models of a run apart: several seats may share one."""
        return f"{self.model.endpoint} {self.model.name}"


@dataclass(slots=True)
class Usual:
    """What a step of a model takes: moving averages."""

    seconds: float | None = None
    cost: float | None = None

    def note(self, result: StepResult) -> None:
        """Take one more step into account."""
        self.seconds = _mean(self.seconds, result.model_seconds)
        if result.usage.cost is not None:
            self.cost = _mean(self.cost, result.usage.cost)


def _mean(old: float | None, new: float) -> float:
    return new if old is None else 0.5 * old + 0.5 * new
