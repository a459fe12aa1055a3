"""What is kept of one question: a line of `results.jsonl`."""

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentinfer.result import StopReason

__all__ = ["RESULTS_VERSION", "ModelShare", "Record", "Waste"]

RESULTS_VERSION = 1
"""The version of what a folder of results holds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waste:
    """What a run spent to no effect. Tokens are counted once per cause; one token may have several."""

    rebilled_tokens: int = 0
    """Tokens of prompts that were sent again after a prefix break: the endpoint had read them and lost them."""
    bad_steps: int = 0
    """Steps that only repeated calls, only failed, or could not be read."""
    bad_step_tokens: int = 0
    """Prompt tokens not cached, and completion tokens, of those steps."""
    discarded_tokens: int = 0
    """Tokens of step calls that gave no step: replies that broke off, and calls that a plug-in did not use."""
    documents: int = 0
    """Documents that were retrieved, each counted once."""
    unused_documents: int = 0
    """Those that were neither opened, nor named by the model afterwards, nor hold the answer."""
    unused_tokens: int = 0
    """About how many tokens showing those took, each time they were shown; a quarter of their characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelShare:
    """What one model did in a run."""

    calls: int = 0
    """Calls that gave a reply, plug-ins' calls included."""
    prompt_tokens: int = 0
    completion_tokens: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One question, answered and graded."""

    id: str
    question: str
    answers: tuple[str, ...]
    answer: str | None
    grades: Mapping[str, float]
    """By the grader's name, 0 to 1. A grader that raised has none."""
    grading_errors: Mapping[str, str] = field(default_factory=dict)
    """What graders raised."""
    solved: bool
    """Whether the first grader says 1."""
    recall: float | None
    """The share of the supporting titles that the run retrieved; `None` where none are known, or nothing searches."""
    stop_reason: StopReason
    error: str | None
    hops: int | None = None
    source: str | None = None

    steps: int
    search_rounds: int
    """Steps that searched."""
    tool_calls: int
    model_calls: int
    estimated_calls: int
    """Model calls whose tokens are estimates, since the endpoint did not report them."""
    prompt_tokens: int
    """Cached ones included."""
    cached_tokens: int | None
    """Read from the endpoint's prefix cache; `None`: not reported."""
    completion_tokens: int
    """Reasoning included."""
    reasoning_tokens: int | None
    cost: float | None
    """Money, in the currency of the model's pricing; `None` where a price is unknown."""
    models: Mapping[str, ModelShare]
    """What each model did, by its name."""
    waste: Waste

    seconds: float
    """Wall time from the question to the answer, without grading."""
    model_seconds: float
    """Of the model calls that gave a reply, plug-ins' calls included; calls side by side count in full."""
    tool_seconds: float
    """Of the steps' tool calls; calls of one step side by side count once."""
    overhead_seconds: float
    """The rest."""

    config: str
    """The configuration's name."""
    seed: int
    concurrency: int
    """How many questions were at work at once."""
    time: float
    """When the run started, in seconds since the epoch."""
    load: float | None
    """The machine's load average over one minute, at the run's end; a model on the machine is part of it."""
    versions: Mapping[str, str]

    def to_line(self) -> str:
        """This record as one line of JSON, without its end."""
        return json.dumps(dataclasses.asdict(self), ensure_ascii=False)

    @classmethod
    def from_line(cls, line: str) -> "Record":
        """The record that `to_line` wrote. Fields of later versions are left out.

        Raises:
            ValueError: The line is none.
        """
        data: Any = json.loads(line)
        if not isinstance(data, dict):
            raise ValueError("not a JSON object")  # noqa: TRY004 - all that is wrong with a line is one kind of error
        try:
            models = {name: ModelShare(**_known(ModelShare, share)) for name, share in data["models"].items()}
            waste = Waste(**_known(Waste, data["waste"]))
            fields = {**_known(cls, data), "answers": tuple(data["answers"]), "models": models, "waste": waste}
            return cls(**fields)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"not a result: {error}") from None


def _known(cls: type[Any], data: Mapping[str, Any]) -> dict[str, Any]:
    names = {f.name for f in dataclasses.fields(cls)}
    return {name: value for name, value in data.items() if name in names}
