"""The engine's loop and what it decides, without a model."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentinfer.sam import CostTable, Draft, DraftIndex
from agentinfer.sam.engine import Engine, Followed, Follower, accepted_tokens, common_prefix, planned_draft
from agentinfer.sam.engine._plan import Trust
from agentinfer.sam.engine._text import TextStream

from ._fake_llama import END, FakeLlama

CHEAP = CostTable(costs={1: 1.0, 32: 1.0})
CPU = CostTable(costs={1: 1.0, 2: 1.6, 4: 2.8, 8: 6.2, 16: 7.5})
TOKENS = st.lists(st.integers(0, 3), max_size=30)


def wrote(engine: Engine, prompt: list[int], limit: int = 60, followed: Followed | None = None) -> list[int]:
    llama = engine.llama
    assert isinstance(llama, FakeLlama)
    return [
        token
        for done in engine.generate(prompt, llama.choose, limit=limit, followed=followed)
        for token in done.written
    ]


def looping(tokens: Sequence[int]) -> int:
    """Goes in circles, and ends some time."""
    return (
        END
        if len(tokens) % 97 == 0
        else (3 * tokens[-1] + (tokens[-2] if len(tokens) > 1 else 0) + len(tokens) // 20) % 5
    )


def engine_of(llama: FakeLlama, *tables: CostTable) -> Engine:
    return Engine(llama, tables=tables)  # type: ignore[arg-type]


@given(TOKENS, TOKENS)
def test_a_common_prefix(one: list[int], other: list[int]) -> None:
    common = common_prefix(one, other)

    assert one[:common] == other[:common]
    assert common in (len(one), len(other)) or one[common] != other[common]


@given(TOKENS, TOKENS.map(lambda tokens: [*tokens, END]))
def test_a_draft_changes_nothing_but_the_passes(draft: list[int], right: list[int]) -> None:
    asked: list[int] = []

    def choose(at: int) -> int:
        asked.append(at)
        return right[at]

    chosen = accepted_tokens(draft, choose, END.__eq__)

    assert chosen == right[: len(chosen)]
    assert asked == list(range(len(chosen)))
    accepted = common_prefix(draft, chosen)
    assert len(chosen) in (accepted + 1, accepted)
    assert len(chosen) == accepted + 1 or chosen[-1] == END


def test_a_draft_is_as_long_as_pays() -> None:
    draft = Draft([7] * 15, [0.9**at for at in range(1, 16)])

    assert planned_draft(draft, [], context=0) == []
    assert planned_draft(Draft(), [CHEAP], context=0) == []
    assert len(planned_draft(draft, [CHEAP], context=0)) == 15
    assert 0 < len(planned_draft(draft, [CPU], context=0)) < 15
    steep = CostTable(costs={1: 1.0, 2: 2.0, 16: 16.0}, context=9000)
    assert planned_draft(draft, [CHEAP, steep], context=8000) == []


def test_a_draft_is_shorter_the_less_it_is_trusted() -> None:
    draft = Draft([7] * 15, [0.9**at for at in range(1, 16)])
    lengths = [len(planned_draft(draft, [CPU], context=0, trust=share)) for share in (1.0, 0.9, 0.8, 0.5)]
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] > lengths[-1] == 0


def test_trust_is_lost_by_drafts_that_fail_and_won_back_by_those_that_would_not_have() -> None:
    trust, draft = Trust(), Draft([1, 2, 3], [0.9, 0.8, 0.7])
    for _ in range(40):
        trust.note(draft, 3, [1, 9])
    assert trust.share < 0.5
    for _ in range(100):
        trust.note(draft, 0, [1])
    assert trust.share == 1.0


@given(st.lists(st.tuples(st.integers(0, 3), TOKENS.filter(bool)), max_size=60))
def test_trust_is_a_share(passes: list[tuple[int, list[int]]]) -> None:
    trust = Trust()
    for verified, written in passes:
        trust.note(Draft([1, 2, 3], [0.9, 0.5, 0.1]), verified, written)
        assert 0 <= trust.share <= 1


@given(st.lists(TOKENS.filter(bool), min_size=1, max_size=4), st.sampled_from([(), (CPU,), (CHEAP,)]), st.booleans())
def test_the_text_is_that_without_drafts(
    prompts: list[list[int]], tables: tuple[CostTable, ...], rewinds: bool
) -> None:
    drafted, plain = FakeLlama(looping), FakeLlama(looping)
    drafted.rewinds = plain.rewinds = rewinds
    engine, alone = engine_of(drafted, *tables), engine_of(plain)
    follower = Follower(DraftIndex(threaded=False))
    history: list[int] = []
    for prompt in prompts:
        history = [*history, *prompt]
        reply = wrote(engine, history, followed=follower.follow(history))
        assert reply == wrote(alone, history)
        history = [*history, *reply]
        assert drafted.tokens == history[:-1], "the cache holds all but the last token"


def test_drafts_save_passes() -> None:
    llama = FakeLlama(lambda tokens: len(tokens) % 7)
    engine = engine_of(llama, CHEAP)
    followed = Follower(DraftIndex()).follow([1])

    assert len(wrote(engine, [1], 200, followed)) == 200
    assert len(llama.passes) < 60
    assert sum(llama.passes) < 300


def test_a_prefix_is_read_once() -> None:
    llama = FakeLlama(looping)
    engine = engine_of(llama)
    prompt = [at % 5 for at in range(60)]
    reply = wrote(engine, prompt, 10)
    assert llama.read == 59

    longer = [*prompt, *reply, *[3] * 20]
    assert engine.reusable(longer) == 69
    wrote(engine, longer, 1)
    assert llama.read == 59 + 20, "one token of the reply and 19 new ones; the last is decoded with the draft"

    wrote(engine, prompt, 1)
    assert llama.read == 79, "a prompt that is a beginning of the last one is read already"


def test_leaving_and_failing_keep_the_cache_straight() -> None:
    llama = FakeLlama(looping)
    engine = engine_of(llama)
    prompt = [at % 5 for at in range(60)]
    passes = engine.generate(prompt, llama.choose, limit=50)
    next(passes)
    passes.close()
    assert llama.tokens == prompt[:8]

    def fail(at: int) -> int:
        raise ValueError(at)

    with pytest.raises(ValueError, match="0"):
        list(engine.generate(prompt, fail, limit=5))
    assert llama.tokens == []
    assert wrote(engine, prompt, 5) == wrote(engine_of(FakeLlama(looping)), prompt, 5)


def test_the_context_ends_a_text() -> None:
    llama = FakeLlama(lambda tokens: 1, context=20)

    assert len(wrote(engine_of(llama, CHEAP), [1] * 15, 50, Follower(DraftIndex()).follow([1] * 15))) == 5


def test_conversations_are_known_again() -> None:
    index = DraftIndex(threaded=False)
    follower = Follower(index, sessions=2)
    system = list(range(100))
    one = follower.follow([*system, 201])
    one.wrote([5, 6, END])
    two = follower.follow([*system, 202])
    assert two is not one, "to begin alike is not to go on"
    assert follower.follow([*system, 201, 5, 6, END, 9]) is one
    assert len(one.drafts) == 105, "what is new is taken in once"
    assert not index.segments()

    three = follower.follow([*system, 203])
    assert three not in (one, two)
    assert len(index.segments()) == 1, "the longest unused has become an earlier session"
    follower.close()
    assert len(index.segments()) == 3


def test_the_same_prompt_again_drafts_the_same_reply() -> None:
    follower = Follower(DraftIndex())
    prompt = list(range(50))
    follower.follow(prompt).wrote([90, 91, 92, END])

    assert follower.follow(prompt).drafts.draft(4, 0.0).tokens[:4] == [90, 91, 92, END]


@given(st.text(max_size=20), st.lists(st.text(min_size=1, max_size=3), max_size=3), st.integers(1, 3))
def test_text_streams_in_whole_characters_up_to_a_stop(text: str, stop: list[str], step: int) -> None:
    data = text.encode(errors="replace")
    text = data.decode()
    stream = TextStream(stop)
    pieces = [stream.add(data[at : at + step]) for at in range(0, len(data), step)]
    pieces.append(stream.end())

    ends = [(at + len(word), at) for word in stop if (at := text.find(word)) >= 0]
    assert "".join(pieces) == text[: min(ends)[1] if ends else None], "up to the stop that is complete first"
    assert stream.stopped == any(word in text for word in stop)


def test_two_engines_with_one_index_follow_sessions_of_their_own() -> None:
    index = DraftIndex(threaded=False)
    one, other = (Follower(index).follow([1, 2, 3]) for _ in range(2))
    assert one.drafts is not other.drafts
    assert len(one.drafts) == len(other.drafts) == 3
