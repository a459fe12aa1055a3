"""Measured acceptance: the rule, and its error rate."""

import math
import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentinfer import UserError
from agentinfer.scope import Evidence, TrialPolicy, judge
from agentinfer.scope._guideline import Status
from agentinfer.scope._trial import is_held_out, log_evidence

POLICY = TrialPolicy(error_rate=0.1, patience=10_000)


def evidence(used: int, score: float, held_out: int, without: float) -> Evidence:
    return Evidence(used=used, score=score, held_out=held_out, held_out_score=without)


def test_it_waits_for_evidence() -> None:
    assert judge("trial", Evidence(), POLICY).action == "wait"
    assert judge("trial", evidence(3, 3, 3, 0), POLICY).action == "wait"


def test_it_keeps_what_helps_and_retires_what_harms() -> None:
    helps, harms = evidence(40, 32, 40, 12), evidence(40, 12, 40, 32)
    assert judge("trial", helps, POLICY).action == "keep"
    assert judge("trial", harms, POLICY).action == "retire"
    assert judge("kept", harms, POLICY).action == "retire"
    assert judge("kept", helps, POLICY).action == "wait"


def test_without_hold_outs_nothing_is_shown() -> None:
    assert judge("trial", evidence(500, 500, 0, 0), POLICY).action == "wait"


def test_patience_ends() -> None:
    verdict = judge("trial", evidence(50, 25, 50, 25), TrialPolicy(patience=100))
    assert verdict.action == "retire"
    assert "not shown to help" in verdict.reason


def test_quarantined_and_retired_ones_have_no_trial() -> None:
    statuses: list[Status] = ["quarantined", "retired"]
    for status in statuses:
        assert judge(status, evidence(40, 40, 40, 0), POLICY).action == "wait"


@given(st.integers(0, 60), st.integers(0, 60), st.floats(0, 1), st.floats(0, 1))
def test_helping_and_harming_mirror_each_other(used: int, without: int, one: float, other: float) -> None:
    there, elsewhere = (used * one, used), (without * other, without)
    helps, harms = log_evidence(there, elsewhere), log_evidence(elsewhere, there)
    assert math.isfinite(helps)
    assert min(helps, harms) <= 1e-9  # both cannot be shown


@pytest.mark.parametrize("scores", ["binary", "graded"])
def test_the_error_rate_holds_however_often_one_looks(scores: str) -> None:
    """200 guidelines that do nothing, looked at after each of 100 runs: at most a tenth is ever kept."""
    chance = random.Random(7)
    wrong = 0
    for _ in range(200):
        sums, counts = [0.0, 0.0], [0, 0]
        for _ in range(100):
            arm = chance.random() < 0.5
            sums[arm] += chance.random() < 0.4 if scores == "binary" else chance.random()
            counts[arm] += 1
            if log_evidence((sums[1], counts[1]), (sums[0], counts[0])) >= -math.log(0.1):
                wrong += 1
                break
    assert wrong <= 20


def test_what_helps_much_is_found_soon() -> None:
    chance = random.Random(3)
    needed = []
    for _ in range(50):
        sums, counts = [0.0, 0.0], [0, 0]
        while log_evidence((sums[1], counts[1]), (sums[0], counts[0])) < -math.log(0.1) and sum(counts) < 2000:
            arm = chance.random() < 0.5
            sums[arm] += chance.random() < (0.8 if arm else 0.3)
            counts[arm] += 1
        needed.append(sum(counts))
    assert sorted(needed)[25] < 60


def test_hold_outs_are_drawn_once_for_all() -> None:
    drawn = [is_held_out("g-1", f"run {number}", 0.5) for number in range(2000)]
    assert drawn == [is_held_out("g-1", f"run {number}", 0.5) for number in range(2000)]
    assert 900 < sum(drawn) < 1100
    assert not any(is_held_out("g-1", f"run {number}", 0.0) for number in range(100))
    other = [is_held_out("g-2", f"run {number}", 0.5) for number in range(2000)]
    assert 900 < sum(a == b for a, b in zip(drawn, other, strict=True)) < 1100


@pytest.mark.parametrize("settings", [{"error_rate": 0}, {"hold_out": 1}, {"recheck": -0.1}, {"patience": 0}])
def test_a_policy_that_makes_no_sense(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError):
        TrialPolicy(**settings)
