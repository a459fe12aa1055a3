import json
import logging
import multiprocessing
import sys
import threading
import time
from array import array
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import agentinfer.sam.vllm as module
from agentinfer.errors import UserError
from agentinfer.sam import DraftIndex, Segment, SessionDrafts, _batch, load_index, save_index
from agentinfer.sam.vllm import SamProposer

PHRASE = list(range(100, 160))
VOCABULARY = 1000
END = 999


class Watched(SamProposer):
    """Tells when its thread has done something."""

    def __init__(self, vllm_config: Any) -> None:
        super().__init__(vllm_config)
        self.loaded, self.saved = threading.Event(), threading.Event()

    def _load(self) -> None:
        super()._load()
        self.loaded.set()

    def _save(self) -> None:
        super()._save()
        self.saved.set()


class Engine:
    """Calls a proposer as vLLM does: one row per request, reused and moved."""

    def __init__(self, proposer: Watched, longest: int = 500) -> None:
        self.proposer = proposer
        self.longest = longest
        self.rows: list[list[int]] = []

    def step(self, *sampled: list[int]) -> list[list[int]]:
        for row, tokens in zip(self.rows, sampled, strict=True):
            row.extend(tokens)
        padded = [array("i", [*row, *[0] * (self.longest - len(row))]) for row in self.rows]
        table = Table(padded, self.longest)
        return self.proposer.propose([list(tokens) for tokens in sampled], [len(row) for row in self.rows], table)

    @property
    def sessions(self) -> int:
        return len(self.proposer.index.open_sessions(self.proposer.tenant))


class Table(list[Any]):
    def __init__(self, rows: list[Any], longest: int) -> None:
        super().__init__(rows)
        self.shape = (len(rows), longest)


class Tokenizer:
    """Of vLLM's tokenizers what the proposer uses."""

    def __init__(self, *words: str) -> None:
        self.words = words

    def get_vocab(self) -> dict[str, int]:
        return {word: number for number, word in enumerate(self.words)}


def config(k: int = 4, rank: int = 0) -> Any:
    model = SimpleNamespace(
        get_vocab_size=lambda: VOCABULARY,
        try_get_generation_config=lambda: {"eos_token_id": [END, END - 1]},
        hf_config=SimpleNamespace(eos_token_id=END),
        tokenizer=Tokenizer("one", "two"),
    )
    return SimpleNamespace(
        speculative_config=SimpleNamespace(num_speculative_tokens=k),
        model_config=model,
        parallel_config=SimpleNamespace(rank=rank),
    )


def proposer(k: int = 4, *, about: Any = None) -> Watched:
    made = Watched(about or config(k))
    made.load_model(None, target=None)
    if made.path is not None:
        assert made.loaded.wait(timeout=60)
    return made


def imports() -> dict[str, ModuleType]:
    vllm, tokenizers = ModuleType("vllm"), ModuleType("vllm.tokenizers")
    tokenizers.cached_tokenizer_from_config = lambda model_config: model_config.tokenizer  # type: ignore[attr-defined]
    return {"vllm": vllm, "vllm.tokenizers": tokenizers}


@pytest.fixture(autouse=True)
def settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its settings, and of vLLM what it imports."""
    monkeypatch.setenv("AGENTINFER_SAM_FLOOR", "0.01")
    monkeypatch.setattr(module, "Finalize", lambda *args, **more: None)
    for name, imported in imports().items():
        monkeypatch.setitem(sys.modules, name, imported)


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the index."""
    monkeypatch.setenv("AGENTINFER_SAM_PATH", str(tmp_path / "index"))
    return tmp_path / "index"


def test_it_drafts_from_the_prompt() -> None:
    engine = Engine(proposer())
    engine.rows = [[1, *PHRASE, 2], [7, 8, 9]]
    assert engine.step(PHRASE[:2], [1]) == [PHRASE[2:6], []]
    assert engine.step(PHRASE[2:4], [])[0] == PHRASE[4:8]


def test_the_engine_hands_over_arrays() -> None:
    numpy = pytest.importorskip("numpy")
    made = proposer()
    rows = numpy.zeros((3, 500), dtype=numpy.int32)
    lengths = numpy.zeros(3, dtype=numpy.int32)
    text = [1, *PHRASE, 2, *PHRASE[:2]]
    rows[0, : len(text)], lengths[0] = text, len(text)
    drafts = made.propose([text[-2:], []], lengths, rows)
    assert drafts == [PHRASE[2:6], []]
    assert all(type(token) is int for token in drafts[0])
    rows[1], lengths[1] = rows[0], lengths[0]
    rows[1, len(text) - 1], lengths[0] = 7, 0
    assert made.propose([[], [7]], lengths, rows)[0] == []
    assert len(made.index.open_sessions()) == 1, "the same session in another row, with another end"


def test_rows_move_and_are_reused() -> None:
    engine = Engine(proposer())
    engine.rows = [[1, 5, 1, *PHRASE], [9, 8, *PHRASE[::-1]]]
    engine.step([3], [4])
    engine.rows = [engine.rows[1]]
    assert engine.step(PHRASE[::-1][:3]) == [PHRASE[::-1][3:7]]
    engine.rows = [[70, 71, 72, 73]]
    assert engine.step([70, 71]) == [[72, 73, 70, 71]]
    assert engine.sessions == 3


def heard(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of what sessions hear from now on."""
    lengths: list[int] = []
    really = SessionDrafts.extend

    def extend(self: SessionDrafts, tokens: list[int], *, own: bool = False) -> None:
        lengths.append(len(tokens))
        really(self, tokens, own=own)

    monkeypatch.setattr(SessionDrafts, "extend", extend)
    return lengths


def test_the_next_turn_costs_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(proposer())
    engine.rows = [[1, *PHRASE]]
    engine.step([2])
    first = list(engine.rows[0])
    engine.rows = [[50, 51, 52]]
    engine.step([53])
    lengths = heard(engine, monkeypatch)
    engine.rows = [[*first, 60, 61]]
    assert engine.step(PHRASE[:3]) == [PHRASE[3:7]]
    assert lengths == [2, 3]
    assert engine.sessions == 2


def test_a_reply_that_comes_back_otherwise_does_not_end_its_session(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(proposer(), longest=2000)
    prompt = [*range(200, 900), *PHRASE]
    engine.rows = [list(prompt)]
    engine.step([2, END, 3])  # what comes with the end of a reply is never seen by the client
    lengths = heard(engine, monkeypatch)
    engine.rows = [[*prompt, 2, END, 60, 61]]
    assert engine.step(PHRASE[:3]) == [PHRASE[3:7]]
    assert sum(lengths) <= _batch.CHECKED + 5
    assert engine.sessions == 1
    engine.rows = [[*prompt[:500], 5, 6]]
    engine.step([7])
    assert engine.sessions == 2, "where the last prompt is not there whole, it is another session"


def test_one_prompt_in_several_rows() -> None:
    engine = Engine(proposer())
    engine.rows = [[1, *PHRASE, 2], [1, *PHRASE, 2]]
    assert engine.step(PHRASE[:2], PHRASE[:2]) == [PHRASE[2:6]] * 2
    assert engine.step([5], PHRASE[2:5])[1] == PHRASE[5:9]
    assert engine.step(PHRASE[:3], PHRASE[5:6]) == [PHRASE[3:7], PHRASE[6:10]]
    assert engine.sessions == 2


def test_an_aborted_request_leaves_the_others_alone() -> None:
    engine = Engine(proposer())
    engine.rows = [[1, *PHRASE, 2], [4, *PHRASE[::-1], 5]]
    engine.step(PHRASE[:2], PHRASE[::-1][:2])
    engine.rows = [engine.rows[1]]
    assert engine.step(PHRASE[::-1][2:3]) == [PHRASE[::-1][3:7]]
    engine.rows = []
    assert engine.step() == []
    assert engine.proposer.batch._rows == {}


def test_a_draft_never_leaves_the_row() -> None:
    engine = Engine(proposer(16), longest=66)
    engine.rows = [[1, *PHRASE, 2]]
    assert engine.step(PHRASE[:2]) == [PHRASE[2:3]], "one token more comes with every pass"


def test_a_draft_ends_with_the_reply() -> None:
    engine = Engine(proposer())
    engine.rows = [[1, 10, 11, END, 12, 13]]
    assert engine.step([10]) == [[11, END]]


def test_a_draft_has_tokens_of_the_model_only() -> None:
    engine = Engine(proposer())
    engine.proposer.index.similar = None
    engine.proposer.index._threaded = False
    old = engine.proposer.index.session("old")
    old.extend([1, 2, 3, VOCABULARY, 4], own=True)
    engine.proposer.index.close("old")
    engine.rows = [[5]]
    engine.step([1])
    engine.proposer.index.build()
    assert engine.step([2]) == [[3]]


def test_a_cost_table_switches_it_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "costs.json"
    path.write_text('[{"costs": {"1": 1, "2": 1}, "batch": 1}, {"costs": {"1": 1, "2": 9}, "batch": 64}]')
    monkeypatch.setenv("AGENTINFER_SAM_COSTS", str(path))
    engine = Engine(proposer())
    engine.rows = [[1, *PHRASE, 2]]
    assert engine.step(PHRASE[:2]) == [PHRASE[2:6]]
    engine.rows = [[1, *PHRASE, 2], [3, 4]]
    assert engine.step(PHRASE[:2], [3]) == [[], []]


@pytest.mark.parametrize("content", [None, "{", "[3]", '[{"costs": {"2": 1}}]'])
def test_wrong_settings_are_told_at_the_start(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "costs.json"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("AGENTINFER_SAM_COSTS", str(path))
    with pytest.raises(UserError, match="cost"):
        proposer()


def test_a_floor_that_is_no_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTINFER_SAM_FLOOR", "high")
    with pytest.raises(UserError, match="AGENTINFER_SAM_FLOOR"):
        proposer()


def test_a_failure_ends_drafting_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    engine = Engine(proposer())
    engine.rows = [[1, *PHRASE, 2], [1]]
    del engine.proposer.ends
    assert engine.step(PHRASE[:2], [3]) == [[], []]
    assert engine.step(PHRASE[2:3], [4]) == [[], []]
    assert [record.levelname for record in caplog.records] == ["ERROR"]


def test_sessions_that_rest_are_drafted_from(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine(proposer())
    engine.proposer.index._threaded = False
    engine.rows = [[1, 2, 3]]
    engine.step(PHRASE)
    engine.rows = [[4, 5, 6]]
    engine.step(PHRASE[:3])
    engine.proposer.index.build()
    assert engine.step(PHRASE[3:5]) == [[]], "it has not rested long enough"
    later = time.monotonic() + _batch.RESTS_AFTER
    monkeypatch.setattr(time, "monotonic", lambda: later)
    for end in (50, 51):
        engine.rows = [[7, 8, end]]
        engine.step(PHRASE[:3])
    engine.proposer.index.build()
    assert engine.step(PHRASE[3:5]) == [PHRASE[5:9]]
    assert len(engine.proposer.index.segments()) == 2, "of both others may draft"


def test_the_index_is_saved_and_loaded(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTINFER_SAM_TENANT", "one")
    first = Engine(proposer())
    first.rows = [[1, 2, 3]]
    first.step(PHRASE)
    first.proposer.close()
    assert load_index(DraftIndex(threaded=False), kept, tenant="one") == 1
    assert load_index(DraftIndex(threaded=False), kept) == 0
    second = Engine(proposer())
    second.proposer.index._threaded = False
    second.rows = [[4, 5, 6]]
    second.step(PHRASE[:3])
    second.proposer.index.build()
    assert second.step(PHRASE[3:5]) == [PHRASE[5:9]]


def work_and_stop(rank: int) -> None:
    """What a worker process of the engine does."""
    sys.modules.update(imports())
    engine = Engine(proposer(about=config(rank=rank)))
    engine.rows = [[1, 2, 3]]
    engine.step(PHRASE)
    raise SystemExit


@pytest.mark.timeout(180)
@pytest.mark.parametrize("rank", [0, 1])
def test_it_is_saved_when_the_process_ends(rank: int, kept: Path) -> None:
    process = multiprocessing.get_context("spawn").Process(target=work_and_stop, args=(rank,))
    process.start()
    process.join()
    assert process.exitcode == 0
    assert load_index(DraftIndex(threaded=False), kept) == (1 if rank == 0 else 0), "of several workers one saves"


def test_what_rests_is_saved_before_anybody_stops_the_server(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAVE_EVERY", 0.01)
    engine = Engine(proposer())
    saved = engine.proposer.saved
    engine.rows = [[1, 2, 3]]
    engine.step(PHRASE)
    assert not saved.wait(timeout=0.1), "it goes on"
    monkeypatch.setattr(_batch, "RESTS_AFTER", 0.0)
    assert saved.wait(timeout=60)
    assert load_index(DraftIndex(threaded=False), kept) == 1
    saved.clear()
    assert not saved.wait(timeout=0.1), "nothing is new"
    engine.step(PHRASE[:9])
    assert saved.wait(timeout=60)
    longer = DraftIndex(threaded=False)
    assert load_index(longer, kept) == 1
    assert len(longer.segments()[0]) == 3 + len(PHRASE) + 9
    engine.proposer.close()


def test_what_is_over_is_saved_on_the_way(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SAVE_EVERY", 0.01)
    monkeypatch.setattr(_batch, "MAX_SESSIONS", 1)
    engine = Engine(proposer())
    for number in range(4):
        engine.rows = [[number, *PHRASE[number:]]]
        engine.step([1])
    found = 0
    while found < 2:  # the first may have been saved before the second was over
        assert engine.proposer.saved.wait(timeout=60)
        engine.proposer.saved.clear()
        found = load_index(DraftIndex(threaded=False), kept)
    assert found == 2
    engine.proposer.close()


@pytest.mark.parametrize("broken", ["cut", "another tokenizer", "no index"])
def test_without_an_index_that_can_be_used_it_drafts_all_the_same(
    broken: str, kept: Path, caplog: pytest.LogCaptureFixture
) -> None:
    index = DraftIndex(threaded=False)
    index.add(Segment(array("I", PHRASE).tobytes()))
    path = save_index(index, kept, tokenizer="other" if broken == "another tokenizer" else None)
    if broken == "cut":
        path.write_bytes(path.read_bytes()[:-1])
    if broken == "no index":
        path.write_text("hello")
    content = path.read_bytes()
    engine = Engine(proposer())
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert str(path) in caplog.text
    assert "none are saved" in caplog.text
    engine.rows = [[1, *PHRASE, 2]]
    assert engine.step(PHRASE[:2]) == [PHRASE[2:6]]
    engine.proposer.close()
    assert path.read_bytes() == content, "it is left for somebody to look at"


def test_a_folder_that_is_not_there_yet(kept: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger=module.LOG.name)
    made = proposer()
    assert "Drafting from 0 earlier sessions" in caplog.text
    made.close()
    assert json.loads(next(kept.glob("*.drafts")).read_bytes().splitlines()[1])["segments"] == []


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_batch, "MAX_SESSIONS", 5)
    engine = Engine(proposer())
    engine.proposer.index.max_tokens = 1000
    for number in range(60):
        engine.rows = [[number, *PHRASE]]
        engine.step([number])
    assert len(engine.proposer.batch._known) == engine.sessions == 5 + 1
    assert len(engine.proposer.batch._rows) == 1
    assert sum(map(len, engine.proposer.index.segments())) <= 1000
    monkeypatch.setattr(_batch, "MAX_TOKENS", 200)
    engine.rows = [[77, *PHRASE]]
    engine.step([1])
    assert engine.sessions == 3 + 1, "its own tokens come afterwards"
    assert "61" in engine.proposer.batch._known


def test_a_session_in_the_batch_is_never_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_batch, "MAX_SESSIONS", 0)
    monkeypatch.setattr(_batch, "MAX_TOKENS", 0)
    engine = Engine(proposer())
    engine.rows = [[1, *PHRASE, 2], [4, *PHRASE[::-1], 5], [6, 7]]
    engine.step(PHRASE[:2], PHRASE[::-1][:2], [8])
    assert engine.sessions == 3
    assert engine.step(PHRASE[2:3], PHRASE[::-1][2:3], [9])[:2] == [PHRASE[3:7], PHRASE[::-1][3:7]]


@given(st.lists(st.integers(0, 3), max_size=40), st.lists(st.integers(0, 3), max_size=40))
def test_what_two_sequences_have_in_common(one: list[int], other: list[int]) -> None:
    followed = _batch.Followed("1", DraftIndex(threaded=False).session("1"))
    followed.extend(one, own=False)
    length = next((n for n, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), None)
    assert followed.common(array("i", other), len(other)) == (min(len(one), len(other)) if length is None else length)
