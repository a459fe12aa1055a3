from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from agentinfer.sam import DraftIndex, load_index
from agentinfer.sam.vllm import SamProposer

PHRASE = list(range(100, 160))


class Row(list[int]):
    """What the proposer uses of a row of a numpy array."""

    def __getitem__(self, key: Any) -> Any:
        found = super().__getitem__(key)
        return Row(found) if isinstance(key, slice) else found

    def tolist(self) -> list[int]:
        return list(self)


class Engine:
    """Calls a proposer as vLLM does: one row per request, reused and moved."""

    def __init__(self, proposer: SamProposer, longest: int = 500) -> None:
        self.proposer = proposer
        self.longest = longest
        self.rows: list[list[int]] = []

    def step(self, *sampled: list[int]) -> list[list[int]]:
        for row, tokens in zip(self.rows, sampled, strict=True):
            row.extend(tokens)
        padded = [Row([*row, *[0] * (self.longest - len(row))]) for row in self.rows]
        table = Table(padded, self.longest)
        return self.proposer.propose([list(tokens) for tokens in sampled], [len(row) for row in self.rows], table)


class Table(list[Row]):
    def __init__(self, rows: list[Row], longest: int) -> None:
        super().__init__(rows)
        self.shape = (len(rows), longest)


def proposer(k: int = 4) -> SamProposer:
    made = SamProposer(SimpleNamespace(speculative_config=SimpleNamespace(num_speculative_tokens=k)))
    made.load_model(None, target=None)
    return made


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTINFER_SAM_FLOOR", "0.01")


def test_it_drafts_from_the_prompt() -> None:
    engine = Engine(proposer())
    engine.rows = [[1, *PHRASE, 2], [7, 8, 9]]
    assert engine.step(PHRASE[:2], [1]) == [PHRASE[2:6], []]
    assert engine.step(PHRASE[2:4], [])[0] == PHRASE[4:8]


def test_rows_move_and_are_reused() -> None:
    engine = Engine(proposer())
    engine.rows = [[1, 5, 1, *PHRASE], [9, 8, *PHRASE[::-1]]]
    engine.step([3], [4])
    engine.rows = [engine.rows[1]]
    assert engine.step(PHRASE[::-1][:3]) == [PHRASE[::-1][3:7]]
    engine.rows = [[70, 71, 72, 73]]
    assert engine.step([70, 71]) == [[72, 73, 70, 71]]
    assert len(engine.proposer.index.open_sessions()) == 3


def test_the_next_turn_goes_on_with_its_session() -> None:
    engine = Engine(proposer())
    engine.rows = [[1, *PHRASE]]
    engine.step([2])
    first = list(engine.rows[0])
    engine.rows = [[50, 51, 52]]
    engine.step([53])
    engine.rows = [[*first, 60, 61]]
    assert engine.step(PHRASE[:3]) == [PHRASE[3:7]]
    assert len(engine.proposer.index.open_sessions()) == 2


def test_a_draft_never_leaves_the_row() -> None:
    engine = Engine(proposer(16), longest=66)
    engine.rows = [[1, *PHRASE, 2]]
    assert engine.step(PHRASE[:2]) == [PHRASE[2:4]]


def test_a_cost_table_switches_it_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "costs.json"
    path.write_text('[{"costs": {"1": 1, "2": 1}, "batch": 1}, {"costs": {"1": 1, "2": 9}, "batch": 64}]')
    monkeypatch.setenv("AGENTINFER_SAM_COSTS", str(path))
    engine = Engine(proposer())
    engine.rows = [[1, *PHRASE, 2]]
    assert engine.step(PHRASE[:2]) == [PHRASE[2:6]]
    engine.rows = [[1, *PHRASE, 2], [3, 4]]
    assert engine.step(PHRASE[:2], [3]) == [[], []]


def test_earlier_sessions_come_from_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTINFER_SAM_PATH", str(tmp_path))
    monkeypatch.setenv("AGENTINFER_SAM_TENANT", "one")
    first = Engine(proposer())
    first.rows = [[1, 2, 3]]
    first.step(PHRASE)
    first.proposer.index.close("1", tenant="one")
    first.proposer.save()
    assert first.proposer._saving is not None
    first.proposer._saving.join()
    index = DraftIndex(threaded=False)
    assert load_index(index, tmp_path, tenant="one") == 1
    second = proposer()
    load_index(second.index, tmp_path, tenant="one")
    engine = Engine(second)
    engine.rows = [[4, 5, 6]]
    engine.step(PHRASE[:3])
    second.index.build()
    assert engine.step(PHRASE[3:5]) == [PHRASE[5:9]]
