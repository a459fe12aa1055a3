"""A check of the policy with made-up models of stated strengths. It says nothing of real ones.

A question takes some facts in their order. In each step a model finds the next fact with a probability that depends on
the model and on how hard the fact is; its word on its progress is wrong as often as stated. Time is the sum of the
steps' own, a switch costs extra.
"""

import random
from dataclasses import dataclass

import pytest

from agentinfer.collab import Policy, Verdict

STEPS = 20
SECONDS = (1.0, 3.0)
"""Of a step of the small and the large model."""
SWITCH = 0.4
FINDS = {"easy": (0.70, 0.80), "hard": (0.04, 0.55)}
"""How likely each model is to find a fact."""


@dataclass(frozen=True)
class Outcome:
    solved: float
    seconds: float
    share: float
    """Of the large model's steps."""


def simulate(policy: Policy, *, wrong: float, hard: float = 0.15, missing: float = 0.0, runs: int = 1500) -> Outcome:
    """Many questions.

    Args:
        policy: The policy.
        wrong: How often a verdict is the opposite of the truth.
        hard: The share of hard facts.
        missing: How often there is no verdict.
        runs: How many questions.
    """
    chance = random.Random(7)
    solved, seconds, large, made = 0, 0.0, 0, 0
    for _ in range(runs):
        facts = ["hard" if chance.random() < hard else "easy" for _ in range(chance.randint(2, 6))]
        state, found, last = policy.start(), 0, policy.planner
        for _ in range(STEPS):
            seconds += SECONDS[state.tier] + SWITCH * (state.tier != last)
            last = state.tier
            large, made = large + last, made + 1
            progress = chance.random() < FINDS[facts[found]][last]
            found += progress
            if found == len(facts):
                solved += 1
                break
            verdict: Verdict = "yes" if progress != (chance.random() < wrong) else "no"
            state = policy.after(state, "missing" if chance.random() < missing else verdict)
    return Outcome(solved / runs, seconds / runs, large / made)


LARGE = Policy(planner=1, executor=1, escalate=False)
SMALL = Policy(planner=0, executor=0, escalate=False)
PLANNER = Policy(escalate=False)
EXECUTOR = Policy(planner=0, executor=1, escalate=False)


def ceiling(share: float) -> float:
    return SECONDS[1] / (share * SECONDS[1] + (1 - share) * SECONDS[0])


@pytest.mark.parametrize("wrong", [0.0, 0.07])
def test_nearly_as_good_as_the_large_model_and_faster(wrong: float) -> None:
    large, small, collab = (simulate(policy, wrong=wrong) for policy in (LARGE, SMALL, Policy()))
    assert (large.share, small.share) == (1, 0)
    assert collab.solved > large.solved - 0.1
    assert collab.solved > small.solved + 0.1
    assert small.share < collab.share < large.share
    speed_up = large.seconds / collab.seconds
    assert speed_up > 1
    assert 0.75 * ceiling(collab.share) < speed_up < ceiling(collab.share)


def test_the_planner_alone_does_not_help_with_facts_that_are_hard_later() -> None:
    planner, executor, collab = (simulate(policy, wrong=0.03) for policy in (PLANNER, EXECUTOR, Policy()))
    assert planner.solved < collab.solved - 0.1
    assert executor.share > collab.share


def test_budgets_that_grow_find_more_than_those_that_do_not() -> None:
    grows, stays = (simulate(Policy(warmup=0, total=None, budget_step=k), wrong=0.0, hard=0.6) for k in (2, 0))
    assert grows.solved >= stays.solved - 0.005
    assert grows.share > stays.share


def test_a_judge_that_is_always_wrong_costs_no_more_than_the_bound() -> None:
    lost = simulate(Policy(total=6), wrong=1.0)
    assert lost.share < (2 + 6) / 9
    assert simulate(Policy(total=6), wrong=0.0, missing=1.0).solved > simulate(SMALL, wrong=0.0).solved


def test_a_router_at_the_same_share_solves_less_where_questions_mix_easy_and_hard() -> None:
    """A router chooses once; whatever it sees of a question, it cannot change its mind in the middle."""
    collab, large, small = (simulate(policy, wrong=0.03) for policy in (Policy(), LARGE, SMALL))
    blind = collab.share * large.solved + (1 - collab.share) * small.solved
    assert collab.solved > blind
