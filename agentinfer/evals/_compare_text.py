"""A comparison as text."""

from collections.abc import Sequence

from agentinfer.evals._bootstrap import LEVEL
from agentinfer.evals._compare import Comparison, Duel
from agentinfer.evals._record import Record
from agentinfer.evals._summary import summarise
from agentinfer.evals._written import about, answers_of, change, figure, plain, title

__all__ = ["by_difficulty", "how_sure", "render_comparison"]

COLUMNS = 3
"""Configurations side by side in one table; more go below."""
WIDTH = 120
ANSWER = 60
"""Characters of an answer."""


def render_comparison(comparison: Comparison, *, questions: int | None = 20) -> str:
    """A comparison as text.

    Args:
        comparison: What to show.
        questions: How many wins and losses to list of each; `None` for all.
    """
    lines = [plain(f"{run.name}: {about(run)}", 400) for run in comparison.runs]
    lines += ["", how_sure(comparison)]
    for start in range(0, len(comparison.runs), COLUMNS):
        lines += ["", *_figures(comparison, range(start, min(start + COLUMNS, len(comparison.runs))))]
    lines += ["", *_aligned([[plain(cell, 40) for cell in row] for row in by_difficulty(comparison)])]
    for duel in comparison.duels:
        lines += ["", *_duel(comparison, duel, questions)]
    return "\n".join(lines)


def how_sure(comparison: Comparison) -> str:
    """What the intervals are, in one sentence."""
    return (
        f"In brackets: {LEVEL:.0%} intervals by {comparison.resamples:,} draws of the questions "
        f"(seed {comparison.seed}). Each question was asked once (pass@1)."
    )


def _figures(comparison: Comparison, shown: range) -> list[str]:
    rows = [["", *(plain(comparison.runs[at].name, 40) for at in shown)]]
    rows += [
        [plain(title(measure), 60), *(figure(comparison.figures[at][measure.name], measure.kind) for at in shown)]
        for measure in comparison.measures
    ]
    return _aligned(rows)


def by_difficulty(comparison: Comparison) -> list[list[str]]:
    """Search rounds against how many documents a question needs, as a table; empty where that is not known."""
    rows = [
        [hops, run.name, str(group.questions), f"{group.accuracy:.1%}", f"{group.search_rounds:.2f}"]
        for run in comparison.runs
        for hops, group in summarise(run.records).hops.items()
    ]
    heading = ["documents needed", "", "questions", "solved", "search rounds"]
    return [heading, *sorted(rows, key=lambda row: int(row[0]))] if rows else []


def _duel(comparison: Comparison, duel: Duel, questions: int | None) -> list[str]:
    first, second = plain(duel.first.name, 40), plain(duel.second.name, 40)
    rows = [
        [plain(title(measure), 60), *change(duel.differences[measure.name], measure.kind)]
        for measure in comparison.measures
        if duel.differences[measure.name] is not None
    ]
    return [
        f"{second} against {first}, over the {duel.common} questions that both have answered{_left_out(duel)}; "
        f"wider than {comparison.margin:.0%} is inconclusive",
        *_aligned(rows),
        *_questions(f"won: {len(duel.wins)} that only {second} solved", duel.wins, questions),
        *_questions(f"lost: {len(duel.losses)} that only {first} solved", duel.losses, questions),
    ]


def _left_out(duel: Duel) -> str:
    extra = [(len(run.records) - duel.common, run.name) for run in (duel.first, duel.second)]
    told = ", ".join(f"{number} only in {plain(name, 40)}" for number, name in extra if number)
    return f" ({told})" if told else ""


def _questions(heading: str, pairs: Sequence[tuple[Record, Record]], limit: int | None) -> list[str]:
    lines = [heading]
    for one, other in pairs[:limit]:
        question, right, before, after = answers_of(one, other)
        lines.append(f"  {plain(f'{one.id}  {question}', WIDTH - 2)}")
        lines.append(f"    {plain(before, ANSWER)} -> {plain(after, ANSWER)} (right: {plain(right, ANSWER)})")
    if limit is not None and len(pairs) > limit:
        lines.append(f"  and {len(pairs) - limit} more")
    return lines


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))] if rows else []
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
