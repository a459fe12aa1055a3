"""Tiers: models and how much they are to think, from the weakest to the strongest; and which of them are lost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agentinfer.collab._events import FallCause
from agentinfer.errors import (
    AgentInferError,
    AuthenticationFailed,
    BudgetSpent,
    ContextTooLong,
    ModelError,
    NotRecorded,
    RateLimited,
    RequestRefused,
    UnknownModel,
    UserError,
)
from agentinfer.models import Model, ThinkMode

__all__ = ["Outage", "Think", "Tier", "default_tiers", "nearest", "outage_of", "tier_of"]

Think = ThinkMode | Literal["auto"]
"""`auto`: fast or slow, by how hard the run has been so far."""

COOLDOWN = 3
"""Steps until a model that failed is tried again."""


@dataclass(frozen=True, slots=True)
class Tier:
    """A model, and how much it is to think."""

    name: str
    model: Model | Literal["small", "large"]
    """`small`: the small model given to `Collab`; `large`: the run's own."""
    think: Think | None = None
    """`None`: as the endpoint is set up."""

    def __post_init__(self) -> None:
        model: object = self.model
        if not isinstance(model, Model) and model not in ("small", "large"):
            raise UserError(f"Tier {self.name!r}: its model is 'small', 'large' or a Model, not {model!r}")
        if self.think not in (None, "fast", "slow", "adaptive", "auto"):
            raise UserError(f"Tier {self.name!r}: think is fast, slow, adaptive or auto, not {self.think!r}")


def tier_of(given: Any) -> Tier:
    """A tier, also of a configuration file: a table of `model` (`small`, `large`, or a table), `name` and `think`.

    Raises:
        UserError: It is none.
    """
    if isinstance(given, Tier):
        return given
    if not isinstance(given, Mapping) or not given.keys() <= {"name", "model", "think"} or "model" not in given:
        raise UserError(f"a tier is a table of model, name and think, not {given!r}")
    model = given["model"]
    if isinstance(model, Mapping):
        from pydantic import ValidationError

        from agentinfer.config import ModelConfig

        try:
            model = ModelConfig.model_validate(model).build()
        except ValidationError as error:
            raise UserError(f"a tier's model: {error}") from None
    name = given.get("name") or f"{model if isinstance(model, str) else model.name}-{given.get('think', '')}".strip("-")
    return Tier(str(name), model, given.get("think"))


def default_tiers(small: Model | None, thinking: Literal["rungs", "auto", "off"]) -> list[Tier]:
    """The small and the large model; where the small one can think slowly, that is the rung between them."""
    if thinking == "auto":
        return [Tier("small", "small", "auto"), Tier("large", "large", "auto")]
    if thinking == "rungs" and small is not None and small.profile.thinking is not None:
        return [Tier("small", "small", "fast"), Tier("small-slow", "small", "slow"), Tier("large", "large")]
    return [Tier("small", "small"), Tier("large", "large")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """Why a model is left out, and for how long."""

    cause: FallCause
    error: str
    until: int | None = None
    """The step from which on it is tried again; `None`: not in this run."""
    tokens: int | None = None
    """It is tried again with prompts shorter than this."""

    def holds(self, step: int, tokens: int | None) -> bool:
        """Whether the model is still left out.

        Args:
            step: The step to be made.
            tokens: The tokens of its prompt, where they are known.
        """
        if self.tokens is not None and tokens is not None:
            return tokens >= self.tokens
        return self.until is None or step < self.until


def outage_of(error: AgentInferError, step: int, tokens: int) -> Outage | None:
    """What an error means for its model; `None` where another model would fare no better."""
    if isinstance(error, BudgetSpent | NotRecorded | UserError):
        return None
    told = f"{type(error).__name__}: {error}"
    if isinstance(error, ContextTooLong):
        return Outage(cause="context_too_small", error=told, tokens=tokens)
    if isinstance(error, AuthenticationFailed | UnknownModel) or not isinstance(error, ModelError):
        return Outage(cause="unusable", error=told)
    cause: FallCause = "down"
    if isinstance(error, RateLimited):
        cause = "rate_limited"
    elif isinstance(error, RequestRefused):
        cause = "refused"
    return Outage(cause=cause, error=told, until=step + COOLDOWN)


def nearest(wanted: int, usable: Sequence[int], unseen: Mapping[int, int]) -> int | None:
    """The tier that stands in for another: the nearest, of two as near the one that has seen more, then the stronger.

    Args:
        wanted: The tier that is lost.
        usable: Those that are not.
        unseen: Tokens of the prompt that each has not seen.
    """
    return min(usable, key=lambda tier: (abs(tier - wanted), unseen.get(tier, 0), -tier), default=None)
