"""When it pays: the decision alone."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from agentinfer import Pricing
from agentinfer.compress._policy import Option, Outlook, Prices, break_cost, decide, expected_turns, saving

PRICES = Prices.of(None, None)
tokens = st.integers(0, 50_000)


def carried_cost(option: Option, outlook: Outlook) -> float:
    return option.carried * (outlook.hit_share * PRICES.hit + (1 - outlook.hit_share) * PRICES.miss)


@st.composite
def cuts(draw: st.DrawFn) -> tuple[Option, Outlook]:
    kept, removed, rest = draw(tokens), draw(tokens), draw(tokens)
    option = Option(
        kept=kept,
        removed=removed,
        added=draw(st.integers(0, 5_000)),
        carried=draw(st.floats(0, 10**6)),
        notes_prompt=draw(tokens),
        notes_cached=draw(tokens),
        notes_completion=draw(st.integers(0, 2_000)),
    )
    outlook = Outlook(
        total=kept + removed + rest,
        growth=draw(st.floats(0, 5_000)),
        turns=draw(st.floats(0, 100)),
        lag=draw(st.floats(0, 10)),
        hit_share=draw(st.floats(0, 1)),
        prewarm=draw(st.booleans()),
    )
    return option, outlook


@given(cuts())
def test_it_starts_exactly_where_it_saves(cut: tuple[Option, Outlook]) -> None:
    option, outlook = cut
    decision = decide([option], outlook, PRICES)
    if decision.option is not None:
        assert decision.reason == "pays"
        assert option.gain > 0
        assert decision.saving == saving(option, outlook, PRICES) > 0
        assert carried_cost(option, outlook) >= break_cost(option, outlook, PRICES)
    elif decision.reason == "too early":
        assert saving(option, outlook, PRICES) > 0
        assert carried_cost(option, outlook) < break_cost(option, outlook, PRICES)
    else:
        assert option.gain <= 0 or saving(option, outlook, PRICES) <= 0


@given(cuts(), st.floats(0, 50))
def test_more_turns_never_speak_against_it(cut: tuple[Option, Outlook], more: float) -> None:
    option, outlook = cut
    longer = dataclasses.replace(outlook, turns=outlook.turns + more)
    if option.gain > 0:
        assert saving(option, longer, PRICES) >= saving(option, outlook, PRICES)


@given(cuts())
def test_nothing_is_saved_without_turns_to_come(cut: tuple[Option, Outlook]) -> None:
    option, outlook = cut
    assert decide([option], dataclasses.replace(outlook, turns=0.0), PRICES).option is None


@given(cuts(), st.floats(0.01, 100))
def test_the_currency_does_not_matter(cut: tuple[Option, Outlook], factor: float) -> None:
    option, outlook = cut
    scaled = Prices(**{f.name: getattr(PRICES, f.name) * factor for f in dataclasses.fields(Prices)})
    worth, same = saving(option, outlook, PRICES), saving(option, outlook, scaled)
    assert abs(same - worth * factor) <= 1e-6 * (abs(same) + 1) * max(factor, 1)


@given(cuts(), st.integers(0, 60_000), st.integers(0, 5_000))
def test_it_always_starts_before_the_window_is_full(cut: tuple[Option, Outlook], window: int, reserve: int) -> None:
    option, outlook = cut
    outlook = dataclasses.replace(outlook, window=window, reserve=reserve)
    full = outlook.total + outlook.growth * (outlook.lag + 1) + reserve >= window
    decision = decide([option], outlook, PRICES)
    if full and option.gain > 0:
        assert decision.reason == "window"
    assert not (decision.reason == "window" and not full)


def test_a_cached_prefix_is_worth_keeping() -> None:
    """With few turns to come, reading the tail anew costs more than reading all of it from the cache."""
    option = Option(kept=1_000, removed=4_000, added=500, carried=1e6, notes_completion=200)
    few = Outlook(total=10_000, growth=500, turns=4)
    assert decide([option], few, PRICES).reason == "does not pay"
    assert decide([option], dataclasses.replace(few, turns=60), PRICES).reason == "pays"
    # Where the endpoint caches nothing, every turn pays for all of it.
    assert decide([option], dataclasses.replace(few, turns=6, hit_share=0.0, prewarm=False), PRICES).reason == "pays"


def test_results_are_put_away_together() -> None:
    """One result after the other would break the prefix each time."""
    option = Option(kept=1_000, removed=4_000, added=500, carried=3_500)
    outlook = Outlook(total=10_000, growth=500, turns=200)
    assert decide([option], outlook, PRICES).reason == "too early"
    assert decide([dataclasses.replace(option, carried=50_000)], outlook, PRICES).reason == "pays"


def test_a_later_start_keeps_more_of_the_prefix() -> None:
    """A small result at the beginning is not worth a long tail."""
    early = Option(kept=500, removed=8_300, added=900, carried=1e6)
    late = Option(kept=9_000, removed=8_000, added=800, carried=1e6)
    decision = decide([late, early], Outlook(total=20_000, growth=300, turns=20), PRICES)
    assert decision.option is late


def test_prices_of_both_models_or_none() -> None:
    large, small = Pricing(input=10, cached_input=1, output=30), Pricing(input=0.1, output=0.4)
    prices = Prices.of(large, small)
    assert (prices.hit, prices.miss, prices.notes_input, prices.notes_output) == (1, 10, 0.1, 0.4)
    assert Prices.of(large, None) == Prices.of(None, None)
    assert Prices.of(Pricing(input=2, output=4), small).hit == 2


def test_turns_to_come() -> None:
    assert expected_turns(0, None) == 4
    assert expected_turns(10, None) == 10
    assert expected_turns(10, 3) == 3
    assert expected_turns(10, 0) == 0
    assert expected_turns(2, None, [12] * 5) == 10
    assert expected_turns(2, None, [12] * 4) == 4, "too few runs to tell"
    assert expected_turns(20, None, [12] * 9) == 20, "none of them went on so long"


@given(st.integers(0, 200), st.none() | st.integers(-5, 50), st.lists(st.integers(0, 300)))
def test_turns_to_come_are_within_the_limit(done: int, left: int | None, lengths: list[int]) -> None:
    turns = expected_turns(done, left, lengths)
    assert turns >= 0
    if left is not None:
        assert turns <= max(left, 0)
