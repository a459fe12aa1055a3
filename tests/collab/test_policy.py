"""The policy over all sequences of verdicts."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentinfer import UserError
from agentinfer.collab import Policy, PolicyState, Verdict

VERDICTS: tuple[Verdict, ...] = ("yes", "no", "missing")
STEPS = st.lists(st.tuples(st.sampled_from(VERDICTS), st.booleans()), max_size=80)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    first = draw(st.integers(1, 4))
    tiers = draw(st.integers(1, 4))
    return Policy(
        warmup=draw(st.integers(0, 3)),
        first_budget=first,
        budget_step=draw(st.integers(0, 3)),
        max_budget=draw(st.integers(first, 8)),
        rung_steps=draw(st.integers(1, 2)),
        total=draw(st.none() | st.integers(1, 20)),
        patience=draw(st.integers(1, 3)),
        missing_as_no=draw(st.integers(1, 3)),
        reset_after=draw(st.none() | st.integers(1, 3)),
        escalate=draw(st.booleans()),
        planner=draw(st.integers(0, tiers - 1)),
        executor=draw(st.integers(0, tiers - 1)),
        top=tiers - 1,
    )


def walk(policy: Policy, steps: list[tuple[Verdict, bool]]) -> list[PolicyState]:
    states = [policy.start()]
    for verdict, stay in steps:
        states.append(policy.after(states[-1], verdict, stay=stay))
    return states


def tiers(policy: Policy, verdicts: str) -> str:
    """The tiers of a run whose verdicts are `y`, `n` and `m`."""
    words: dict[str, Verdict] = {"y": "yes", "n": "no", "m": "missing"}
    return "".join(str(state.tier) for state in walk(policy, [(words[letter], False) for letter in verdicts]))


@given(policies(), STEPS)
def test_every_sequence(policy: Policy, steps: list[tuple[Verdict, bool]]) -> None:
    states = walk(policy, steps)
    made = states[:-1]
    assert [state.steps for state in states] == list(range(len(states)))
    for state in states:
        assert 0 <= state.tier <= policy.top
        assert (state.phase == "escalated") == (state.phase != "warmup" and state.tier != policy.executor)
        assert state.escalated <= sum(s.phase == "escalated" for s in made)
        assert state.missing < policy.missing_as_no
    assert [s.tier for s in made if s.phase == "warmup"] == [policy.planner] * min(policy.warmup, len(steps))
    escalated = [state for state in made if state.phase == "escalated"]
    if policy.total is not None:
        assert len(escalated) <= policy.total
    if not policy.escalate or policy.executor >= policy.top:
        assert not escalated


@given(policies(), STEPS)
def test_no_escalation_passes_its_budget(policy: Policy, steps: list[tuple[Verdict, bool]]) -> None:
    """B_n = min(B0 + k (n - 1), B_max) steps on the top tier, and a bounded number on the rungs below it."""
    states = walk(policy, steps)
    for phase, group in itertools.groupby(states[:-1], key=lambda state: state.phase):
        episode = list(group)
        if phase != "escalated":
            continue
        budget = policy.budget(episode[0].failures)
        assert sum(state.tier == policy.top for state in episode) <= budget <= policy.max_budget
        for tier in range(policy.executor + 1, policy.top):
            assert sum(state.tier == tier for state in episode) <= max(policy.rung_steps, budget)
        assert [state.tier for state in episode] == sorted(state.tier for state in episode), "rungs are climbed"
        assert len({state.failures for state in episode}) == 1


@given(policies(), st.lists(st.sampled_from(VERDICTS), max_size=60))
def test_failures_count_escalations_until_the_executor_makes_progress(policy: Policy, verdicts: list[Verdict]) -> None:
    states = walk(policy, [(verdict, False) for verdict in verdicts])
    for before, after, verdict in zip(states, states[1:], verdicts, strict=False):
        if after.phase == "escalated" and before.phase == "execute":
            assert after.failures == before.failures + 1
        elif after.failures != before.failures:
            assert (before.phase, verdict, after.failures) == ("execute", "yes", 0)


@given(policies(), st.lists(st.sampled_from(VERDICTS), min_size=1, max_size=40))
def test_progress_goes_back_at_once(policy: Policy, verdicts: list[Verdict]) -> None:
    state = walk(policy, [(verdict, False) for verdict in verdicts])[-1]
    after = policy.after(state, "yes")
    if state.phase == "escalated":
        assert (after.phase, after.tier) == ("execute", policy.executor)
        stays = policy.after(state, "yes", stay=True)
        assert stays.phase == "execute" or stays.tier == state.tier, "staying is never climbing"


def test_the_law_of_budgets() -> None:
    assert [Policy().budget(n) for n in range(6)] == [2, 2, 4, 6, 6, 6]
    assert [Policy(budget_step=0).budget(n) for n in (1, 2, 9)] == [2, 2, 2]


@pytest.mark.parametrize(
    ("policy", "verdicts", "expected"),
    [
        ({}, "yyyy", "11000"),
        ({}, "yynyy", "110100"),
        # Failures without end: 2, 4, 6, 6 steps of help, one step of the executor between them.
        ({}, "yy" + "n" * 22, "11" + "0" + "11" + "0" + "1111" + "0" + "111111" + "0" + "111111" + "0"),
        # Help that works does not make the next help longer, once the executor makes progress by itself.
        ({}, "yynnnynnn", "1101100110"),
        ({}, "yynnnnnn", "110110111"),
        ({"reset_after": 2}, "yynnnynnn", "1101100111"),
        ({"reset_after": None}, "yynyynynnn", "11010010111"),
        ({"patience": 2}, "yynynn", "1100001"),
        ({}, "yymymm", "1100001"),
        ({"missing_as_no": 1}, "yym", "1101"),
        ({"total": 3}, "yy" + "n" * 12, "110110100000000"),
        ({"escalate": False}, "yynnnn", "1100000"),
        ({"escalate": False, "planner": 0, "executor": 1}, "nnnn", "00111"),
        ({"warmup": 0}, "nnnn", "01101"),
        ({"planner": 1, "executor": 1}, "nnnn", "11111"),
        # A rung between: slow thinking before the large model.
        ({"top": 2, "planner": 2}, "yynyny", "2201010"),
        ({"top": 2, "planner": 2}, "yynnnnn", "22012201"),
        ({"top": 3, "planner": 3, "executor": 1, "rung_steps": 2}, "yynmnnn", "33122331"),
    ],
)
def test_runs(policy: dict[str, Any], verdicts: str, expected: str) -> None:
    assert tiers(Policy(**policy), verdicts) == expected


def test_a_return_that_does_not_pay_is_put_off_until_the_budget_is_spent() -> None:
    states = walk(Policy(), [("yes", False), ("yes", False), ("no", False), ("yes", True), ("yes", True)])
    assert [state.tier for state in states] == [1, 1, 0, 1, 1, 0]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"warmup": -1}, r"Policy\(warmup=-1\)"),
        ({"first_budget": 0}, r"Policy\(first_budget=0\)"),
        ({"patience": 1.5}, r"Policy\(patience=1.5\)"),
        ({"reset_after": 0}, r"Policy\(reset_after=0\)"),
        ({"missing_as_no": None}, r"Policy\(missing_as_no=None\)"),
        ({"first_budget": 4, "max_budget": 3}, "max_budget=3 is below first_budget=4"),
    ],
)
def test_numbers_that_do_not_go_together(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        Policy(**settings)
