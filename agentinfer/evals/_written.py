"""Figures, intervals and texts as people read them."""

import math

from agentinfer.evals._bootstrap import Interval
from agentinfer.evals._compare import Difference
from agentinfer.evals._measures import EvalRun, Kind, Measure
from agentinfer.evals._record import Record
from agentinfer.evals._summary import summarise

__all__ = ["about", "answers_of", "bounds", "change", "figure", "plain", "title", "value"]

NOTHING = "–"


def title(measure: Measure) -> str:
    """A measure's name."""
    return f"{measure.title} / solved" if measure.per_solved else measure.title


def value(number: float, kind: Kind, *, sign: bool = False) -> str:
    """A number of this kind; `sign` for differences."""
    plus = "+" if sign else ""
    if math.isinf(number):
        return f"{number:{plus}}".replace("inf", "∞")
    if kind == "share":
        return f"{100 * number:{plus}.1f}" + ("" if sign else "%")
    if kind == "money":
        return f"{number:{plus}.4g}"
    return f"{number:{plus},.{2 if abs(number) < 100 else 0}f}"


def bounds(interval: Interval, kind: Kind, *, sign: bool = False) -> str:
    """An interval's bounds."""
    return f"[{value(interval.low, kind, sign=sign)}, {value(interval.high, kind, sign=sign)}]"


def figure(interval: Interval | None, kind: Kind) -> str:
    """A figure with its bounds."""
    return NOTHING if interval is None else f"{value(interval.estimate, kind)} {bounds(interval, kind)}"


def change(difference: Difference | None, kind: Kind) -> tuple[str, str, str]:
    """A difference with its bounds, its share of the first's figure, and what to make of it."""
    if difference is None:
        return NOTHING, "", ""
    unit = " points" if kind == "share" else ""
    written = value(difference.interval.estimate, kind, sign=True) + unit
    relative = "" if difference.relative is None or kind == "share" else f"{100 * difference.relative:+.1f}%"
    return f"{written} {bounds(difference.interval, kind, sign=True)}", relative, difference.verdict


def about(run: EvalRun) -> str:
    """How a run ended and under what circumstances, in one line."""
    summary = summarise(run.records)
    ended = ", ".join(f"{reason} {number}" for reason, number in summary.stop_reasons.items())
    parts = [f"{summary.questions} questions", f"ended: {ended}", f"{_any(summary.concurrency)} at once"]
    if summary.load is not None:
        parts.append(f"machine load {summary.load[0]:.1f} to {summary.load[1]:.1f}")
    if summary.estimated_calls:
        parts.append(f"tokens of {summary.estimated_calls} calls are estimates")
    if summary.grading_errors:
        parts.append("graders that raised: " + ", ".join(f"{n} {k} times" for n, k in summary.grading_errors.items()))
    return "; ".join(parts)


def _any(values: tuple[int, ...]) -> str:
    return "/".join(map(str, values))


def answers_of(one: Record, other: Record) -> tuple[str, str, str, str]:
    """A question, what is right, and what both said."""
    right = " | ".join(one.answers)
    return one.question, right, _answer(one), _answer(other)


def _answer(record: Record) -> str:
    return f"(none: {record.stop_reason})" if record.answer is None else record.answer


def plain(text: str, width: int) -> str:
    """A text on one line of at most so many characters, without what a terminal would take for commands."""
    shown = "".join(letter if letter.isprintable() else " " for letter in text)
    shown = " ".join(shown.split())
    return shown if len(shown) <= width else shown[: width - 1] + "…"
