import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentinfer.errors import UserError
from agentinfer.sam import CostTable, draft_length, prediction_floor, speed_up

CPU = CostTable(costs={1: 1.0, 2: 1.6, 4: 2.8, 8: 6.2, 16: 7.5})
GPU = CostTable(costs={1: 1.0, 16: 1.05})


def test_costs_between_and_beyond_what_was_measured() -> None:
    assert CPU.cost(4) == 2.8
    assert CPU.cost(3) == pytest.approx(2.2)
    assert CPU.cost(24) == pytest.approx(7.5 + 8 * 1.3 / 8)
    assert CostTable(costs={1: 2.0}).cost(9) == 2.0


@pytest.mark.parametrize("costs", [{}, {2: 1.0}, {1: 0.0}, {1: 1.0, 0: 1.0}])
def test_a_table_without_sense_is_refused(costs: dict[int, float]) -> None:
    with pytest.raises(UserError):
        CostTable(costs=costs)


def test_what_is_sure_and_cheap_is_verified() -> None:
    assert draft_length([0.9] * 15, GPU) == 15
    assert draft_length([0.99, 0.98, 0.97], CPU) > 0


def test_off_where_it_would_slow_down() -> None:
    assert draft_length([], GPU) == 0
    assert draft_length([0.5, 0.4, 0.3], CPU) == 0
    assert draft_length([0.01] * 15, GPU, margin=0.2) == 0
    assert draft_length([0.9] * 15, CostTable(costs={1: 1.0, 2: 2.0, 16: 16.0})) == 0
    assert draft_length([0.9], CostTable(costs={1: 1.0, 2: 1.0}, drafting=1.0)) == 0


@given(st.lists(st.floats(0, 1), max_size=20), st.floats(1.0, 3.0))
def test_the_length_is_the_best_one(chances: list[float], slope: float) -> None:
    chances = sorted(chances, reverse=True)
    costs = CostTable(costs={1: 1.0, 20: slope})
    length = draft_length(chances, costs, margin=0.0)

    def speed(tokens: int) -> float:
        return (1 + sum(chances[:tokens])) / costs.cost(tokens + 1)

    assert all(speed(length) >= speed(other) - 1e-12 for other in range(len(chances) + 1))


def test_the_nearest_table_rather_of_a_larger_batch() -> None:
    tables = [CostTable(costs={1: 1.0}, batch=batch, context=context) for batch in (1, 8) for context in (1000, 30_000)]
    assert CostTable.nearest(tables, batch=2, context=900) is tables[2]
    assert CostTable.nearest(tables, batch=1, context=90_000) is tables[1]
    assert CostTable.nearest(tables, batch=99, context=0) is tables[2]
    with pytest.raises(UserError):
        CostTable.nearest([], batch=1, context=1)


def test_the_predicted_speed_up() -> None:
    assert speed_up(100, {1: 100}, CPU) == pytest.approx(1.0)
    assert speed_up(100, {4: 25}, CPU) == pytest.approx(100 / (25 * 2.8))
    assert speed_up(0, {}, CPU) == 1.0


def test_from_which_probability_on_a_prediction_pays() -> None:
    assert prediction_floor(1.0) == 0.5
    assert prediction_floor(3.0) == 0.25
    assert prediction_floor(3.0, trust=0.5) == 0.5
    assert prediction_floor(0.0) == float("inf")
