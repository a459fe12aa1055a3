import hashlib
import json
import threading
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentinfer.sam import (
    DraftIndex,
    IndexFileError,
    Segment,
    SessionDrafts,
    SuffixAutomaton,
    load_index,
    most_similar,
    save_index,
    sketch,
)
from agentinfer.sam._segments import merge

PHRASE = list(range(100, 140))


def said(index: DraftIndex, key: str, *texts: list[int], tenant: str | None = None) -> None:
    session = index.session(key, tenant=tenant)
    for text in texts:
        session.extend(text, own=True)
    index.close(key, tenant=tenant)


def built(index: DraftIndex, session: SessionDrafts) -> None:
    """Choose earlier sessions, and wait until they are merged."""
    session.draft(1)
    index.build()


def test_a_session_goes_on_through_its_turns() -> None:
    index = DraftIndex(threaded=False)
    index.session("a").extend(PHRASE, own=True)
    again = index.session("a")
    assert len(again) == len(PHRASE)
    again.extend([7, *PHRASE[:3]])
    draft = again.draft(4, 0.0)
    assert draft.tokens == PHRASE[3:7]
    assert not draft.earlier
    assert draft.expected == pytest.approx(sum(draft.probabilities))
    assert draft.cut(2).tokens == PHRASE[3:5]


def test_earlier_sessions_serve_new_ones() -> None:
    index = DraftIndex(threaded=False)
    said(index, "a", PHRASE, PHRASE)
    session = index.session("b")
    session.extend([1, 2, *PHRASE[:6]])
    assert session.draft(5, 0.0).tokens == [], "it does not wait"
    index.build()
    draft = session.draft(5, 0.0)
    assert draft.tokens == PHRASE[6:11]
    assert draft.earlier


def test_the_longest_evidence_wins() -> None:
    index = DraftIndex(threaded=False)
    said(index, "a", [1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 2, 3, 4, 5, 6, 7, 8, 9])
    session = index.session("b")
    session.extend([6, 70, 80, 4, 5, 6])
    built(index, session)
    assert session.draft(3, 0.0).tokens == [7, 8, 9]
    session.extend([70, 80, 90, 1, 2, 6, 70, 80])
    assert session.draft(1, 0.0).tokens == [90]


def test_a_segment_that_comes_later_is_followed_from_where_the_session_stands() -> None:
    index = DraftIndex(threaded=False)
    session = index.session("b")
    session.extend([3, 4, *PHRASE[:10]])
    assert session.draft(4, 0.0).tokens == []
    said(index, "a", PHRASE)
    built(index, session)
    assert session.draft(4, 0.0).tokens == PHRASE[10:14]


def test_tenants_share_nothing() -> None:
    index = DraftIndex(threaded=False)
    said(index, "a", PHRASE, PHRASE, tenant="one")
    for tenant in ("two", None):
        session = index.session("a", tenant=tenant)
        session.extend(PHRASE[:10])
        built(index, session)
        assert session.draft(4, 0.0).tokens == []
    assert index.calibrations("one")[0].dump() != index.calibrations("two")[0].dump()


@given(st.lists(st.lists(st.integers(0, 5), min_size=1, max_size=30), max_size=12), st.integers(0, 60))
def test_memory_is_bounded(texts: list[list[int]], most: int) -> None:
    index = DraftIndex(max_tokens=most)
    for number, text in enumerate(texts):
        said(index, str(number), text)
    assert sum(map(len, index.segments())) <= most


def test_what_is_chosen_stays() -> None:
    index = DraftIndex(max_tokens=100, similar=1, threaded=False)
    said(index, "a", PHRASE)
    said(index, "b", list(range(200, 240)))
    first, second = (segment.id for segment in index.segments())
    session = index.session("c")
    session.extend(PHRASE[:9])
    session.draft(3)
    said(index, "d", list(range(300, 340)))
    kept = [segment.id for segment in index.segments()]
    assert first in kept
    assert second not in kept


def test_no_draft_goes_past_the_end_of_an_earlier_session() -> None:
    index = DraftIndex(threaded=False)
    said(index, "a", PHRASE)
    said(index, "b", [1, 2, 3])
    session = index.session("c")
    session.extend(PHRASE[-5:])
    built(index, session)
    assert session.draft(8, 0.0).tokens == []
    session.extend([1, 2])
    assert session.draft(8, 0.0).tokens == [3]


def test_what_sessions_share_is_counted_together() -> None:
    index = DraftIndex(threaded=False)
    for number in range(6):
        said(index, str(number), [number, 1000 + number, *PHRASE])
    session = index.session("new")
    session.extend(PHRASE[:4])
    built(index, session)
    many = session.draft(4, 0.0).probabilities[0]
    fewer = DraftIndex(threaded=False)
    said(fewer, "a", PHRASE)
    session = fewer.session("new")
    session.extend(PHRASE[:4])
    built(fewer, session)
    assert many > session.draft(4, 0.0).probabilities[0]


def test_merged_sessions_are_bounded_too() -> None:
    index = DraftIndex(similar=1, max_merged=100, threaded=False)
    for number in range(4):
        said(index, str(number), list(range(number * 100, number * 100 + 60)))
    for number in range(4):
        session = index.session(f"new {number}")
        session.extend(list(range(number * 100, number * 100 + 30)))
        built(index, session)
        assert session.draft(2, 0.0).tokens == [number * 100 + 30, number * 100 + 31]
    first, last = index.session("new 0"), index.session("new 3")
    assert last.draft(2, 0.0).tokens == [330, 331]
    assert first.draft(2, 0.0).tokens == [], "what it drew on is held by nobody"
    first.extend([*range(10_000, 11_000), *range(20, 30)])
    built(index, first)
    assert first.draft(2, 0.0).tokens == [30, 31], "it goes on, and has it merged once more"
    assert last.draft(2, 0.0).tokens == []


def test_merged_sessions_are_bounded_over_all_tenants() -> None:
    index = DraftIndex(max_merged=100, threaded=False)
    for tenant in "abc":
        said(index, "earlier", PHRASE, tenant=tenant)
        session = index.session("new", tenant=tenant)
        session.extend([1, 2, *PHRASE[:6]])
        built(index, session)
        assert session.draft(2, 0.0).tokens == PHRASE[6:8]
    drafts = [index.session("new", tenant=tenant).draft(2, 0.0).tokens for tenant in "abc"]
    assert drafts == [[], PHRASE[6:8], PHRASE[6:8]], "the one unused for longest went"


def test_a_session_draws_on_no_more_than_may_be_merged() -> None:
    index = DraftIndex(max_merged=50, threaded=False)
    for number in range(3):
        said(index, str(number), [*range(number * 100, number * 100 + 20)])
    session = index.session("new")
    session.extend([5, 205])
    built(index, session)
    assert session.draft(2, 0.0).tokens == [206, 207]
    assert sum(len(segment) for segment in index.segments() if segment.id in session.chosen) == 40
    session.extend([9, 5])
    assert session.draft(2, 0.0).tokens != [6, 7], "the one said first is left out"


def test_a_session_that_a_thread_writes_is_not_closed_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    index = DraftIndex(max_sessions=1, threaded=False)
    busy = index.session("busy")
    busy.extend(PHRASE)
    monkeypatch.setattr(busy, "extending", True)  # as while `extend` runs in a thread
    index.session("another")
    assert index.open_sessions() == {"busy", "another"}
    monkeypatch.setattr(busy, "extending", False)
    index.session("a third")
    assert index.open_sessions() == {"a third"}


def test_too_many_sessions_become_earlier_ones() -> None:
    index = DraftIndex(max_sessions=2)
    for key in "abc":
        index.session(key).extend([ord(key)] * 3)
    assert len(index.segments()) == 1


def test_the_similar_ones_are_chosen() -> None:
    index = DraftIndex(similar=1, threaded=False)
    system = list(range(1000, 1200))
    for number in range(5):
        topic = [5000 + 100 * number + offset for offset in range(40)]
        said(index, str(number), system, topic, [*topic[:5], 77, number, 78])
    session = index.session("new")
    session.extend(system)
    session.extend([9, *(5300 + offset for offset in range(30))])
    session.extend([*(5300 + offset for offset in range(5)), 77])
    built(index, session)
    assert session.draft(2, 0.0).tokens == [3, 78]


def test_similarity_looks_past_what_all_share() -> None:
    shared = list(range(50))
    sketches = {
        name: sketch([*shared, *range(start, start + 40)]) for name, start in (("a", 100), ("b", 200), ("c", 300))
    }
    assert most_similar(sketch([*shared, *range(200, 230)]), sketches, 1) == ["b"]
    assert most_similar(sketch([]), sketches, 2) != []


def test_merging_keeps_what_the_model_wrote() -> None:
    automaton = SuffixAutomaton()
    automaton.extend(PHRASE, own=True)
    automaton.extend([1, 2])
    assert merge([Segment(automaton.dump())]).dump()[: len(automaton) * 4] == automaton.dump()


def test_saved_and_loaded(tmp_path: Path) -> None:
    index = DraftIndex(threaded=False)
    said(index, "a", PHRASE, tenant="../one")
    said(index, "b", [1, 2, 3], tenant="../one")
    path = save_index(index, tmp_path, tenant="../one")
    assert path.parent == tmp_path
    assert "one" not in path.name
    other = DraftIndex(threaded=False)
    assert load_index(other, tmp_path, tenant="../one") == 2
    assert [s.id for s in other.segments("../one")] == [s.id for s in index.segments("../one")]
    assert other.calibrations("../one")[0].dump() == index.calibrations("../one")[0].dump()
    assert load_index(other, tmp_path, tenant="two") == 0
    assert other.segments("two") == []
    session = other.session("c", tenant="../one")
    session.extend(PHRASE[:5])
    built(other, session)
    assert session.draft(2, 0.0).tokens == PHRASE[5:7]


def test_every_cut_or_changed_file_is_told_from_a_whole_one(tmp_path: Path) -> None:
    index = DraftIndex(threaded=False)
    said(index, "a", PHRASE)
    path = save_index(index, tmp_path)
    whole = path.read_bytes()
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        with pytest.raises(IndexFileError):
            load_index(DraftIndex(), tmp_path)
        with pytest.raises(IndexFileError):
            save_index(index, tmp_path)
        assert path.read_bytes() == whole[:size]
    for place in range(0, len(whole), 11):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(IndexFileError):
            load_index(DraftIndex(), tmp_path)


def test_another_version_or_tenant_is_refused(tmp_path: Path) -> None:
    index = DraftIndex(threaded=False)
    said(index, "a", PHRASE, tenant="one")
    path = save_index(index, tmp_path, tenant="one")
    whole = path.read_bytes()
    other = save_index(DraftIndex(), tmp_path, tenant="two")
    other.write_bytes(whole)
    with pytest.raises(IndexFileError, match="another tenant"):
        load_index(index, tmp_path, tenant="two")
    path.write_bytes(whole.replace(b"drafts 1", b"drafts 2", 1))
    with pytest.raises(IndexFileError, match="version"):
        load_index(index, tmp_path, tenant="one")
    body = b'agentinfer-drafts 1\n{"tenant": "one"}\n'
    path.write_bytes(body + hashlib.sha256(body).digest())
    with pytest.raises(IndexFileError, match="segments"):
        load_index(index, tmp_path, tenant="one")


def test_another_tokenizer_is_refused(tmp_path: Path) -> None:
    index = DraftIndex(threaded=False)
    said(index, "a", PHRASE)
    save_index(index, tmp_path, tokenizer="one")
    other = DraftIndex(threaded=False)
    for act in (load_index, save_index):
        with pytest.raises(IndexFileError, match="another tokenizer"):
            act(other, tmp_path, tokenizer="two")
    assert other.segments() == []
    assert load_index(other, tmp_path, tokenizer="one") == load_index(other, tmp_path) == 1


def test_others_draft_from_a_session_that_goes_on() -> None:
    index = DraftIndex(threaded=False)
    going_on = index.session("a")
    going_on.extend([*PHRASE, 1, 2])
    index.share("a")
    going_on.extend([3])
    index.share("a")
    session = index.session("b")
    session.extend(PHRASE[:5])
    built(index, session)
    assert session.draft(2, 0.0).tokens == PHRASE[5:7]
    assert [len(segment) for segment in index.segments()] == [len(going_on)]
    index.close("a")
    assert [len(segment) for segment in index.segments()] == [len(going_on)], "it is there once"


def test_a_session_does_not_draft_from_what_it_shares_itself() -> None:
    index = DraftIndex(threaded=False)
    session = index.session("a")
    session.extend(PHRASE)
    index.share("a")
    session.extend(PHRASE[:5])
    built(index, session)
    assert not session.draft(4, 0.0).earlier


def test_two_writers_lose_nothing(tmp_path: Path) -> None:
    def write(number: int) -> None:
        index = DraftIndex(threaded=False)
        for part in range(5):
            said(index, "a", [number, part, *PHRASE])
            save_index(index, tmp_path)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    index = DraftIndex(threaded=False)
    assert load_index(index, tmp_path) == 20
    assert not list(tmp_path.glob("*.partial"))


def test_what_is_saved_is_bounded(tmp_path: Path) -> None:
    for number in range(5):
        index = DraftIndex(max_tokens=100)
        said(index, "a", [number, *PHRASE])
        save_index(index, tmp_path)
    index = DraftIndex(threaded=False)
    load_index(index, tmp_path)
    assert [segment.text[:1] for segment in index.segments()] == [b"\x03", b"\x04"]


def test_a_thread_merges_unless_told_otherwise() -> None:
    index = DraftIndex()
    said(index, "a", PHRASE)
    session = index.session("b")
    session.extend(PHRASE[:5])
    session.draft(3)
    for thread in threading.enumerate():
        if thread.name == "agentinfer sam":
            thread.join()
    assert session.draft(3, 0.0).tokens == PHRASE[5:8]


def test_a_session_that_goes_on_is_saved_once(tmp_path: Path) -> None:
    index, other = (DraftIndex(threaded=False) for _ in range(2))
    session = index.session("a")
    for number in range(4):
        session.extend([number, *PHRASE])
        index.share("a")
        save_index(index, tmp_path)
        if number == 1:
            load_index(other, tmp_path)
    said(other, "b", PHRASE)
    save_index(other, tmp_path)
    found = DraftIndex(threaded=False)
    load_index(found, tmp_path)
    assert sorted(map(len, found.segments())) == [len(PHRASE), len(session)]


def test_what_is_dropped_while_sessions_are_chosen_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    index = DraftIndex(max_tokens=100, similar=1, threaded=False)
    for start in (100, 200):
        index.add(Segment(array("I", range(start, start + 40)).tobytes()))
    really = index.choose

    def choose(start: Sequence[int], segments: Mapping[str, Segment]) -> list[str]:
        chosen = really(start, segments)
        index.add(Segment(array("I", range(300, 400)).tobytes()))
        return chosen

    monkeypatch.setattr(index, "choose", choose)
    session = index.session("a")
    session.extend(PHRASE[:5])
    built(index, session)
    assert session.draft(3, 0.0).tokens == []
    assert [len(segment) for segment in index.segments()] == [100]


@given(
    st.integers(0, 60),
    st.lists(
        st.tuples(st.sampled_from(["one", "two"]), st.sampled_from("abc"), st.integers(1, 20), st.booleans()),
        max_size=20,
    ),
)
def test_what_is_held_is_counted(most: int, turns: list[tuple[str, str, int, bool]]) -> None:
    index = DraftIndex(max_tokens=most, threaded=False)
    for tenant, key, length, over in turns:
        index.session(key, tenant=tenant).extend([length] * length)
        (index.close if over else index.share)(key, tenant=tenant)
        held = {name: sum(map(len, index.segments(name))) for name in ("one", "two")}
        assert {name: index._tenant(name).tokens for name in held} == held
        assert sum(held.values()) <= most


def test_saving_sketches_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = DraftIndex(threaded=False)
    said(index, "a", PHRASE)
    monkeypatch.setattr("agentinfer.sam._segments.sketch", None)
    save_index(index, tmp_path)
    save_index(index, tmp_path)
    assert load_index(DraftIndex(threaded=False), tmp_path) == 1


def test_no_draft_waits_for_sessions_to_be_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    index = DraftIndex()
    goes_on, chosen_in = threading.Event(), list[threading.Thread]()
    really = index.choose

    def choose(start: Sequence[int], segments: Mapping[str, Segment]) -> list[str]:
        goes_on.wait()
        chosen_in.append(threading.current_thread())
        return really(start, segments)

    monkeypatch.setattr(index, "choose", choose)
    said(index, "a", PHRASE)
    session = index.session("b")
    session.extend(PHRASE[:5])
    try:
        assert session.draft(3, 0.0).tokens == []
    finally:
        goes_on.set()
    for thread in threading.enumerate():
        if thread.name == "agentinfer sam":
            thread.join()
    assert threading.current_thread() not in chosen_in
    assert session.draft(3, 0.0).tokens == PHRASE[5:8]


@pytest.mark.parametrize(
    ("about", "texts"),
    [
        ({"calibrations": [[0.0, 5.0, 5.0], [1.0, "x", 2.0]], "segments": []}, b""),
        ({"calibrations": [[0.0, 5.0, 5.0], [0.0, 1.0, 2.0]], "segments": []}, b""),
        ({"calibrations": [[0.0, 5.0, 5.0]], "segments": []}, b""),
        ({"calibrations": [[], [0, 10**400, 5]], "segments": []}, b""),
        ({"calibrations": [[], []], "segments": [{"id": "x", "bytes": 16385}]}, bytes(16385)),
        ({"calibrations": [[], []], "segments": [{"id": "x", "bytes": 8}]}, b"1234"),
        ({"calibrations": [[], []], "segments": [{"id": "x", "bytes": -4}]}, b"1234"),
        ({"calibrations": [[], []], "segments": [{"id": "x", "bytes": 4, "session": []}]}, b"1234"),
        (None, b"[" * 200_000),
    ],
)
def test_a_file_that_was_made_up_changes_nothing(about: dict[str, Any] | None, texts: bytes, tmp_path: Path) -> None:
    line = texts if about is None else json.dumps({"tenant": None, **about}).encode()
    body = b"agentinfer-drafts 1\n" + line + b"\n" + texts
    (tmp_path / "all.drafts").write_bytes(body + hashlib.sha256(body).digest())
    index = DraftIndex(threaded=False)
    with pytest.raises(IndexFileError):
        load_index(index, tmp_path)
    assert index.segments() == []
    assert [calibration.dump() for calibration in index.calibrations()] == [[], []]


def test_a_file_that_names_no_sessions_is_read(tmp_path: Path) -> None:
    about: dict[str, Any] = {"tenant": None, "calibrations": [[], []], "segments": [{"id": "x", "bytes": 8}]}
    body = b"agentinfer-drafts 1\n" + json.dumps(about).encode() + b"\n" + array("I", [1, 2]).tobytes()
    (tmp_path / "all.drafts").write_bytes(body + hashlib.sha256(body).digest())
    index = DraftIndex(threaded=False)
    assert load_index(index, tmp_path) == 1
    said(index, "a", PHRASE)
    save_index(index, tmp_path)
    assert load_index(DraftIndex(threaded=False), tmp_path) == 2


@given(
    st.integers(1, 4),
    st.integers(0, 60),
    st.lists(st.tuples(st.sampled_from([None, "one", "two"]), st.sampled_from("abc"), st.integers(0, 30)), max_size=20),
)
def test_sessions_under_way_are_bounded_over_all_tenants(
    most: int, tokens: int, turns: list[tuple[str | None, str, int]]
) -> None:
    index = DraftIndex(max_sessions=most, max_open=tokens, threaded=False)
    for tenant, key, length in turns:
        session = index.session(key, tenant=tenant)
        assert key in index.open_sessions(tenant), "the one that is asked for stays"
        keys = [(name, other) for name in (None, "one", "two") for other in index.open_sessions(name)]
        assert len(keys) <= most
        lengths = [len(index._open[at]) for at in keys]
        assert sum(lengths) <= max(tokens, len(session))
        session.extend([7] * length)
