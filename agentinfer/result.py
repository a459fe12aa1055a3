"""What a run came to."""

import dataclasses
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from pydantic_core import to_jsonable_python

from agentinfer.errors import AgentInferError
from agentinfer.events import Event
from agentinfer.run import Run
from agentinfer.step import StepResult
from agentinfer.tools import Workspace
from agentinfer.transcript import Message
from agentinfer.usage import Usage

__all__ = ["RunResult", "StopReason"]

T = TypeVar("T")

StopReason = Literal[
    "answered",
    "steps",
    "tokens",
    "cost",
    "seconds",
    "repeated_calls",
    "malformed_replies",
    "invalid_answer",
    "error",
    "cancelled",
]
"""Why a run ended: with an answer of its own accord; at a limit; since it repeated itself or could not be read; since
its answer never fitted `output_type`; since a model failed for good; or since it was cancelled."""


@dataclass(frozen=True, kw_only=True)
class RunResult(Generic[T]):
    """What a run came to."""

    answer: T | None
    """The answer: a string, or what `output_type` asked for; `None` where there is none."""
    stop_reason: StopReason
    error: AgentInferError | None = None
    """What ended the run, where `stop_reason` is `error`."""
    run: Run = field(repr=False)
    seconds: float = 0.0
    """Wall time from start to end, waiting for the session's other runs left out."""

    @property
    def steps(self) -> tuple[StepResult, ...]:
        """The steps made."""
        return tuple(self.run.steps)

    @property
    def messages(self) -> tuple[Message, ...]:
        """The whole transcript."""
        return tuple(self.run.transcript)

    @property
    def usage(self) -> Usage:
        """What was spent, the plug-ins' calls included."""
        return self.run.usage

    @property
    def cost(self) -> float | None:
        """Money spent; `None` where a price is unknown."""
        return self.usage.cost

    @property
    def events(self) -> tuple[Event, ...]:
        """What happened, the deltas of replies left out."""
        return tuple(self.run.events)

    @property
    def workspace(self) -> Workspace:
        """The full texts of results that were too long to show, by handle."""
        return self.run.workspace

    def raise_for_error(self) -> "RunResult[T]":
        """This result, unless a model failed for good.

        Raises:
            AgentInferError: What ended the run.
        """
        if self.error is not None:
            raise self.error
        return self

    def to_dict(self) -> dict[str, Any]:
        """The result as JSON-able data, with the whole transcript."""
        answer = to_jsonable_python(self.answer, fallback=str)
        return {
            "answer": answer,
            "stop_reason": self.stop_reason,
            "error": f"{type(self.error).__name__}: {self.error}" if self.error else None,
            "run_id": self.run.id,
            "seconds": round(self.seconds, 3),
            "steps": len(self.steps),
            "usage": {**dataclasses.asdict(self.usage), "total_tokens": self.usage.total_tokens},
            "usage_by_purpose": {name: dataclasses.asdict(usage) for name, usage in self.run.calls.by_purpose.items()},
            "messages": [message.to_dict() for message in self.messages],
        }
