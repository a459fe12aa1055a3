"""What is measured: figures as ratios of two sums over questions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agentinfer.evals._bootstrap import Terms
from agentinfer.evals._record import Record

__all__ = ["EvalRun", "Kind", "Measure", "measures_of"]

Kind = Literal["share", "number", "tokens", "seconds", "money"]
"""How a figure is written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalRun:
    """One folder of results."""

    name: str
    """What it is called beside the others."""
    directory: Path
    records: Sequence[Record]
    """By id."""
    large: str | None
    """The name of its large model, where it is known."""


_Term = Callable[[EvalRun, Record], float | None]


def _one(run: EvalRun, record: Record) -> float:
    del run, record
    return 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One figure."""

    name: str
    title: str
    kind: Kind
    top: _Term
    """What a question adds to the sum above the line; `None`: it has no say."""
    bottom: _Term = _one
    """What it adds to the sum below."""
    good: Literal["more", "less"] | None = "less"
    """Which direction is better, where one is."""
    per_solved: bool = False
    """Whether it is told for each solved question instead of each question."""

    def terms(self, run: EvalRun, records: Sequence[Record]) -> Terms:
        """What each question adds to the two sums."""
        pairs = [(self.top(run, record), self.bottom(run, record)) for record in records]
        if self.kind == "money" and any(top is None for top, _ in pairs):
            return [(0.0, 0.0) for _ in pairs]  # a sum that leaves out what is unknown would look cheap
        return [(0.0, 0.0) if top is None or bottom is None else (top, bottom) for top, bottom in pairs]


def measures_of(runs: Sequence[EvalRun]) -> list[Measure]:
    """All figures that these runs can be compared by."""
    graders = dict.fromkeys(name for run in runs for record in run.records for name in record.grades)
    grades = [_grade(name) for name in graders]
    spent = [_spent(*row) for row in _SPENT]
    per_solved = [_spent(*row, per_solved=True) for row in _SPENT]
    return [_SOLVED, *grades, *_SHARES, *spent, *per_solved]


def _grade(name: str) -> Measure:
    return Measure(
        name=f"grade:{name}",
        title=name.replace("_", " "),
        kind="share",
        top=lambda run, record: record.grades.get(name),
        good="more",
    )


def _tokens(record: Record) -> float:
    return record.prompt_tokens + record.completion_tokens


def _large_calls(run: EvalRun, record: Record) -> float | None:
    if run.large is None:
        return None
    return sum(share.calls for name, share in record.models.items() if name == run.large)


def _solved(run: EvalRun, record: Record) -> float:
    del run
    return float(record.solved)


_SOLVED = Measure(name="solved", title="solved", kind="share", top=_solved, good="more")
_SHARES = (
    Measure(
        name="recall",
        title="recall of supporting titles",
        kind="share",
        top=lambda run, record: record.recall,
        good="more",
    ),
    Measure(
        name="cached_share",
        title="cached share of prompt tokens",
        kind="share",
        top=lambda run, record: record.cached_tokens,
        bottom=lambda run, record: None if record.cached_tokens is None else record.prompt_tokens,
        good="more",
    ),
    Measure(
        name="large_share",
        title="large model's share of calls",
        kind="share",
        top=_large_calls,
        bottom=lambda run, record: sum(share.calls for share in record.models.values()),
        good=None,
    ),
    Measure(
        name="tokens_per_step",
        title="tokens per step",
        kind="tokens",
        top=lambda run, record: _tokens(record),
        bottom=lambda run, record: record.steps,
    ),
)

_SPENT: tuple[tuple[str, str, Kind, Callable[[Record], float | None]], ...] = (
    ("steps", "steps", "number", lambda record: record.steps),
    ("search_rounds", "search rounds", "number", lambda record: record.search_rounds),
    ("tokens", "tokens", "tokens", _tokens),
    ("prompt_tokens", "- prompt", "tokens", lambda record: record.prompt_tokens),
    ("cached_tokens", "- of it cached", "tokens", lambda record: record.cached_tokens),
    ("completion_tokens", "- completion", "tokens", lambda record: record.completion_tokens),
    ("reasoning_tokens", "- of it reasoning", "tokens", lambda record: record.reasoning_tokens),
    ("rebilled_tokens", "- billed again after a break", "tokens", lambda record: record.waste.rebilled_tokens),
    ("bad_step_tokens", "- in repeated or failed steps", "tokens", lambda record: record.waste.bad_step_tokens),
    ("discarded_tokens", "- in replies not used", "tokens", lambda record: record.waste.discarded_tokens),
    ("unused_tokens", "- retrieved, never used", "tokens", lambda record: record.waste.unused_tokens),
    ("seconds", "seconds", "seconds", lambda record: record.seconds),
    ("model_seconds", "- model", "seconds", lambda record: record.model_seconds),
    ("tool_seconds", "- tools", "seconds", lambda record: record.tool_seconds),
    ("overhead_seconds", "- overhead", "seconds", lambda record: record.overhead_seconds),
    ("cost", "cost", "money", lambda record: record.cost),
)

_NEITHER = ("search_rounds", "cached_tokens")
"""Of these neither more nor less is better in itself."""


def _spent(
    name: str, title: str, kind: Kind, amount: Callable[[Record], float | None], *, per_solved: bool = False
) -> Measure:
    def top(run: EvalRun, record: Record) -> float | None:
        del run
        return amount(record)

    return Measure(
        name=f"{name}_per_solved" if per_solved else name,
        title=title,
        kind=kind,
        top=top,
        bottom=_solved if per_solved else _one,
        good=None if name in _NEITHER else "less",
        per_solved=per_solved,
    )
