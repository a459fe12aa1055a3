"""Server-sent events, however the network cuts them."""

import contextlib
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentinfer.errors import InvalidResponse
from agentinfer.models import END
from agentinfer.models import _sse as sse
from agentinfer.models._sse import EventParser, parse_event

STREAM = (
    b": comment\r\n\r\n"
    b'event: message\r\ndata: {"n": 1}\r\n\r\n'
    b'data:{"n":\ndata: 2}\n\n'
    b"\n\nid: 7\nretry: 10\n\n" + 'data: {"text": "潮汐 é"}\n\n'.encode() + b'data: {"n": 3}\r\n\r\n'
    b"data: [DONE]\n\n"
)


def parse(*pieces: bytes) -> list[Any]:
    parser = EventParser()
    data = [event for piece in pieces for event in parser.feed(piece)]
    return [parse_event(event) for event in [*data, *parser.flush()]]


EVENTS = [{"n": 1}, {"n": 2}, {"text": "潮汐 é"}, {"n": 3}, END]


def test_a_stream_gives_its_events() -> None:
    assert parse(STREAM) == EVENTS
    assert parse(STREAM)[-1] is END


@pytest.mark.parametrize("at", range(len(STREAM) + 1))
def test_a_cut_at_any_byte_changes_nothing(at: int) -> None:
    assert parse(STREAM[:at], STREAM[at:]) == EVENTS


@given(st.lists(st.integers(0, len(STREAM)), max_size=40))
def test_many_cuts_change_nothing(cuts: list[int]) -> None:
    places = [0, *sorted(cuts), len(STREAM)]
    assert parse(*(STREAM[a:b] for a, b in itertools.pairwise(places))) == EVENTS


def test_byte_by_byte() -> None:
    assert parse(*(bytes([byte]) for byte in STREAM)) == EVENTS


def test_the_last_event_may_lack_its_end() -> None:
    assert parse(b'data: {"n": 1}\n\ndata: {"n": 2}') == [{"n": 1}, {"n": 2}]
    assert parse(b'data: {"n": 1}\n\ndata: {"n": 2}\n') == [{"n": 1}, {"n": 2}]


@given(st.lists(st.binary(max_size=40), max_size=8))
def test_garbage_raises_nothing_else_than_invalid_response(pieces: list[bytes]) -> None:
    with contextlib.suppress(InvalidResponse):
        parse(*pieces)


@pytest.mark.parametrize("data", [b"{", b"\xff\xfe", b"[" * 200_000, b"1" * 10_000])
def test_data_that_is_not_json(data: bytes) -> None:
    with pytest.raises(InvalidResponse):
        parse_event(data)


def test_an_event_without_an_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT_BYTES", 100)
    parser = EventParser()
    list(parser.feed(b"data: " + json.dumps("x" * 80).encode()))
    with pytest.raises(InvalidResponse):
        list(parser.feed(b"x" * 80))
