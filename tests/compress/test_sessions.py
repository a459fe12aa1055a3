"""Conversations, tenants, and many runs at once."""

import asyncio
import itertools
from typing import Any

from _agent import agent_reply, is_notes, look_up, make_agent, notes_reply, of_kind, small_model
from _scripted import Wrap, failures

from agentinfer import Agent, Completion, Limits, Message, ModelRequest, RetryPolicy, Run, ToolCall, Usage
from agentinfer.compress import (
    Compress,
    Compressed,
    CompressionDropped,
    CompressionStarted,
    NotesReady,
    report,
)
from agentinfer.errors import ServerFailed
from agentinfer.protocol import Reply
from agentinfer.step import ModelHandler
from agentinfer.testing import ScriptedModel, ScriptedReply, call, fail, hang, say, wait_for

SETTINGS: dict[str, Any] = {"start_tokens": 2_000, "turns": 60.0}


def chat_model(per_run: int = 4) -> ScriptedModel:
    """Looks up some records for every question, each only once."""

    def reply(body: dict[str, Any]) -> ScriptedReply:
        messages = body["messages"]
        if is_notes(body):
            return notes_reply(body)
        questions = sum(message["role"] == "user" for message in messages)
        done = sum(1 for message in messages if message.get("tool_calls"))
        return say("done") if done >= per_run * questions else say("next") + call("look_up", number=done + 1)

    return ScriptedModel(handler=reply)


async def test_notes_that_come_between_two_runs_serve_the_next() -> None:
    gate = asyncio.Event()

    def written(body: dict[str, Any]) -> ScriptedReply:
        return wait_for(gate) + notes_reply(body)

    plugin = Compress(small=ScriptedModel(handler=written, name="small"), **SETTINGS)
    agent = Agent(chat_model(), tools=[look_up], plugins=[plugin], limits=Limits(steps=40))
    async with agent:
        results = [await agent.run(f"Question {number}", session="s") for number in range(3)]
        assert sum(len(of_kind(result, CompressionStarted)) for result in results) == 1
        assert not any(of_kind(result, Compressed) for result in results)
        gate.set()
        await agent.drain()
        last = await agent.run("Question 3", session="s")
        events = of_kind(last, NotesReady, Compressed)
        assert [event.kind for event in events][:2] == ["NotesReady", "Compressed"]
        assert not failures(last)
        assert last.run.view[-1].content == "done"
        questions = [m.content for m in last.run.view if m.role == "user"]
        assert questions == [f"Question {number}" for number in range(4)]
        assert plugin.background.calls.by_purpose["notes"].calls >= 1
        assert agent.usage.total_tokens > sum(result.usage.total_tokens for result in [*results, last])
        assert report(last.run).spent_tokens > 0


async def test_a_cut_is_not_followed_by_another_at_once() -> None:
    """The prefix it breaks is read anew once; turns to come find it cached again."""
    plugin = Compress(small=small_model(), start_tokens=2_000)
    agent = Agent(chat_model(2), tools=[look_up], plugins=[plugin], limits=Limits(steps=40))
    cuts: list[int] = []
    async with agent:
        for number in range(16):
            result = await agent.run(f"Question {number}", session="s")
            await agent.drain()
            for event in of_kind(result, Compressed):
                assert event.tokens_after < 0.6 * event.tokens_before, "it was worth its while"
                assert event.uncached_tokens < 0.5 * event.tokens_after, "it was warmed up, on another account"
                cuts.append(number)
    assert cuts
    assert all(later - earlier > 1 for earlier, later in itertools.pairwise(cuts))


def test_work_that_was_cancelled_between_two_runs_is_begun_again() -> None:
    plugin = Compress(small=ScriptedModel(handler=lambda body: hang(), name="small"), **SETTINGS)
    agent = Agent(chat_model(), tools=[look_up], plugins=[plugin], limits=Limits(steps=40))
    results = [asyncio.run(agent.run(f"Question {number}", session="s")) for number in range(5)]
    dropped = [event.reason for result in results for event in of_kind(result, CompressionDropped)]
    assert set(dropped) == {"cancelled"}
    assert sum(len(of_kind(result, CompressionStarted)) for result in results) > 1


async def test_a_session_waits_longer_after_each_failure() -> None:
    down = ScriptedModel(handler=lambda body: fail(ServerFailed("down")), name="small", retry=RetryPolicy(attempts=1))
    plugin = Compress(small=down, **SETTINGS)
    agent = Agent(chat_model(), tools=[look_up], plugins=[plugin], limits=Limits(steps=40))
    async with agent:
        begun = 0
        for number in range(8):
            result = await agent.run(f"Question {number}", session="s")
            await agent.drain()
            begun += len(of_kind(result, CompressionStarted))
    assert 2 <= begun <= 4, "2, 4, 8 and 16 turns, though a run has five"


async def test_steps_for_which_no_model_was_asked_are_no_turns() -> None:
    def in_its_place(run: Run, request: ModelRequest, handler: ModelHandler) -> Any:
        if run.steps:
            return handler(request)
        return made(request)

    async def made(request: ModelRequest) -> Completion:
        message = Message.assistant("I look.", tool_calls=[ToolCall("first", "look_up", '{"number": 1}')])
        return Completion(reply=Reply(message=message), finish_reason=None, usage=Usage(), model=request.model.name)

    plugin = Compress(small=small_model())
    agent = Agent(chat_model(2), tools=[look_up], plugins=[plugin, Wrap(model=in_its_place)], limits=Limits(steps=40))
    async with agent:
        for _ in range(3):
            result = await agent.run("A question", session="s")
            assert len(result.steps) == 3
        assert plugin.courses.turns() == [6], "two of the three, and a session is one"


async def test_what_one_tenant_left_is_not_taken_over_by_another() -> None:
    plugin = Compress(small=small_model(), **SETTINGS)
    agent = Agent(chat_model(12), tools=[look_up], plugins=[plugin], limits=Limits(steps=40))
    async with agent:
        for tenant in ("one", "two"):
            first = await agent.run("Question 0", session="s", tenant=tenant)
            await agent.drain()
            assert of_kind(first, CompressionStarted)
            assert not of_kind(first, Compressed)
        other = await agent.run("Question 0", session="s", tenant="three")
        assert not of_kind(other, Compressed)
        again = await agent.run("Question 1", session="s", tenant="one")
        assert of_kind(again, Compressed)


async def test_work_for_a_conversation_that_was_not_kept_is_dropped() -> None:
    """The same session's name in another agent: its history is another one."""
    plugin = Compress(small=small_model(), **SETTINGS)
    first = Agent(chat_model(12), tools=[look_up], plugins=[plugin], limits=Limits(steps=40))
    await first.run("Question 0", session="s")
    await first.drain()
    second = Agent(chat_model(3), tools=[look_up], plugins=[plugin])
    result = await second.run("Another question", session="s")
    assert result.answer == "done"
    assert [event.kind for event in result.events if "ompress" in event.kind] == ["CompressionDropped"]


async def test_many_runs_at_once_on_one_object() -> None:
    plugin = Compress(small=small_model(), **SETTINGS)
    agent = make_agent(plugin, model=ScriptedModel(handler=agent_reply), slow=True)
    async with agent:
        results = await asyncio.gather(*(agent.run(f"What are the codes? {number}") for number in range(8)))
    assert [result.answer for result in results] == ["done"] * 8
    assert not any(failures(result) for result in results)
    assert all(of_kind(result, Compressed) for result in results)
    assert len({id(result.run.tools) for result in results}) == 1, "one tool list, one lane"
    assert all(report(result.run).swaps == len(of_kind(result, Compressed)) for result in results)
    assert plugin.courses.turns() == [13] * 8
