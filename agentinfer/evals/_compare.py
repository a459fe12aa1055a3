"""Configurations side by side: what each is worth, what it spends, and where they differ."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agentinfer.evals._bootstrap import Interval, figure_of, interval_of, interval_of_difference
from agentinfer.evals._errors import EvalError
from agentinfer.evals._measures import EvalRun, Measure, measures_of
from agentinfer.evals._record import Record
from agentinfer.evals._results import load_records, load_settings

__all__ = ["MARGIN", "RESAMPLES", "Comparison", "Difference", "Duel", "compare"]

RESAMPLES = 2000
MARGIN = 0.1
"""How wide the interval of a difference may be: of shares in points (0.1 is ten), of all else of the first's figure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """How a figure differs from the first configuration's."""

    interval: Interval
    relative: float | None
    """The difference as a share of the first's figure."""
    verdict: str
    """`better` or `worse` (`more` or `less` where neither is better), or `the same`. Where the interval is too wide,
    `inconclusive`, or at least `how much is inconclusive`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duel:
    """One configuration against the first."""

    first: EvalRun
    second: EvalRun
    common: int
    """Questions that both have answered; only these count here."""
    differences: Mapping[str, Difference | None]
    """By the measure's name."""
    wins: Sequence[tuple[Record, Record]]
    """Questions that only the second solved: the first's record and its own."""
    losses: Sequence[tuple[Record, Record]]
    """Questions that only the first solved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Configurations side by side."""

    runs: Sequence[EvalRun]
    measures: Sequence[Measure]
    """Those that at least one run has a figure for, and that are not zero in all."""
    figures: Sequence[Mapping[str, Interval | None]]
    """For each run, by the measure's name, over all its questions."""
    duels: Sequence[Duel]
    """Every further run against the first."""
    seed: int
    resamples: int
    margin: float


def compare(
    directories: Sequence[str | os.PathLike[str]],
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
    margin: float = MARGIN,
    large: str | None = None,
) -> Comparison:
    """Compare folders of results.

    Args:
        directories: The folders; the first is what the others are compared to.
        seed: Of the draws; the same seed gives the same intervals.
        resamples: How many draws.
        margin: How wide the interval of a difference may be before it is called inconclusive.
        large: The name of the large model; what each folder's configuration says unless given.

    Raises:
        EvalError: A folder cannot be read, is empty, or has no question in common with the first.
    """
    if not directories:
        raise EvalError("there is nothing to compare")
    if resamples < 1 or not margin > 0:
        raise EvalError("the number of resamples and the margin must be positive")
    names = _names([Path(directory) for directory in directories])
    runs = [_load(Path(path), name, large) for path, name in zip(directories, names, strict=True)]
    options = {"seed": seed, "resamples": resamples}
    measures = measures_of(runs)
    figures = [{m.name: interval_of(m.terms(run, run.records), **options) for m in measures} for run in runs]
    return Comparison(
        runs=runs,
        measures=[m for m in measures if _tells(m, [figure[m.name] for figure in figures])],
        figures=figures,
        duels=[_duel(runs[0], run, measures, margin, options) for run in runs[1:]],
        margin=margin,
        **options,
    )


def _names(paths: Sequence[Path]) -> list[str]:
    """The folders' own names; whole paths where two share one."""
    count = Counter(path.resolve().name for path in paths)
    return [path.resolve().name if count[path.resolve().name] == 1 else str(path) for path in paths]


def _load(directory: Path, name: str, large: str | None) -> EvalRun:
    records = sorted(load_records(directory), key=lambda record: record.id)
    if not records:
        raise EvalError(f"{directory} holds no finished question")
    return EvalRun(name=name, directory=directory, records=records, large=large or _large(directory, records))


def _large(directory: Path, records: Sequence[Record]) -> str | None:
    """The large model: the agent's own, as the configuration says; else the only one there is."""
    try:
        return str(load_settings(directory)["settings"]["agent"]["model"]["name"])
    except (EvalError, KeyError, TypeError):
        names = {name for record in records for name in record.models}
        return names.pop() if len(names) == 1 else None


def _tells(measure: Measure, intervals: Sequence[Interval | None]) -> bool:
    known = [interval for interval in intervals if interval is not None]
    return any(interval.estimate for interval in known) or (bool(known) and measure.kind == "share")


def _duel(
    first: EvalRun, second: EvalRun, measures: Sequence[Measure], margin: float, options: Mapping[str, int]
) -> Duel:
    others = {record.id: record for record in second.records}
    pairs = [(record, others[record.id]) for record in first.records if record.id in others]
    if not pairs:
        raise EvalError(f"{second.directory} has no question in common with {first.directory}")
    ours, theirs = [one for one, _ in pairs], [other for _, other in pairs]
    differences: dict[str, Difference | None] = {}
    for measure in measures:
        terms = measure.terms(first, ours), measure.terms(second, theirs)
        interval = interval_of_difference(terms[0], terms[1], **options)
        differences[measure.name] = _difference(measure, figure_of(terms[0]), interval, margin)
    return Duel(
        first=first,
        second=second,
        common=len(pairs),
        differences=differences,
        wins=[(one, other) for one, other in pairs if other.solved and not one.solved],
        losses=[(one, other) for one, other in pairs if one.solved and not other.solved],
    )


def _difference(measure: Measure, base: float | None, interval: Interval | None, margin: float) -> Difference | None:
    if base is None or interval is None:
        return None
    wide = interval.width > (margin if measure.kind == "share" else margin * abs(base))
    if interval.holds_zero:
        verdict = "inconclusive" if wide else "the same"
    else:
        verdict = "more" if interval.low > 0 else "less"
        if measure.good is not None:
            verdict = "better" if verdict == measure.good else "worse"
        verdict += ", how much is inconclusive" if wide else ""
    relative = interval.estimate / abs(base) if base else None
    return Difference(interval=interval, relative=relative, verdict=verdict)
