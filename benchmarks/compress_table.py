"""The tables of `compress_live`: what each row is worth, what it sends, and what became of its notes."""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agentinfer import Usage
from agentinfer.evals import EvalError, Record, load_records
from agentinfer.evals._bootstrap import Interval, interval_of, interval_of_difference
from benchmarks.compress_session import Session

__all__ = ["render"]

RESAMPLES = 2_000
MAIN = ("", "n", "right", "against the first", "F1", "prompt", "uncached", "cached", "completion", "longest", "waiting")
NOTES = ("", "begun", "swaps", "dropped", "results", "before", "after", "lines", "struck", "notes", "pre-warm", "other")
LEGEND = """\
n: questions answered. right: by exact match, in brackets 95 % intervals over the questions; against the first row, over
the questions that both have answered. prompt, uncached, completion: tokens of all calls, by question; cached: the share
of the agent's own prompts. longest: the longest prompt of a step. waiting: in the loop for the plug-in, by question."""
NOTES_LEGEND = """\
begun, swaps, dropped: compressions. results: put away; before, after: prompt tokens of a swap, on average. lines: of
notes, before the swap; struck: what no source had. notes: prompt + completion tokens of their calls, by question;
pre-warm: prompt tokens and those of them that were not cached; other: of summaries and the like."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row's sessions together."""

    name: str
    records: Mapping[str, Record]
    sessions: Sequence[Session]

    @classmethod
    def load(cls, name: str, folders: Sequence[Path]) -> "Row":
        """Read what the folders of a row hold; those that are not there are passed over."""
        records: dict[str, Record] = {}
        for folder in folders:
            try:
                records |= {record.id: record for record in load_records(folder)}
            except EvalError:
                continue
        return cls(name, records, [Session.load(folder) for folder in folders])

    def usage(self, *purposes: str) -> Usage:
        """What was spent on some purposes; on all of them unless given."""
        spent = itertools.chain.from_iterable(session.usage.items() for session in self.sessions)
        return sum((usage for purpose, usage in spent if not purposes or purpose in purposes), Usage())

    def by_question(self, tokens: int | None) -> str:
        """Tokens by question."""
        return "-" if tokens is None else f"{tokens / len(self.records):,.0f}"


def render(rows: Mapping[str, Sequence[Path]], *, seed: int) -> str:
    """All tables.

    Args:
        rows: The folders of each row's sessions; the first row is what the others are compared to.
        seed: Of the draws.
    """
    loaded = [Row.load(name, folders) for name, folders in rows.items()]
    there = [row for row in loaded if row.records]
    if not there:
        return "no question was answered"
    lines = [*_table([MAIN, *(_main(row, loaded[0], seed) for row in there)]), "", LEGEND]
    if noted := [_notes(row) for row in there if row.usage().calls > row.usage("step").calls or _counts(row)["begun"]]:
        lines += ["", *_table([NOTES, *noted]), "", NOTES_LEGEND]
    for row in there:
        ended = Counter(_ending(record) for record in row.records.values())
        dropped = sum((session.dropped for session in row.sessions), Counter[str]())
        told = [f"{number} {what}" for what, number in ended.most_common()]
        told += [f"dropped {number}: {_short(why)}" for why, number in dropped.most_common(5)]
        lines.append(f"\n{row.name}: {'; '.join(told)}" if row is there[0] else f"{row.name}: {'; '.join(told)}")
    return "\n".join(lines)


def _main(row: Row, first: Row, seed: int) -> list[str]:
    options = {"seed": seed, "resamples": RESAMPLES}
    records = [row.records[name] for name in sorted(row.records)]
    both = sorted(row.records.keys() & first.records.keys())
    right = interval_of([(record.solved, 1) for record in records], **options)
    against = None
    if row is not first and both:
        before, after = ([(one.records[name].solved, 1) for name in both] for one in (first, row))
        against = interval_of_difference(before, after, **options)
    total, steps = row.usage(), row.usage("step")
    uncached = None if total.cached_tokens is None else total.prompt_tokens - total.cached_tokens
    share, base = steps.cached_share, first.usage().prompt_tokens / max(len(first.records), 1)
    prompt = total.prompt_tokens / len(records)
    less = f" ({prompt / base - 1:+.0%})" if row is not first and base else ""
    return [
        row.name,
        str(len(records)),
        _percent(right),
        "-" if against is None else _percent(against, sign="+"),
        f"{sum(record.grades.get('f1', 0.0) for record in records) / len(records):.2f}",
        f"{prompt:,.0f}{less}",
        row.by_question(uncached),
        "-" if share is None else f"{share:.0%}",
        row.by_question(total.completion_tokens),
        f"{max(session.longest for session in row.sessions):,}",
        f"{1000 * sum(session.waiting for session in row.sessions) / len(records):.0f} ms",
    ]


def _notes(row: Row) -> list[str]:
    counts, notes, warm = _counts(row), row.usage("notes"), row.usage("prewarm")
    other = row.usage().prompt_tokens - row.usage("step", "notes", "prewarm").prompt_tokens
    swaps = max(counts["swaps"], 1)
    fresh = None if warm.cached_tokens is None else warm.prompt_tokens - warm.cached_tokens
    return [
        row.name,
        str(counts["begun"]),
        str(counts["swaps"]),
        str(sum(sum(session.dropped.values()) for session in row.sessions)),
        str(counts["results"]),
        f"{counts['before'] / swaps:,.0f}",
        f"{counts['after'] / swaps:,.0f}",
        str(counts["lines"]),
        str(counts["struck"]),
        f"{row.by_question(notes.prompt_tokens)} + {row.by_question(notes.completion_tokens)}",
        f"{row.by_question(warm.prompt_tokens)}, {row.by_question(fresh)}",
        row.by_question(other),
    ]


def _counts(row: Row) -> Counter[str]:
    return sum((session.counts for session in row.sessions), Counter[str]())


def _ending(record: Record) -> str:
    return record.stop_reason if record.error is None else f"{record.stop_reason}: {_short(record.error)}"


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."


def _percent(interval: Interval | None, *, sign: str = "") -> str:
    if interval is None:
        return "-"
    estimate, low, high = (f"{100 * value:{sign}.0f}" for value in (interval.estimate, interval.low, interval.high))
    return f"{estimate} % [{low}, {high}]"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as a table, its first column to the left."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["| " + " | ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])]) + " |" for row in rows]
    return [lines[0], "| " + " | ".join("-" * width for width in widths) + " |", *lines[1:]]
