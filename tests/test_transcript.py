"""History as bytes: views against a plain list, and work in proportion to what is new."""

from collections.abc import Hashable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentinfer import Message, ToolCall, View
from agentinfer.transcript import BLOCK_BYTES


class Counting:
    """A codec that counts its work."""

    def __init__(self, key: Hashable = "codec") -> None:
        self.key = key
        self.encoded: list[tuple[Message, bool]] = []
        self.counted = 0

    def encode(self, message: Message, *, leading: bool) -> bytes:
        self.encoded.append((message, leading))
        return f"{'^' if leading else ''}{message.role}:{message.content}".encode(errors="replace")

    def count(self, encoding: bytes) -> float:
        self.counted += 1
        return len(encoding) / 4


TEXTS = st.text(max_size=8) | st.integers(1, 3).map(lambda n: "x" * (n * BLOCK_BYTES))
MESSAGES = st.builds(Message.user, TEXTS)
GROWTH = st.lists(st.tuples(st.integers(0, 30), st.lists(MESSAGES, max_size=3)), max_size=12)


def grown(growth: list[tuple[int, list[Message]]], codec: Counting | None = None) -> list[tuple[View, list[Message]]]:
    """Views that grew from each other in any order, each with the list it should equal."""
    known: list[tuple[View, list[Message]]] = [(View(), [])]
    for which, messages in growth:
        view, plain = known[which % len(known)]
        longer = view.append(*messages)
        if codec is not None:
            longer.encoded(codec)
        known.append((longer, [*plain, *messages]))
    return known


@given(GROWTH)
def test_views_are_lists_whatever_they_grew_from(growth: list[tuple[int, list[Message]]]) -> None:
    for view, plain in grown(growth):
        assert list(view) == plain
        assert len(view) == len(plain)
        assert view == View(plain)


@given(GROWTH, st.slices(6))
def test_slices_are_those_of_a_list(growth: list[tuple[int, list[Message]]], piece: slice) -> None:
    for view, plain in grown(growth):
        assert list(view[piece]) == plain[piece]
        for position in range(-len(plain), len(plain)):
            assert view[position] is plain[position]


@given(GROWTH, st.booleans())
def test_encodings_equal_fresh_ones(growth: list[tuple[int, list[Message]]], early: bool) -> None:
    codec = Counting()
    for view, plain in grown(growth, codec if early else None):
        old = view.encoded(codec)
        new = View(Message.user(message.content) for message in plain).encoded(Counting())
        assert (old.parts, old.tokens, old.blocks) == (new.parts, new.tokens, new.blocks)
        assert old.digests[: old.blocks] == new.digests[: new.blocks]
        assert [old.tokens_up_to(b) for b in range(old.blocks + 1)] == [
            new.tokens_up_to(b) for b in range(new.blocks + 1)
        ]


@given(st.lists(MESSAGES, min_size=1, max_size=5), st.lists(MESSAGES, min_size=1, max_size=5))
def test_a_digest_stands_for_all_before_it(one: list[Message], two: list[Message]) -> None:
    left, right = View(one).encoded(Counting()), View(two).encoded(Counting())
    equal = [left.digest(b) == right.digest(b) for b in range(min(left.blocks, right.blocks))]
    assert equal == sorted(equal, reverse=True)  # once different, always different
    if left.parts == right.parts:
        assert all(equal)
    elif left.blocks == right.blocks:
        assert not equal[-1]


def test_an_append_encodes_and_counts_only_what_is_new() -> None:
    codec, view = Counting(), View()
    for number in range(200):
        view = view.append(Message.user(str(number)))
        view.encoded(codec)
    assert len(codec.encoded) == 200
    assert codec.counted == 200


def test_a_branch_counts_only_what_is_new() -> None:
    codec = Counting()
    view = View(Message.user(str(number)) for number in range(100))
    view.encoded(codec)
    asked = view.append(Message.user("a question of a plug-in's own"))
    went_on = view.append(Message.user("the run goes on"))
    asked.encoded(codec)
    went_on.encoded(codec)
    assert len(codec.encoded) == 102
    assert codec.counted == 102


def test_branches_never_see_each_other() -> None:
    view = View([Message.user("a")])
    one, two = view.append(Message.user("b")), view.append(Message.user("c"))
    codec = Counting()
    assert [m.content for m in one] == ["a", "b"]
    assert two.encoded(codec).parts[-1] == b"user:c"
    assert one.encoded(codec).parts[-1] == b"user:b"
    assert len(view) == 1
    assert not two.shares_storage(view)


def test_codecs_of_one_key_share_their_work() -> None:
    one, other, different = Counting(), Counting(), Counting("another")
    view = View([Message.user("a")])
    for codec in (one, other, different):
        view.encoded(codec)
    assert [len(codec.encoded) for codec in (one, other, different)] == [1, 0, 1]


def test_a_message_is_encoded_once_in_all_views() -> None:
    codec, message = Counting(), Message.user("a")
    View([Message.user("first"), message]).encoded(codec)
    View([Message.user("other"), message]).encoded(codec)
    assert [m.content for m, _ in codec.encoded] == ["first", "a", "other"]


WORDS = st.text(min_size=1, max_size=5)
CALLS = st.lists(st.builds(ToolCall, WORDS, WORDS, st.text(max_size=5)), max_size=2).map(tuple)


@given(
    st.builds(
        Message,
        role=st.sampled_from(["system", "user", "assistant", "tool"]),
        content=st.text(max_size=5),
        tool_calls=CALLS,
        tool_call_id=st.none() | WORDS,
        name=st.none() | WORDS,
        reasoning=st.none() | WORDS,
        raw=st.none() | WORDS,
        protocol=st.none() | WORDS,
        trust=st.sampled_from(["instruction", "data"]),
        stands_for=st.none() | st.tuples(st.integers(), st.integers()),
    )
)
def test_messages_survive_being_dumped(message: Message) -> None:
    import json

    data: dict[str, Any] = json.loads(json.dumps(message.to_dict()))
    assert Message.from_dict(data) == message


def test_tokens_of_the_first_messages() -> None:
    view = View([Message.user("a" * 40), Message.assistant("b" * 80)])
    encoded = view.append(Message.user("c")).encoded(Counting())
    assert encoded.tokens_of(0) == 0
    assert 0 < encoded.tokens_of(1) < encoded.tokens_of(2) < encoded.tokens_of(3) == encoded.tokens
    assert view.encoded(Counting()).tokens_of(9) == view.encoded(Counting()).tokens
