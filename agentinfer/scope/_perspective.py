"""Perspectives: what a run's guidelines are to be good for. Each has a memory of its own (SCOPE, arXiv 2512.15374)."""

from contextvars import ContextVar
from dataclasses import dataclass

from agentinfer.errors import UserError

__all__ = ["CURRENT", "EFFICIENCY", "THOROUGHNESS", "Perspective"]


@dataclass(frozen=True, slots=True)
class Perspective:
    """What guidelines are to be good for.

    Raises:
        UserError: It has no name.
    """

    name: str
    """Names its memory."""
    focus: str
    """Told to the model that writes guidelines."""

    def __post_init__(self) -> None:
        if not self.name.strip():
            raise UserError("a perspective needs a name")


EFFICIENCY = Perspective(
    "efficiency",
    "What counts is to come to the answer in few steps: which calls to leave out, what to do at once, when to hand "
    "over or stop instead of trying again.",
)
THOROUGHNESS = Perspective(
    "thoroughness",
    "What counts is that the answer is right: which other ways and sources to try, what to check before answering, "
    "what not to overlook.",
)

CURRENT: ContextVar[Perspective | None] = ContextVar("agentinfer.scope.perspective", default=None)
"""The perspective of the runs that are started in this context."""
