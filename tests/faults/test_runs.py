"""Runs through a faulty network: each ends, leaves nothing behind, and does nothing twice.

`pytest "tests/faults/test_runs.py::test_a_run_survives[17]"` repeats the run of seed 17.
"""

from collections.abc import Mapping

import pytest

from ._scenario import Played, Scenario, play, violations

SEEDS = [*range(50), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(50, 1050))]


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_run_survives(seed: int, urls: Mapping[str, str], played: list[Played]) -> None:
    one = await play(Scenario.drawn(seed), urls)
    played.append(one)
    wrong = violations(one)
    assert not wrong, f"{one.scenario}: {one.ending} {one.error!r}"
