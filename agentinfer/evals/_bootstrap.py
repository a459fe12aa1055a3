"""How sure a figure is: intervals by resampling the questions.

A figure is a ratio of two sums over questions, as tokens per step or the share of right answers. Two configurations
are compared by the same draws of the questions that both have answered (paired bootstrap), so that a question that is
hard for both does not blur their difference.
"""

import math
import operator
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

__all__ = ["LEVEL", "Interval", "Terms", "figure_of", "interval_of", "interval_of_difference"]

LEVEL = 0.95
"""How often such an interval holds the true figure."""

Terms = Sequence[tuple[float, float]]
"""What each question adds to the two sums; `(0, 0)` where it has no say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure, and between which bounds it lies. The figure itself is always between them."""

    estimate: float
    low: float
    high: float

    @property
    def width(self) -> float:
        """From bound to bound."""
        return 0.0 if self.low == self.high else self.high - self.low

    @property
    def holds_zero(self) -> bool:
        """Whether the figure may as well be zero."""
        return self.low <= 0 <= self.high


def figure_of(terms: Terms) -> float | None:
    """One sum over the other; `None` where there is nothing to divide by."""
    bottom = math.fsum(bottom for _, bottom in terms)
    return math.fsum(top for top, _ in terms) / bottom if bottom else None


def interval_of(terms: Terms, *, seed: int, resamples: int) -> Interval | None:
    """The interval of one configuration's figure; `None` where there is nothing to divide by."""
    estimate = figure_of(terms)
    if estimate is None:
        return None
    return _interval(estimate, _drawn(terms, seed, resamples))


def interval_of_difference(first: Terms, second: Terms, *, seed: int, resamples: int) -> Interval | None:
    """The interval of the second configuration's figure less the first one's, over the same questions in one order.

    `None` where one of them has nothing to divide by.
    """
    before, after = figure_of(first), figure_of(second)
    if before is None or after is None:
        return None
    pairs = zip(_drawn(first, seed, resamples), _drawn(second, seed, resamples), strict=True)
    return _interval(after - before, [other - one for one, other in pairs])


def _interval(estimate: float, drawn: Sequence[float]) -> Interval:
    """The middle of what was drawn. Where too many draws say nothing, there is no bound."""
    known = sorted(value for value in drawn if not math.isnan(value))
    outside = (1 - LEVEL) / 2
    if len(drawn) - len(known) > outside * len(drawn):
        return Interval(estimate=estimate, low=-math.inf, high=math.inf)
    last = len(known) - 1
    low, high = known[math.floor(outside * last)], known[math.ceil((1 - outside) * last)]
    return Interval(estimate=estimate, low=min(low, estimate), high=max(high, estimate))


def _drawn(terms: Terms, seed: int, resamples: int) -> list[float]:
    """The figure of each draw: without end where something was spent and nothing is there to divide it by."""
    tops, bottoms = (_sums(column, seed, resamples) for column in zip(*terms, strict=True))
    return [
        top / bottom if bottom else (math.inf if top > 0 else math.nan)
        for top, bottom in zip(tops, bottoms, strict=True)
    ]


@lru_cache(maxsize=512)
def _sums(column: tuple[float, ...], seed: int, resamples: int) -> list[float]:
    """The sum of each draw; many figures share a column, as that of solved questions."""
    return [sum(draw(column)) for draw in _draws(len(column), seed, resamples)]


@lru_cache(maxsize=8)
def _draws(count: int, seed: int, resamples: int) -> list[Callable[[Sequence[float]], tuple[float, ...]]]:
    """Functions that draw as many values as there are, with repetition; the same for every figure."""
    chance = random.Random(f"{seed}/{count}")
    return [_picker(chance.choices(range(count), k=count)) for _ in range(resamples)]


def _picker(indices: list[int]) -> Callable[[Any], tuple[float, ...]]:
    if len(indices) == 1:  # itemgetter gives one value bare
        return lambda values: (values[indices[0]],)
    return operator.itemgetter(*indices)
