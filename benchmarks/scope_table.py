"""The tables of `benchmarks.scope`: figures of both parts, guidelines, and what learning took."""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentinfer.errors import AgentInferError
from agentinfer.evals import Record, load_records, load_settings
from agentinfer.evals._bootstrap import interval_of, interval_of_difference
from agentinfer.evals._measures import EvalRun, Measure, measures_of
from agentinfer.evals._written import NOTHING, bounds, figure, plain, value
from agentinfer.scope import Snapshot, Space, SqliteStore, state_at

__all__ = ["LEARNING", "STORE", "render"]

LEARNING = "learning.jsonl"
STORE = "guidelines.db"
FIGURES = ("solved", "grade:f1", "steps", "tokens", "cached_share", "seconds")
SHOWN = 8
"""Guidelines of a row that are shown word for word."""
Options = Mapping[str, int]


def render(folders: Sequence[Path], *, seed: int = 0, resamples: int = 2000) -> str:
    """The tables of these rows, the first of which the others are compared with, as text."""
    options = {"seed": seed, "resamples": resamples}
    lines: list[str] = []
    for part, title in (("learn", "Learning part"), ("judge", "Judged part, guidelines frozen")):
        runs = [run for folder in folders if (run := _run(folder, part)) is not None]
        if runs:
            lines += [f"## {title}{_signal(runs)}", "", *_table(runs, options, first=folders[0].name), ""]
    lines += ["## Guidelines", "", *(line for folder in folders for line in _guidelines(folder))]
    return "\n".join(lines)


def _run(folder: Path, part: str) -> EvalRun | None:
    """One part of a row; nothing where it has no finished question."""
    try:
        records = load_records(folder / part)
    except AgentInferError:
        return None
    return EvalRun(name=folder.name, directory=folder / part, records=records, large=None) if records else None


def _signal(runs: Sequence[EvalRun]) -> str:
    """What plug-ins were told of the answers of these runs."""
    told = {load_settings(run.directory)["settings"].get("feedback") for run in runs} - {None}
    return f" (told: {', '.join(sorted(told))})" if told else ""


def _table(runs: Sequence[EvalRun], options: Options, *, first: str) -> list[str]:
    """A line per figure: each run's own, and its difference from the first over the questions that both have."""
    base = runs[0] if runs[0].name == first else None
    measures = {measure.name: measure for measure in measures_of(runs)}
    rows = [
        ["", *(run.name for run in runs)],
        ["---"] * (len(runs) + 1),
        ["questions", *(str(len(run.records)) for run in runs)],
        *([m.title, *(_cell(m, base, run, options) for run in runs)] for m in (measures[name] for name in FIGURES)),
    ]
    return [f"| {' | '.join(row)} |" for row in rows]


def _cell(measure: Measure, base: EvalRun | None, run: EvalRun, options: Options) -> str:
    own = figure(interval_of(measure.terms(run, run.records), **options), measure.kind)
    if base is None or run is base or own == NOTHING:
        return own
    pairs = _paired(base.records, run.records)
    if not pairs:
        return own
    before = measure.terms(base, [one for one, _ in pairs])
    after = measure.terms(run, [other for _, other in pairs])
    difference = interval_of_difference(before, after, **options)
    if difference is None:
        return own
    change = value(difference.estimate, measure.kind, sign=True)
    return f"{own}; {change} {bounds(difference, measure.kind, sign=True)}"


def _paired(before: Sequence[Record], after: Sequence[Record]) -> list[tuple[Record, Record]]:
    others = {record.id: record for record in after}
    return [(record, others[record.id]) for record in before if record.id in others]


def _guidelines(folder: Path) -> list[str]:
    """What a row has learned, and what that took; nothing where it has another row's store."""
    if not (folder / "learn").is_dir():
        return []
    spent = _lines(folder / "learn" / "other_usage.jsonl")
    tokens = sum((one.get("prompt_tokens") or 0) + (one.get("completion_tokens") or 0) for one in spent)
    if not (folder / STORE).exists():
        return []
    run = _run(folder, "learn")
    own = 0 if run is None else sum(record.prompt_tokens + record.completion_tokens for record in run.records)
    share = f", {tokens / own:.0%} of what the questions took" if own else ""
    lines = [f"{folder.name}: {tokens:,} tokens for learning{share}"]
    if lessons := _lessons(folder):
        lines.append("  lessons: " + ", ".join(f"{number} {what}" for what, number in lessons.most_common()))
    try:
        lines += [f"  {line}" for line in asyncio.run(_stored(folder / STORE))]
    except AgentInferError as error:
        lines.append(f"  {error}")
    return lines


def _lessons(folder: Path) -> Counter[str]:
    """What became of all that was to be learned: beside the runs, and in them."""
    events = _lines(folder / LEARNING)
    for path in (folder / "learn" / "trajectories").glob("*.json"):
        events += json.loads(path.read_text(encoding="utf-8"))["events"]
    named = {"GuidelineRejected": "rejected", "LearningSkipped": "skipped", "PluginFailed": "failed"}
    told = [event["stream"] if event["kind"] == "GuidelineLearned" else named.get(event["kind"]) for event in events]
    return Counter(what for what in told if what)


def _lines(path: Path) -> list[dict[str, Any]]:
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    return [json.loads(line) for line in text.splitlines() if line.strip()]


async def _stored(path: Path) -> list[str]:
    store = SqliteStore(path, create=False)
    try:
        return [line for space in await store.spaces() for line in await _space(store, space)] or ["0 tried"]
    finally:
        await store.aclose()


async def _space(store: SqliteStore, space: Space) -> list[str]:
    history = await store.history(space)
    tried = {change.id for change in history if change.after.active}
    now = Counter(guideline.status for guideline in state_at(history, sys.maxsize).values())
    fates = ", ".join(f"{now[status]} {status}" for status in ("kept", "trial", "retired", "quarantined"))
    return [f"{len(tried)} tried; now {fates}", *_shown(await store.load(space))]


def _shown(snapshot: Snapshot) -> list[str]:
    """The guidelines that runs are given, with what speaks for them."""
    lines = []
    for guideline in snapshot.active[:SHOWN]:
        worth = snapshot.worth(guideline.id)
        means = [
            f"{score / runs:.2f} in {runs}" if runs else "none"
            for score, runs in ((worth.score, worth.used), (worth.held_out_score, worth.held_out))
        ]
        lines.append(f"- {guideline.status}, with {means[0]}, without {means[1]}: {plain(guideline.text, 160)}")
    more = len(snapshot.active) - SHOWN
    return [*lines, *([f"- and {more} more"] if more > 0 else [])]
