import asyncio
import gc
import threading
import weakref
from itertools import accumulate, takewhile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentinfer import Agent, Profile, RunResult, Sampling, tool
from agentinfer._plugins import find_plugin, make_plugin
from agentinfer.events import PluginFailed
from agentinfer.models import ModelRequest
from agentinfer.sam import (
    ByteTokenizer,
    DraftIndex,
    PredictionRefused,
    PredictionSent,
    RunRepeats,
    Sam,
    excludes_prediction,
    load_index,
)
from agentinfer.sam._feed import LONG, Feed
from agentinfer.testing import ScriptedModel, call, http, say
from agentinfer.transcript import Message, View

REPORT = "The quarterly report: " + " ".join(f"region {n} sold {n * 37} units," for n in range(12))
PREDICTS = Profile(name="predicts", prediction=True)


@tool
async def look(about: str) -> str:
    """Look something up."""
    return f"nothing about {about}"


def answered(text: str, accepted: int, rejected: int) -> Any:
    """A completion that reports what became of its prediction."""
    details = {"accepted_prediction_tokens": accepted, "rejected_prediction_tokens": rejected}
    usage = {"prompt_tokens": 10, "completion_tokens": 10, "completion_tokens_details": details}
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return http(200, {"choices": [choice], "usage": usage})


def events(result: RunResult[Any], kind: type) -> list[Any]:
    assert not [event for event in result.events if isinstance(event, PluginFailed)]
    return [event for event in result.events if isinstance(event, kind)]


async def test_what_was_written_before_is_predicted() -> None:
    sam = Sam(tokenizer="bytes", worth=10.0, least=4)
    with ScriptedModel(*[say(REPORT)] * 3, profile=PREDICTS) as model:
        agent = Agent(model, plugins=[sam])
        first, _, last = [await agent.run("Write the report.", session="s") for _ in range(3)]
        assert ["prediction" in request for request in model.requests] == [False, False, True]
        prediction = model.requests[2]["prediction"]
    assert prediction["type"] == "content"
    assert REPORT.startswith(prediction["content"])
    assert len(prediction["content"]) > 32
    assert events(first, PredictionSent) == []
    (sent,) = events(last, PredictionSent)
    assert sent.expected >= 4
    assert sent.accepted is None


async def test_another_session_of_the_tenant_is_learned_from_and_no_other_tenants() -> None:
    sam = Sam(tokenizer="bytes", worth=10.0, least=4)
    with ScriptedModel(*[say(REPORT)] * 6, profile=PREDICTS) as model:
        agent = Agent(model, plugins=[sam])
        for tenant in ("one", "one", "one", "one", "two", "one"):
            await agent.run("Write the report.", tenant=tenant)
            sam.index.build()
        assert ["prediction" in request for request in model.requests[4:]] == [False, True]


async def test_what_was_accepted_feeds_back() -> None:
    sam = Sam(tokenizer="bytes", worth=10.0, least=4)
    replies = [answered(REPORT, 0, 0)] * 2 + [answered(REPORT, 0, 60)] * 20
    with ScriptedModel(*replies, profile=PREDICTS, stream=False) as model:
        agent = Agent(model, plugins=[sam])
        results = [await agent.run("Write the report.", session="s") for _ in replies]
    sent = [bool(events(result, PredictionSent)) for result in results]
    assert sent[2]
    assert not sent[-1], "predictions that are always rejected end"
    (event,) = events(results[2], PredictionSent)
    assert (event.accepted, event.rejected) == (0, 60)
    assert results[2].usage.rejected_prediction_tokens == 60


async def test_an_endpoint_that_refuses_predictions_is_asked_without() -> None:
    sam = Sam(tokenizer="bytes", worth=10.0, least=4)
    refusal = http(400, {"error": {"message": "Unsupported parameter: prediction"}})
    with ScriptedModel(say(REPORT), say(REPORT), refusal, say(REPORT), say(REPORT), profile=PREDICTS) as model:
        agent = Agent(model, plugins=[sam])
        results = [await agent.run("Write the report.", session="s") for _ in range(4)]
        assert ["prediction" in request for request in model.requests] == [False, False, True, False, False]
    assert [result.answer for result in results] == [REPORT] * 4
    assert len(events(results[2], PredictionRefused)) == 1


@pytest.mark.parametrize(
    ("settings", "excluded"),
    [
        ({}, False),
        ({"profile": Profile()}, True),
        ({"sampling": Sampling(extra={"n": 2})}, True),
        ({"sampling": Sampling(extra={"n": 1, "logprobs": False})}, False),
        ({"sampling": Sampling(extra={"logprobs": True})}, True),
        ({"sampling": Sampling(extra={"presence_penalty": 0.5})}, True),
        ({"sampling": Sampling(extra={"max_completion_tokens": 50})}, True),
        ({"sampling": Sampling(extra={"tools": [{"type": "web_search"}]})}, True),
        ({"sampling": Sampling(extra={"functions": [{}], "n": 1})}, True),
        ({"sampling": Sampling(extra={"tools": []})}, False),
        ({"sampling": Sampling(max_tokens=50)}, False),
        (
            {
                "sampling": Sampling(max_tokens=50),
                "profile": Profile(prediction=True, max_tokens_field="max_completion_tokens"),
            },
            True,
        ),
    ],
)
def test_what_excludes_a_prediction(settings: dict[str, Any], excluded: bool) -> None:
    with ScriptedModel(**{"profile": PREDICTS, **settings}) as model:
        assert excludes_prediction(ModelRequest(model=model, view=View([Message.user("hi")]))) is excluded


async def test_tools_on_the_wire_exclude_a_prediction_and_those_in_the_prompt_do_not() -> None:
    for protocol, predicted in (("native", False), ("json", True)):
        sam = Sam(tokenizer="bytes", worth=10.0, least=4)
        with ScriptedModel(*[say(REPORT)] * 3, profile=PREDICTS, protocol=protocol) as model:
            agent = Agent(model, tools=[look], plugins=[sam])
            for _ in range(3):
                await agent.run("Write the report.", session="s")
            assert ("prediction" in model.requests[2]) is predicted


async def test_a_worth_of_nothing_sends_nothing_and_still_learns() -> None:
    sam = Sam(tokenizer="bytes", worth=0.0)
    with ScriptedModel(say(REPORT), say(REPORT), profile=PREDICTS) as model:
        agent = Agent(model, plugins=[sam])
        for question in ("Write the report.", "Write it again."):
            await agent.run(question)
    assert len(sam.index.segments()) == 2


async def test_each_message_is_learned_once_through_the_turns_of_a_session() -> None:
    sam = Sam(tokenizer="bytes", worth=10.0, least=4)
    with ScriptedModel(*[say("ab")] * 3) as model:
        agent = Agent(model, plugins=[sam])
        sizes = []
        for _ in range(3):
            await agent.run("x" * 10, session="s")
            sizes.append(len(sam.index.session("session s")))
    assert sizes[1] - sizes[0] == sizes[2] - sizes[1] == len("user\n") + 11 + len("assistant\n") + 3


async def test_a_run_that_repeats_itself_is_told_of() -> None:
    steps = [call("look", about=about) for about in ("tides of Brest", "moon", "Brest tides of", "Moon")]
    with ScriptedModel(*steps, say("done")) as model:
        result = await Agent(model, tools=[look], plugins=[Sam(tokenizer="bytes")]).run("?")
    (found,) = events(result, RunRepeats)
    assert (found.step, found.actions, found.times) == (4, 2, 2)


@pytest.mark.parametrize("first", [True, False])
async def test_beside_every_other_plugin(first: bool) -> None:
    sam = Sam(tokenizer="bytes", worth=10.0, least=4)
    others = [make_plugin(name, find_plugin(name), {}, None) for name in ("scope", "compress")]
    with ScriptedModel(*[call("look", about="tides"), say(REPORT)] * 3, profile=PREDICTS) as model:
        agent = Agent(model, tools=[look], plugins=[sam, *others] if first else [*others, sam])
        for _ in range(3):
            result = await agent.run("Write the report.", session="s")
            assert result.answer == REPORT
            assert not [event for event in result.events if isinstance(event, PluginFailed)]


async def test_kept_between_programs(tmp_path: Path) -> None:
    with ScriptedModel(say(REPORT), say(REPORT), profile=PREDICTS) as model:
        async with Agent(model, plugins=[Sam(tmp_path, tokenizer="bytes")]) as agent:
            await agent.run("Write the report.", tenant="one")
        sam = Sam(tmp_path, tokenizer="bytes")
        async with Agent(model, plugins=[sam]) as agent:
            await agent.run("hello", tenant="one")
            await sam.background.drain()
            assert len(sam.index.segments("one")) == 2
    assert sam.background.events == []


async def test_a_damaged_file_does_not_disturb_runs(tmp_path: Path) -> None:
    sam = Sam(tmp_path, tokenizer="bytes")
    (tmp_path / "bytes").mkdir()
    (tmp_path / "bytes" / "all.drafts").write_bytes(b"rubbish")
    with ScriptedModel(say("yes")) as model:
        async with Agent(model, plugins=[sam]) as agent:
            assert (await agent.run("?")).answer == "yes"
    assert any("cannot read" in getattr(event, "error", "") for event in sam.background.events)
    assert (tmp_path / "bytes" / "all.drafts").read_bytes() == b"rubbish"


async def test_another_session_is_learned_from_while_it_goes_on() -> None:
    sam = Sam(tokenizer="bytes", worth=10.0, least=4)
    with ScriptedModel(*[say(REPORT)] * 6, profile=PREDICTS) as model:
        agent = Agent(model, plugins=[sam])
        for tenant, session in (("one", "a"), ("one", "b"), ("one", "c"), ("two", "d"), ("one", "e"), ("one", "e")):
            await agent.run(f"Write the report of {session}.", tenant=tenant, session=session)
            sam.index.build()
        assert ("prediction" in model.requests[3], "prediction" in model.requests[5]) == (False, True)
    assert len(sam.index.segments("one")) == 4


async def test_sessions_are_kept_between_programs_each_once(tmp_path: Path) -> None:
    sam = Sam(tmp_path, tokenizer="bytes")
    with ScriptedModel(*[say(REPORT)] * 6) as model:
        async with Agent(model, plugins=[sam]) as agent:
            for session in ("a", "b", "c") * 2:
                await agent.run(f"Write the report of {session}.", session=session)
                await sam.background.drain()
    found = DraftIndex(threaded=False)
    assert load_index(found, tmp_path / "bytes") == 3
    lengths = [len(sam.index.session(f"session {name}")) for name in "abc"]
    assert sorted(map(len, found.segments())) == sorted(lengths)


async def test_a_session_that_is_over_is_freed() -> None:
    sam = Sam(tokenizer="bytes")
    with ScriptedModel(say("yes")) as model:
        await Agent(model, plugins=[sam]).run("?", session="s")
    held = weakref.ref(sam.index.session("session s"))
    sam.index.close("session s")
    gc.collect()
    assert held() is None


class Waiting(ByteTokenizer):
    """Stops before a long text until it is told to go on."""

    def __init__(self) -> None:
        self.reached, self.goes_on = threading.Event(), threading.Event()
        self.encoded: list[str] = []

    def encode(self, text: str) -> list[int]:
        if len(text) >= LONG:
            self.reached.set()
            self.goes_on.wait()
        self.encoded.append(text)
        return super().encode(text)


async def test_a_cancelled_run_is_written_before_the_next() -> None:
    tokenizer = Waiting()
    sam = Sam(tokenizer=tokenizer)
    question = "x" * LONG
    with ScriptedModel(say("a"), say("b")) as model:
        agent = Agent(model, plugins=[sam])
        first = asyncio.create_task(agent.run(question, session="s"))
        await asyncio.to_thread(tokenizer.reached.wait)
        first.cancel()
        second = asyncio.create_task(agent.run("next", session="s"))
        for _ in range(100):  # whatever can go on without the long text does
            await asyncio.sleep(0)
        tokenizer.goes_on.set()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert not events(await second, PluginFailed)
    assert tokenizer.encoded.index(question) < tokenizer.encoded.index("next")


async def test_a_cancelled_run_waits_for_what_is_written_however_often_it_is_cancelled() -> None:
    tokenizer = Waiting()
    feed = Feed(tokenizer)
    drafts = DraftIndex(threaded=False).session("s")
    heard = asyncio.create_task(feed.hear(drafts, [Message.user("x" * LONG)]))
    await asyncio.to_thread(tokenizer.reached.wait)
    for _ in range(3):
        heard.cancel()
        await asyncio.sleep(0)
    assert not heard.done()
    tokenizer.goes_on.set()
    with pytest.raises(asyncio.CancelledError):
        await heard
    assert len(drafts) == len("user\n") + LONG + 1


async def test_a_failed_run_costs_the_next_what_is_new() -> None:
    sam = Sam(tokenizer="bytes")
    refusal = http(400, {"error": {"message": "no"}})
    with ScriptedModel(say(REPORT), refusal, say("yes")) as model:
        agent = Agent(model, plugins=[sam])
        sizes = []
        for question in ("Write the report.", "One.", "Two."):
            await agent.run(question, session="s")
            sizes.append(len(sam.index.session("session s")))
    assert sizes[2] - sizes[1] == len("user\nTwo.") + 1 + len("assistant\nyes") + 1


@given(st.lists(st.lists(st.sampled_from("ab"), max_size=6).map(lambda words: [*accumulate(words)]), max_size=6))
def test_what_histories_share_is_heard_once(histories: list[list[str]]) -> None:
    async def hear() -> None:
        feed, drafts, before = Feed(ByteTokenizer()), DraftIndex(threaded=False).session("s"), list[str]()
        for history in histories:
            length = len(drafts)
            await feed.hear(drafts, [Message.user(text) for text in history])
            common = [*takewhile(lambda pair: pair[0] == pair[1], zip(before, history, strict=False))]
            new = history[len(common) :]
            assert len(drafts) - length == sum(len(f"user\n{text}") + 1 for text in new)
            before = history

    asyncio.run(hear())


def test_predictions_are_tried_anew_after_a_while_and_by_tenant() -> None:
    sam = Sam(tokenizer="bytes")
    with ScriptedModel(profile=PREDICTS) as model:
        request = ModelRequest(model=model, view=View([Message.user("hi")]))
        for _ in range(2):
            sam.learned(request, 100.0, 0, "one")
        assert sam.floor(request, "one") > 1.0
        assert sam.floor(request, "two") == sam.floor(request) == 0.5
        for _ in range(100):
            sam.unsent(request, "one")
        assert sam.floor(request, "one") < 0.7


async def test_a_call_without_a_prediction_lets_what_was_learned_fade() -> None:
    sam = Sam(tokenizer="bytes")
    with ScriptedModel(say("yes"), profile=PREDICTS) as model:
        request = ModelRequest(model=model, view=View([Message.user("?")]))
        sam.learned(request, 100.0, 0, "one")
        before = sam.floor(request, "one")
        await Agent(model, plugins=[sam]).run("?", tenant="one")
        assert sam.floor(request, "one") < before
