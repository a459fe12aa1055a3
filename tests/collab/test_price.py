"""Whether going back to a weaker model pays."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentinfer.collab._price import Economy, Offer, pays
from agentinfer.ledger import Price

WARM = Price(prompt_tokens=2000, uncached_tokens=100, seconds=1.0, cost=0.001, age_seconds=1.0)
COLD = dataclasses.replace(WARM, uncached_tokens=2000, seconds=20.0, cost=0.02, age_seconds=None)


def offer(price: Price, step: float | None) -> Offer:
    return Offer(price=price, step_seconds=step, step_cost=None if step is None else step / 1000)


@pytest.mark.parametrize("economy", ["seconds", "cost"])
def test_what_is_saved_has_to_outweigh_what_is_read(economy: Economy) -> None:
    here, fast, slow = offer(WARM, 8.0), offer(COLD, 1.0), offer(COLD, 7.0)
    assert pays(here, fast, steps=3, economy=economy)
    assert not pays(here, slow, steps=3, economy=economy)
    assert pays(here, slow, steps=30, economy=economy)
    assert pays(here, slow, steps=3, economy="off")


def test_of_two_equal_models_the_warm_one_stays() -> None:
    assert not pays(offer(WARM, 5.0), offer(COLD, 5.0), steps=100, economy="seconds")


def test_what_is_not_known_is_no_reason_to_wait() -> None:
    unknown = dataclasses.replace(COLD, seconds=None)
    assert pays(offer(WARM, 5.0), offer(unknown, 5.0), steps=3, economy="seconds")
    assert pays(offer(WARM, 5.0), offer(COLD, None), steps=3, economy="seconds")
    assert pays(offer(WARM, None), offer(COLD, 5.0), steps=3, economy="cost")


def test_what_takes_no_time_is_no_reason_to_wait() -> None:
    quick = dataclasses.replace(COLD, seconds=1.2)
    assert pays(offer(WARM, 5.0), offer(quick, 9.0), steps=3, economy="seconds")


@given(st.floats(0, 100), st.floats(0, 100), st.floats(0, 100), st.integers(1, 9))
def test_a_dearer_prompt_never_makes_a_return_pay(reading: float, more: float, step: float, steps: int) -> None:
    cheap, dear = (dataclasses.replace(COLD, seconds=seconds) for seconds in (reading, reading + more))
    here = offer(WARM, 10.0)
    if pays(here, offer(dear, step), steps=steps, economy="seconds"):
        assert pays(here, offer(cheap, step), steps=steps, economy="seconds")
