import json
from pathlib import Path
from typing import Any

import pytest

from agentinfer.errors import UserError
from agentinfer.sam import ByteTokenizer, CostTable
from agentinfer.sam._peers import NgramLookup, SamDecoding, peers
from agentinfer.sam._simulate import IndexDrafter, simulate
from agentinfer.sam._trajectories import Recorded, load_recorded

PHRASE = list(range(100, 140))
CHEAP = CostTable(costs={1: 1.0, 17: 1.0})


def repeating(number: int) -> Recorded:
    return Recorded(str(number), [([1, number], False), (PHRASE, True), ([2], False), (PHRASE, True)])


def test_without_drafts_each_token_takes_a_pass() -> None:
    outcome = simulate([Recorded("a", [(list(range(50)), True)])], lambda: IndexDrafter())
    assert outcome.tokens == outcome.passes[1] == 50
    assert outcome.tokens_per_pass == 1.0
    assert outcome.wasted == 0.0
    assert outcome.speed_up(CHEAP) == pytest.approx(1.0)


def test_what_is_repeated_takes_fewer_passes() -> None:
    outcome = simulate([repeating(5)], lambda: IndexDrafter(floor=0.05))
    assert outcome.tokens == 80
    assert outcome.passes.total() < 55
    assert outcome.accepted == 80 - outcome.passes.total()
    assert outcome.speed_up(CHEAP) == pytest.approx(outcome.tokens_per_pass)


def test_earlier_sessions_help_where_they_may() -> None:
    sessions = [repeating(number) for number in range(6)]
    within = simulate(sessions, lambda: IndexDrafter(floor=0.1), skip=3)
    across = simulate(sessions, lambda: IndexDrafter(floor=0.1, across=True), skip=3)
    assert within.tokens == across.tokens == 3 * 80
    assert across.tokens_per_pass > within.tokens_per_pass


def test_costs_cut_drafts() -> None:
    dear = CostTable(costs={1: 1.0, 2: 2.0, 17: 17.0})
    outcome = simulate([repeating(5)], lambda: IndexDrafter(floor=0.05), costs=dear)
    assert set(outcome.passes) == {1}


def test_ngram_lookup_copies_what_followed() -> None:
    lookup = NgramLookup(2, 3)
    lookup.start("a")
    lookup.extend([1, 2, 3, 4, 9, 2, 3], False)
    assert lookup.draft(2)[0] == [4, 9]
    lookup.start("b")
    assert lookup.draft(2)[0] == []
    found, missing = peers([], across=False)
    assert found[0][0].startswith("n-gram")
    assert missing in ([], ["ArcticInference"])


def test_sam_decoding_copies_from_the_first_place() -> None:
    peer = SamDecoding(factor=4, least=1)
    peer.start("a")
    peer.extend([1, 2, 3, 4, 5, 6, 7, 8, 1, 9, 1], False)
    assert peer.draft(16)[0] == [2, 3, 4, 5]  # one token matched, four drafted
    peer.extend([2], False)
    assert peer.draft(6)[0] == [3, 4, 5, 6, 7, 8]
    peer.extend([50], True)
    assert peer.draft(6)[0] == []
    assert SamDecoding(least=2).draft(4)[0] == []


def test_sam_decoding_prefers_the_session_unless_earlier_ones_match_by_far() -> None:
    peer = SamDecoding(across=True)
    peer.start("a")
    peer.extend(list(range(100, 120)), True)
    peer.start("b")
    peer.extend([104, 7, 8, 100, 101, 102, 103, 104], False)
    assert peer.draft(2)[0] == [7, 8]  # one token here, five there
    peer.start("c")
    peer.extend([106, 7, 8, 100, 101, 102, 103, 104, 105, 106], False)
    assert peer.draft(2)[0] == [107, 108]  # one here, seven there


def test_recorded_sessions_of_every_kind(tmp_path: Path) -> None:
    tokenizer = ByteTokenizer()
    lines = tmp_path / "chats.jsonl"
    call = {"name": "look", "arguments": '{"about": "tides"}'}
    own = {"role": "assistant", "content": None, "tool_calls": [{"id": "1", "type": "function", "function": call}]}
    chats: list[dict[str, Any]] = [
        {"id": "a", "messages": [{"role": "user", "content": "hi"}, own]},
        {"id": "b", "conversations": [{"from": "human", "value": "hi"}, {"from": "gpt", "value": "hello"}]},
    ]
    lines.write_text("".join(json.dumps(chat) + "\n" for chat in chats))
    first, second = load_recorded(lines, tokenizer)
    assert tokenizer.decode(first.pieces[-1][0][:-1]) == 'look {"about": "tides"}'
    assert [is_own for _, is_own in second.pieces] == [False, False, False, True]
    folder = tmp_path / "results" / "trajectories"
    folder.mkdir(parents=True)
    for chat in chats:
        (folder / f"{chat['id']}.json").write_text(json.dumps(chat))
    assert [session.pieces for session in load_recorded(tmp_path / "results", tokenizer)] == [
        first.pieces,
        second.pieces,
    ]


@pytest.mark.parametrize("content", ["", "nonsense", "[]", "{}", '{"messages": 3}', '{"messages": [{"role": "user"}]}'])
def test_what_is_no_session_is_told(tmp_path: Path, content: str) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_text(content)
    with pytest.raises(UserError, match="chats"):
        load_recorded(path, ByteTokenizer())
    with pytest.raises(UserError, match="cannot read"):
        load_recorded(tmp_path / "none", ByteTokenizer())


def test_tool_calls_that_are_no_list_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_text('{"messages": [{"role": "assistant", "content": "x", "tool_calls": 3}]}')
    (session,) = load_recorded(path, ByteTokenizer())
    assert ByteTokenizer().decode(session.pieces[-1][0][:-1]) == "x"


@pytest.mark.parametrize(
    "content", ['{"messages": [{"role": "assistant", "content": "é"}]}'.encode("latin-1"), b"[" * 100_000]
)
def test_what_cannot_be_read_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "chats.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError, match="is not"):
        load_recorded(path, ByteTokenizer())
    folder = tmp_path / "results"
    folder.mkdir()
    (folder / "a.json").write_bytes(content)
    with pytest.raises(UserError, match="is not"):
        load_recorded(folder, ByteTokenizer())
