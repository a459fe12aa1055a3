"""Intervals by resampling."""

import math
import random

from hypothesis import given
from hypothesis import strategies as st

from agentinfer.evals._bootstrap import Interval, figure_of, interval_of, interval_of_difference

AMOUNT = st.floats(0, 1e9) | st.integers(0, 5).map(float)
TERMS = st.lists(st.tuples(AMOUNT, st.sampled_from([0.0, 1.0, 1.0, 7.0])), min_size=1, max_size=30)


@given(TERMS)
def test_the_interval_holds_the_figure(terms: list[tuple[float, float]]) -> None:
    interval = interval_of(terms, seed=0, resamples=50)
    if interval is None:
        assert figure_of(terms) is None
    else:
        assert interval.low <= interval.estimate <= interval.high
        assert interval.estimate == figure_of(terms)


@given(st.lists(st.tuples(AMOUNT, AMOUNT), min_size=1, max_size=30))
def test_the_interval_of_a_difference_holds_it(pairs: list[tuple[float, float]]) -> None:
    first, second = ([(amount, 1.0) for amount in column] for column in zip(*pairs, strict=True))
    interval = interval_of_difference(first, second, seed=0, resamples=50)
    assert interval is not None
    assert interval.low <= interval.estimate <= interval.high
    back = interval_of_difference(second, first, seed=0, resamples=50)
    assert back is not None
    assert back.estimate == -interval.estimate


@given(TERMS)
def test_the_same_does_not_differ(terms: list[tuple[float, float]]) -> None:
    interval = interval_of_difference(terms, list(terms), seed=0, resamples=50)
    assert interval in (None, Interval(estimate=0, low=0, high=0), Interval(estimate=0, low=-math.inf, high=math.inf))
    if interval is not None and all(bottom for _, bottom in terms):
        assert interval.width == 0


def test_what_never_varies_has_no_width() -> None:
    assert interval_of([(3.0, 1.0)] * 9, seed=0, resamples=50) == Interval(estimate=3, low=3, high=3)
    assert interval_of([(3.0, 1.0)], seed=0, resamples=50) == Interval(estimate=3, low=3, high=3)
    assert interval_of([], seed=0, resamples=50) is None
    assert interval_of([(1.0, 0.0)], seed=0, resamples=50) is None


def test_where_a_draw_may_have_nothing_to_divide_by() -> None:
    rarely_solved = [(10.0, float(number == 0)) for number in range(20)]
    interval = interval_of(rarely_solved, seed=0, resamples=500)
    assert interval is not None
    assert interval.estimate == 200
    assert 0 < interval.low < 200
    assert interval.high == math.inf
    rarely_told = [(1.0, 1.0), *[(0.0, 0.0)] * 19]
    unknown = interval_of(rarely_told, seed=0, resamples=500)
    assert unknown == Interval(estimate=1, low=-math.inf, high=math.inf)


def test_intervals_hold_the_truth_about_as_often_as_they_say() -> None:
    chance = random.Random(5)
    held = 0
    for seed in range(100):
        terms = [(float(chance.random() < 0.4), 1.0) for _ in range(60)]
        interval = interval_of(terms, seed=seed, resamples=200)
        assert interval is not None
        held += interval.low <= 0.4 <= interval.high
    assert 88 <= held <= 100


def test_pairs_see_through_how_hard_questions_are() -> None:
    chance = random.Random(6)
    hardness = [chance.uniform(0, 100) for _ in range(50)]
    first = [(amount, 1.0) for amount in hardness]
    second = [(amount - chance.uniform(0, 2), 1.0) for amount in hardness]
    paired = interval_of_difference(first, second, seed=0, resamples=500)
    assert paired is not None
    assert not paired.holds_zero
    alone = interval_of(first, seed=0, resamples=500)
    assert alone is not None
    assert alone.width > 10 * paired.width
