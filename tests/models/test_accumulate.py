"""One reply out of chunks of every shape."""

import contextlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentinfer.errors import ContextTooLong, ModelError, ServerFailed, StreamCut, UnknownModel
from agentinfer.models._accumulate import Accumulator
from agentinfer.protocol import RawReply
from agentinfer.transcript import ToolCall


def delta(finish_reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish_reason}]}


def gather(*chunks: Any, think_tags: bool = True) -> RawReply:
    accumulator = Accumulator()
    for chunk in chunks:
        accumulator.add(chunk)
    return accumulator.finish(think_tags=think_tags, whole=True)


def calls(*pieces: Any) -> list[tuple[str, str, str]]:
    reply = gather(*(delta(tool_calls=piece if isinstance(piece, list) else [piece]) for piece in pieces))
    return [(call.id, call.name, call.arguments) for call in reply.tool_calls]


def piece(name: str | None = None, arguments: Any = None, **fields: Any) -> dict[str, Any]:
    return {**fields, "function": {"name": name, "arguments": arguments}}


def test_tool_calls_in_pieces() -> None:
    assert calls(
        piece("search", "", index=0, id="a"),
        piece(None, '{"q":', index=0),
        piece("fetch", "{}", index=1, id="b"),
        piece(None, " 1}", index=0),
    ) == [("a", "search", '{"q": 1}'), ("b", "fetch", "{}")]


def test_id_and_name_repeated_in_every_piece() -> None:
    assert calls(piece("f", '{"a"', index=0, id="x"), piece("f", ": 1}", index=0, id="x")) == [("x", "f", '{"a": 1}')]


def test_ids_that_are_missing_or_repeat_stay_calls_of_their_own() -> None:
    assert calls([piece("f", "{}", index=0), piece("g", "{}", index=1)]) == [("", "f", "{}"), ("", "g", "{}")]
    assert calls([piece("f", "{}", index=0, id="x"), piece("g", "{}", index=1, id="x")]) == [
        ("x", "f", "{}"),
        ("x", "g", "{}"),
    ]


def test_no_index() -> None:
    assert calls(piece("f", "{", id="x"), piece(None, "}"), piece("g", "{}", id="y")) == [
        ("x", "f", "{}"),
        ("y", "g", "{}"),
    ]
    assert calls([piece("f", "{}"), piece("f", "{}")]) == [("", "f", "{}"), ("", "f", "{}")]


def test_several_whole_calls_under_one_index() -> None:
    assert calls(
        piece("f", '{"a": 1}', index=0, id="x"), piece("g", "{}", index=0, id="y"), piece("h", "{}", index=0, id="z")
    ) == [("x", "f", '{"a": 1}'), ("y", "g", "{}"), ("z", "h", "{}")]
    assert calls(piece("f", "{}", index=0), piece("g", "{}", index=0)) == [("", "f", "{}"), ("", "g", "{}")]


def test_arguments_as_an_object() -> None:
    assert calls(piece("f", {"a": [1]}, index=0, id="x")) == [("x", "f", '{"a": [1]}')]


def test_a_whole_completion_with_parts_and_refusals() -> None:
    parts = [{"type": "text", "text": "one "}, {"type": "image"}, {"type": "text", "text": "two"}]
    assert gather({"choices": [{"message": {"content": parts}, "finish_reason": "stop"}]}).text == "one two"
    assert gather({"choices": [{"message": {"content": None, "refusal": "No."}}]}).text == "No."
    whole = {"choices": [{"message": {"tool_calls": [piece("f", "{}", id="x")]}}]}
    assert gather(whole).tool_calls == (ToolCall("x", "f", "{}"),)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_reasoning_is_kept_apart(field: str) -> None:
    reply = gather(delta(**{field: "hm "}), delta(**{field: "so"}), delta(content="Yes"))
    assert (reply.reasoning, reply.text) == ("hm so", "Yes")


def test_think_tags() -> None:
    chunks = [delta(content=text) for text in ("<thi", "nk>hm</th", "ink>\n\nYes <think> ", "no")]
    assert (gather(*chunks).reasoning, gather(*chunks).text) == ("hm", "Yes <think> no")
    assert gather(*chunks, think_tags=False).reasoning is None
    assert gather(delta(content="<think>never ends")).text == ""


def test_a_cut_reply_is_told_from_a_whole_one() -> None:
    accumulator = Accumulator()
    accumulator.add(delta(content="Hel"))
    with pytest.raises(StreamCut) as caught:
        accumulator.finish(think_tags=True, whole=False)
    assert caught.value.partial == "Hel"
    accumulator.add(delta("length", content="lo"))
    assert accumulator.finish(think_tags=True, whole=False).cut


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("out of memory", ServerFailed),
        ({"message": "no such model", "code": 404}, UnknownModel),
        ({"error": {"message": "maximum context length is 10"}}, ContextTooLong),
        ({"message": "\ud800", "code": 500}, ServerFailed),
        ({"code": None, "message": {"detail": ["?"]}}, ServerFailed),
    ],
)
def test_errors_in_the_body(error: Any, kind: type[ModelError]) -> None:
    accumulator = Accumulator()
    accumulator.add(delta(content="Hel"))
    with pytest.raises(kind) as caught:
        accumulator.add({"error": error})
    assert caught.value.partial == "Hel"


USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "prompt_tokens_details": {"cached_tokens": 64},
    "completion_tokens_details": {
        "reasoning_tokens": 12,
        "accepted_prediction_tokens": 3,
        "rejected_prediction_tokens": 4,
    },
}


def test_usage_keeps_cached_and_reasoning_apart() -> None:
    accumulator = Accumulator()
    accumulator.add({"choices": [], "usage": USAGE})
    usage = accumulator.usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.cached_tokens) == (100, 64)
    assert (usage.completion_tokens, usage.reasoning_tokens) == (20, 12)
    assert (usage.accepted_prediction_tokens, usage.rejected_prediction_tokens) == (3, 4)


def test_cache_hits_as_deepseek_counts_them() -> None:
    accumulator = Accumulator()
    accumulator.add({"usage": {"prompt_tokens": 10, "completion_tokens": 1, "prompt_cache_hit_tokens": 8}})
    assert accumulator.usage is not None
    assert accumulator.usage.cached_tokens == 8


@pytest.mark.parametrize("usage", [None, {}, [], {"prompt_tokens": "many"}, {"prompt_tokens": -1}, "?"])
def test_usage_that_says_nothing(usage: Any) -> None:
    accumulator = Accumulator()
    accumulator.add({**delta(content="x"), "usage": usage})
    assert accumulator.usage is None


NAMES = """
choices delta message content tool_calls function name arguments index id error code usage finish_reason detail text
prompt_tokens completion_tokens prompt_tokens_details cached_tokens reasoning model refusal
"""
KEYS = st.sampled_from(NAMES.split())
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just("<think>\ud800")
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=25
)
PIECES = st.fixed_dictionaries(
    {},
    optional={
        "index": LEAVES | st.integers(0, 2),
        "id": VALUES,
        "function": st.fixed_dictionaries({}, optional={"name": VALUES, "arguments": VALUES}) | VALUES,
    },
)
DELTAS = st.fixed_dictionaries({}, optional={"content": VALUES, "tool_calls": st.lists(PIECES | VALUES, max_size=3)})
CHUNKS = VALUES | st.fixed_dictionaries(
    {"choices": st.lists(st.fixed_dictionaries({"delta": DELTAS | VALUES}), max_size=1)},
    optional={"usage": VALUES, "model": VALUES, "error": VALUES},
)


@settings(max_examples=100)
@given(st.lists(CHUNKS, max_size=5), st.booleans(), st.booleans())
def test_whatever_comes_nothing_but_a_model_error_escapes(chunks: list[Any], whole: bool, think_tags: bool) -> None:
    accumulator = Accumulator()
    with contextlib.suppress(ModelError):
        for chunk in chunks:
            accumulator.add(chunk)
        accumulator.finish(think_tags=think_tags, whole=whole)
