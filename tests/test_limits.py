"""When a run has to answer: properties of pure functions."""

import dataclasses
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from agentinfer import Limits, Pricing, RepeatPolicy, ToolCall, UserError
from agentinfer.limits import Forecast, Spent, completion_cap, judge
from agentinfer.repeats import Repeats

ORDER = {"go": 0, "answer": 1, "stop": 2}
PRICING = Pricing(input=3.0, output=15.0)

LIMITS = st.builds(
    Limits,
    steps=st.none() | st.integers(1, 20),
    tokens=st.none() | st.integers(1, 50_000),
    cost=st.none() | st.floats(1e-6, 1.0),
    seconds=st.none() | st.floats(0.01, 100),
    answer_tokens=st.integers(20, 1000),
)
SPENT = st.builds(
    Spent,
    steps=st.integers(0, 25),
    tokens=st.integers(0, 60_000),
    cost=st.floats(0, 1.2),
    seconds=st.floats(0, 120),
)
FORECAST = st.builds(
    Forecast, prompt_tokens=st.integers(1, 10_000), step_tokens=st.integers(0, 2000), pricing=st.just(PRICING)
)


@given(LIMITS, SPENT, FORECAST, st.sampled_from(["steps", "tokens", "cost", "seconds"]), st.integers(1, 10_000))
def test_spending_more_never_allows_more(
    limits: Limits, spent: Spent, forecast: Forecast, what: str, more: int
) -> None:
    added: Any = more / 1000 if what in ("cost", "seconds") else more
    richer = dataclasses.replace(spent, **{what: getattr(spent, what) + added})
    assert ORDER[judge(limits, richer, forecast).action] >= ORDER[judge(limits, spent, forecast).action]


@given(LIMITS, SPENT, FORECAST, st.integers(0, 2000))
def test_a_longer_prompt_never_allows_more(limits: Limits, spent: Spent, forecast: Forecast, more: int) -> None:
    longer = dataclasses.replace(forecast, prompt_tokens=forecast.prompt_tokens + more)
    assert ORDER[judge(limits, spent, longer).action] >= ORDER[judge(limits, spent, forecast).action]


SHARES = st.sampled_from([0.0, 0.5, 1.0])


@given(LIMITS, SPENT, FORECAST, SHARES, SHARES)
def test_after_a_step_an_answer_still_fits(
    limits: Limits, spent: Spent, forecast: Forecast, written: float, returned: float
) -> None:
    limits = dataclasses.replace(limits, steps=None, seconds=None)
    assume(judge(limits, spent, forecast).action == "go")
    cap = completion_cap(limits, spent, forecast, answering=False)
    assume(cap is None or cap > 16)  # a smaller one is raised to 16
    writes = int((cap if cap is not None else 500) * written)
    returns = int(forecast.step_tokens * returned)
    assert spent.cost is not None
    after = dataclasses.replace(
        spent,
        tokens=spent.tokens + forecast.prompt_tokens + writes,
        cost=spent.cost + PRICING.cost(forecast.prompt_tokens, 0, writes),
    )
    then = dataclasses.replace(forecast, prompt_tokens=forecast.prompt_tokens + writes + returns)
    if limits.cost is not None:  # in fractions of a token
        limits = dataclasses.replace(limits, cost=limits.cost + PRICING.cost(1, 0, 1))
    assert judge(limits, after, then).action != "stop"


@given(LIMITS, SPENT, FORECAST)
def test_an_answer_as_long_as_it_may_be_stays_inside_the_limits(
    limits: Limits, spent: Spent, forecast: Forecast
) -> None:
    assume(judge(limits, spent, forecast).action != "stop")
    cap = completion_cap(limits, spent, forecast, answering=True)
    if cap is None:
        return
    assert cap >= 16
    if limits.tokens is not None:
        assert spent.tokens + forecast.prompt_tokens + cap <= limits.tokens + 16
    if limits.cost is not None:
        assert spent.cost is not None
        assert spent.cost + PRICING.cost(forecast.prompt_tokens, 0, cap) <= limits.cost + PRICING.cost(0, 0, 16)


def test_a_cost_limit_leaves_an_answer_after_the_longest_step() -> None:
    limits, forecast = Limits(cost=0.1, answer_tokens=100), Forecast(prompt_tokens=1000, step_tokens=0, pricing=PRICING)
    cap = completion_cap(limits, Spent(), forecast, answering=False)
    assert cap is not None
    spent = Spent(steps=1, cost=PRICING.cost(1000, 0, cap))
    assert judge(limits, spent, Forecast(prompt_tokens=1000 + cap, pricing=PRICING)).action == "answer"


def test_a_step_that_leaves_no_money_for_an_answer_is_not_made() -> None:
    forecast = Forecast(prompt_tokens=1000, step_tokens=100, pricing=PRICING)
    step, answer = PRICING.cost(1100, 0, 100), PRICING.cost(1000, 0, 50)
    limits = Limits(cost=step + answer / 2, answer_tokens=50)
    assert judge(limits, Spent(), forecast).action == "answer"


def test_without_limits_nothing_is_capped() -> None:
    assert completion_cap(Limits(), Spent(), Forecast(prompt_tokens=100), answering=False) is None


def test_the_verdict_names_its_limit() -> None:
    spent = Spent(steps=1, seconds=9.0)
    assert judge(Limits(seconds=10), spent, Forecast(prompt_tokens=1)).limit == "seconds"
    assert judge(Limits(steps=1), spent, Forecast(prompt_tokens=1)).limit == "steps"


@pytest.mark.parametrize("name", ["steps", "tokens", "cost", "seconds", "answer_seconds"])
@pytest.mark.parametrize("value", [0, -1, float("nan")])
def test_limits_are_positive(name: str, value: Any) -> None:
    with pytest.raises(UserError, match=name):
        Limits(**{name: value})


# Repeats

STRENGTH = {"run": 0, "nudge": 1, "force": 2}
POLICIES = st.builds(RepeatPolicy, nudge_at=st.none() | st.integers(1, 6), force_at=st.none() | st.integers(1, 9))


@given(POLICIES, st.integers(1, 12), st.booleans())
def test_repeating_more_is_never_answered_with_less(policy: RepeatPolicy, occurrence: int, succeeded: bool) -> None:
    now = STRENGTH[policy.respond(occurrence, succeeded=succeeded)]
    assert STRENGTH[policy.respond(occurrence + 1, succeeded=succeeded)] >= now
    assert STRENGTH[policy.respond(occurrence, succeeded=True)] >= now


def test_calls_that_differ_in_how_they_are_written_are_one_call() -> None:
    repeats = Repeats(RepeatPolicy(force_at=4))
    for position, arguments in enumerate(['{"q": "a", "n": 1}', '{"n":1,"q":"a"}', ' {"n": 1, "q": "a"}'], 1):
        call = ToolCall(str(position), "search", arguments)
        assert repeats.note(call) == ("run" if position == 1 else "nudge")
        repeats.succeeded(call, position)
    assert repeats.step_of(ToolCall("x", "search", '{"q": "a", "n": 1}')) == 1
    assert repeats.note(ToolCall("y", "search", '{"q": "A", "n": 1}')) == "run", "capitals may matter"


@pytest.mark.parametrize("arguments", ["", "{", "[" * 100_000, "null"])
def test_any_text_may_stand_for_arguments(arguments: str) -> None:
    assert Repeats(RepeatPolicy()).note(ToolCall("1", "search", arguments)) == "run"
