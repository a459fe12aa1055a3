"""What a set of records comes to."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from agentinfer.errors import UserError
from agentinfer.evals._record import Record, Waste

__all__ = ["Difficulty", "Summary", "Totals", "summarise"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """What questions took: all together, or on average. `None` where it is unknown for some of them."""

    steps: float
    search_rounds: float
    tool_calls: float
    model_calls: float
    prompt_tokens: float
    cached_tokens: float | None
    completion_tokens: float
    reasoning_tokens: float | None
    cost: float | None
    seconds: float
    model_seconds: float
    tool_seconds: float
    overhead_seconds: float

    def per(self, number: int) -> "Totals":
        """These totals divided by a number of questions."""
        values: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        shares: dict[str, Any] = {name: None if value is None else value / number for name, value in values.items()}
        return Totals(**shares)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difficulty:
    """The questions that need so many documents."""

    questions: int
    accuracy: float
    """The share of them that is solved, 0 to 1."""
    recall: float | None
    """The mean over those whose supporting titles are known."""
    search_rounds: float
    """On average."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a set of records comes to. Each question was asked once: accuracy is pass@1."""

    questions: int
    solved: int
    grades: Mapping[str, float]
    """The mean of each grader's grades, over the questions it graded."""
    grading_errors: Mapping[str, int]
    """How often each grader raised."""
    recall: float | None
    """The mean over the questions whose supporting titles are known."""
    totals: Totals
    per_question: Totals
    per_solved: Totals | None
    """All that was spent, on solved and unsolved questions alike, per solved one; `None` where none is solved."""
    estimated_calls: int
    """Model calls whose tokens are estimates."""
    stop_reasons: Mapping[str, int]
    hops: Mapping[str, Difficulty]
    """By the number of documents a question needs, where that is known."""
    waste: Waste
    """Of all questions together."""
    load: tuple[float, float] | None
    """The lowest and the highest load average of the machine at the end of a question."""
    concurrency: tuple[int, ...]
    """How many questions were at work at once; several values where sessions differed."""
    configs: tuple[str, ...]
    versions: tuple[Mapping[str, str], ...]
    """What made the results; several where sessions differed."""

    @property
    def accuracy(self) -> float:
        """The share of solved questions (pass@1)."""
        return self.solved / self.questions

    def to_dict(self) -> dict[str, Any]:
        """The summary as JSON-able data."""
        return {"accuracy": self.accuracy, **asdict(self)}


def summarise(records: Iterable[Record]) -> Summary:
    """Sum up records, one per question.

    Raises:
        UserError: There are none, or two of one question: runs of one question are not put together.
    """
    records = list(records)
    if not records:
        raise UserError("there are no results to sum up")
    if len({record.id for record in records}) < len(records):
        raise UserError("there are two results of one question: sum up each set of runs by itself")
    solved = sum(record.solved for record in records)
    totals = Totals(**{f.name: _sum(records, f.name) for f in fields(Totals)})
    loads = [record.load for record in records if record.load is not None]
    return Summary(
        questions=len(records),
        solved=solved,
        grades={name: _mean(record.grades.get(name) for record in records) or 0.0 for name in _graders(records)},
        grading_errors=dict(Counter(name for record in records for name in record.grading_errors)),
        recall=_mean(record.recall for record in records),
        totals=totals,
        per_question=totals.per(len(records)),
        per_solved=totals.per(solved) if solved else None,
        estimated_calls=sum(record.estimated_calls for record in records),
        stop_reasons=dict(Counter(record.stop_reason for record in records).most_common()),
        hops=_by_hops(records),
        waste=Waste(**{f.name: sum(getattr(record.waste, f.name) for record in records) for f in fields(Waste)}),
        load=(min(loads), max(loads)) if loads else None,
        concurrency=_distinct(records, lambda record: record.concurrency),
        configs=_distinct(records, lambda record: record.config),
        versions=_distinct(records, lambda record: record.versions),
    )


def _graders(records: Sequence[Record]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for record in records for name in (*record.grades, *record.grading_errors)))


def _sum(records: Sequence[Record], name: str) -> Any:
    values = [getattr(record, name) for record in records]
    return None if None in values else sum(values)


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _by_hops(records: Sequence[Record]) -> dict[str, Difficulty]:
    groups: dict[int, list[Record]] = {}
    for record in records:
        if record.hops is not None:
            groups.setdefault(record.hops, []).append(record)
    return {
        str(hops): Difficulty(
            questions=len(group),
            accuracy=sum(record.solved for record in group) / len(group),
            recall=_mean(record.recall for record in group),
            search_rounds=sum(record.search_rounds for record in group) / len(group),
        )
        for hops, group in sorted(groups.items())
    }


def _distinct(records: Sequence[Record], of: Callable[[Record], Any]) -> tuple[Any, ...]:
    found: list[Any] = []
    for record in records:
        if of(record) not in found:
            found.append(of(record))
    return tuple(found)
