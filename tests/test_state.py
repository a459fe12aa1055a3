"""What a run keeps, is dumped and resumed with; sessions; structured answers."""

import asyncio
import json
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from _scripted import Script, Wrap, call, calls, kinds, model, script_of
from pydantic import BaseModel

from agentinfer import Agent, Limits, Message, Middleware, Model, Profile, Run, ToolSet, UserError, View, tool
from agentinfer.events import PluginFailed, RunFinished, ViewCommitted
from agentinfer.run import Change
from agentinfer.sessions import Sessions

USAGE = {"prompt_tokens": 10, "completion_tokens": 5}
LOOK = [calls(call("look", {"at": index})) for index in range(9)]


@tool(bounded=True)
async def look(at: int) -> str:
    """Look at something."""
    return f"seen {at}"


class Seen(BaseModel):
    steps: list[int] = []


class Remembers:
    @asynccontextmanager
    async def bind(self, run: Run) -> Any:
        state = run.state("remembers", Seen)

        class Own(Middleware):
            async def step(self, request: Any, handler: Any) -> Any:
                state.steps.append(request.index)
                return await handler(request)

        yield Own()


# Dump and resume


async def interrupted(agent: Agent, at: int, **settings: Any) -> dict[str, Any]:
    """What a run dumped before its step `at`, through JSON."""
    dumped: dict[str, Any] = {}
    ready = asyncio.Event()

    async def dump(run: Run, request: Any, handler: Any) -> Any:
        if request.index == at:
            dumped.update(json.loads(json.dumps(run.dump())))
            ready.set()
            await asyncio.Event().wait()
        return await handler(request)

    agent.plugins = (*agent.plugins, Wrap(step=dump))
    task = asyncio.create_task(agent.run("q", **settings))
    await ready.wait()
    task.cancel()
    await asyncio.wait([task])
    agent.plugins = agent.plugins[:-1]
    return dumped


async def test_a_run_goes_on_where_it_was_dumped() -> None:
    agent = Agent(model(LOOK[0], LOOK[1], "done", usage=USAGE), tools=[look], plugins=[Remembers()])
    dumped = await interrupted(agent, 3)
    result = await agent.run("q", resume=dumped)
    assert result.answer == "done"
    assert result.run.id == dumped["id"]
    assert [step.index for step in result.steps] == [3]
    assert result.run.state("remembers", Seen).steps == [1, 2, 3, 3]
    assert [message.role for message in result.messages] == [
        *["user", "assistant", "tool", "assistant", "tool", "assistant"]
    ]
    assert len(script_of(agent.model).bodies) == 3
    assert result.usage.total_tokens == 45
    assert agent.usage.total_tokens == 45  # what was spent before is not counted twice


async def test_a_resumed_run_streams() -> None:
    agent = Agent(model(LOOK[0], LOOK[1], "done", usage=USAGE), tools=[look])
    dumped = await interrupted(agent, 3)
    *_, finished = [event async for event in agent.stream("q", resume=dumped)]
    assert isinstance(finished, RunFinished)
    assert (finished.result.answer, finished.result.run.id) == ("done", dumped["id"])


async def test_steps_before_count_for_the_limit() -> None:
    agent = Agent(model(*LOOK), tools=[look], limits=Limits(steps=4))
    dumped = await interrupted(agent, 3)
    result = await agent.run("q", resume=dumped)
    assert (result.stop_reason, [step.index for step in result.steps]) == ("steps", [3, 4])


async def test_a_committed_view_survives_with_what_it_stands_for() -> None:
    async def compress(run: Run, request: Any, handler: Any) -> Any:
        if request.index == 2:
            notes = Message(role="user", content="notes", stands_for=(0, 3))
            run.commit(View([notes]), "compressed", covers=len(run.transcript))
            request = request.replace(view=run.view)
        return await handler(request)

    agent = Agent(model(LOOK[0], LOOK[1], "done"), tools=[look], plugins=[Wrap(step=compress)])
    dumped = await interrupted(agent, 3)
    agent.plugins = ()
    result = await agent.run("q", resume=dumped)
    assert result.run.view[0].stands_for == (0, 3)
    assert len(result.run.view) == 1 + 2 + 1
    assert len(result.messages) == 6
    assert script_of(agent.model).bodies[-1]["messages"][0]["content"] == "notes"


async def test_states_nobody_asked_for_are_kept() -> None:
    agent = Agent(model(LOOK[0], LOOK[1], "done"), tools=[look], plugins=[Remembers()])
    dumped = await interrupted(agent, 2)
    agent.plugins = ()
    assert (await agent.run("q", resume=dumped)).run.dump()["states"] == {"remembers": {"steps": [1, 2]}}


async def test_a_state_has_one_type() -> None:
    class Other(BaseModel):
        pass

    result = await Agent(model("done"), plugins=[Remembers()]).run("q")
    with pytest.raises(UserError, match="Seen"):
        result.run.state("remembers", Other)


async def test_a_dumped_state_that_does_not_fit_is_refused() -> None:
    agent = Agent(model(LOOK[0], "done"), tools=[look], plugins=[Remembers()])
    dumped = await interrupted(agent, 2)
    dumped["states"]["remembers"] = {"steps": "many"}
    result = await agent.run("q", resume=dumped)
    assert result.answer == "done"
    assert "PluginFailed" in kinds(result)


async def test_a_commit_keeps_what_came_after_what_it_covers() -> None:
    seen: list[list[str]] = []

    async def late(run: Run, request: Any, handler: Any) -> Any:
        result = await handler(request)
        if request.index == 1:
            run.commit(View([Message.user("notes")]), "compressed", covers=1)
        seen.append([message.content for message in run.view])
        return result

    agent = Agent(model(LOOK[0], "done"), tools=[look], plugins=[Wrap(step=late)])
    await agent.run("q")
    assert seen == [["notes", "", "seen 0"], ["notes", "", "seen 0", "done"]]


# Sessions


def contents(body: dict[str, Any]) -> list[Any]:
    return [message["content"] for message in body["messages"]]


async def test_a_session_remembers() -> None:
    agent = Agent(model("one", "two", "three"), instructions="Be brief.")
    await agent.run("first", session="s")
    await agent.run("second", session="s")
    await agent.run("third")
    bodies = script_of(agent.model).bodies
    assert contents(bodies[1]) == ["Be brief.", "first", "one", "second"]
    assert contents(bodies[2]) == ["Be brief.", "third"]


async def test_tenants_never_see_each_other() -> None:
    agent = Agent(model("answer"))
    for tenant in ("a", "b", None):
        await agent.run(f"secret of {tenant}", session="s", tenant=tenant)
    assert [contents(body) for body in script_of(agent.model).bodies] == [
        ["secret of a"],
        ["secret of b"],
        ["secret of None"],
    ]


async def test_runs_of_one_session_follow_each_other() -> None:
    gate, asked = asyncio.Event(), asyncio.Event()

    async def wait(number: int) -> None:
        asked.set()
        await gate.wait()

    agent = Agent(model("one", "two", before=wait))
    first = asyncio.create_task(agent.run("first", session="s"))
    second = asyncio.create_task(agent.run("second", session="s"))
    await asked.wait()
    gate.set()
    await asyncio.gather(first, second)
    assert contents(script_of(agent.model).bodies[1]) == ["first", "one", "second"]


async def test_a_failed_run_leaves_its_session_as_it_was() -> None:
    agent = Agent(model("one", ValueError("boom"), "three"))
    for question in ("first", "second", "third"):
        await agent.run(question, session="s")
    assert contents(script_of(agent.model).bodies[-1]) == ["first", "one", "third"]


async def test_a_session_with_a_run_is_not_forgotten() -> None:
    sessions = Sessions(limit=1)
    order: list[str] = []

    async def turn(name: str, session: str, gate: asyncio.Event) -> None:
        async with sessions.turn(None, session):
            order.append(name)
            await gate.wait()

    gate = asyncio.Event()
    tasks = [asyncio.create_task(turn(name, session, gate)) for name, session in [("a1", "a"), ("b", "b"), ("a2", "a")]]
    for _ in range(5):
        await asyncio.sleep(0)
    assert order == ["a1", "b"]
    gate.set()
    await asyncio.gather(*tasks)
    assert order == ["a1", "b", "a2"]


async def test_old_sessions_are_forgotten() -> None:
    sessions = Sessions(limit=2)
    for name in ("a", "b", "c"):
        async with sessions.turn(None, name):
            sessions.save(None, name, View([Message.user(name)]), View([Message.user(name)]))
    assert [len(sessions.load(None, name)[0]) for name in ("a", "b", "c")] == [0, 1, 1]


# Structured answers


class City(BaseModel):
    name: str
    people: int


GOOD = '{"name": "Ulm", "people": 126000}'


async def test_an_answer_of_a_type_is_asked_for_natively() -> None:
    agent = Agent(model(GOOD))
    result = await agent.run("q", output_type=City)
    assert result.answer == City(name="Ulm", people=126000)
    asked = script_of(agent.model).bodies[0]["response_format"]
    assert asked["json_schema"]["schema"]["required"] == ["name", "people"]


async def test_an_unfit_answer_is_asked_for_again() -> None:
    agent = Agent(model('{"name": "Ulm"}', GOOD))
    result = await agent.run("q", output_type=City)
    assert result.answer == City(name="Ulm", people=126000)
    assert "people: Field required" in script_of(agent.model).bodies[1]["messages"][-1]["content"]


async def test_unfit_answers_are_bounded() -> None:
    agent = Agent(model("I do not know"))
    result = await agent.run("q", output_type=City)
    assert (result.answer, result.stop_reason) == (None, "invalid_answer")
    assert len(script_of(agent.model).bodies) == 3


async def test_a_broken_answer_is_repaired_where_it_then_fits() -> None:
    result = await Agent(model("```json\n{'name': 'Ulm', 'people': 126000,}\n```")).run("q", output_type=City)
    assert result.answer == City(name="Ulm", people=126000)


async def test_an_endpoint_without_schemas_is_asked_in_words() -> None:
    agent = Agent(model("no", GOOD, profile=Profile(json_schema=False)))
    assert (await agent.run("q", output_type=City)).answer == City(name="Ulm", people=126000)
    assert "response_format" not in script_of(agent.model).bodies[0]
    assert '"people"' in script_of(agent.model).bodies[1]["messages"][-1]["content"]


async def test_any_type_that_has_a_schema() -> None:
    result = await Agent(model(f"[{GOOD}]")).run("q", output_type=list[City])
    assert result.answer == [City(name="Ulm", people=126000)]
    assert json.loads(json.dumps(result.to_dict()))["answer"] == [{"name": "Ulm", "people": 126000}]


async def test_a_type_without_a_schema_is_refused() -> None:
    class Opaque:
        pass

    with pytest.raises(UserError, match="schema"):
        await Agent(model(GOOD)).run("q", output_type=Opaque)


async def test_an_answer_nested_without_end_is_unfit() -> None:
    result = await Agent(model("[" * 100_000)).run("q", output_type=City)
    assert result.stop_reason == "invalid_answer"


# Synchronous and streaming use


def test_run_sync_twice() -> None:
    agent = Agent(model("one", "two"))
    assert [agent.run_sync("q", session="s").answer for _ in range(2)] == ["one", "two"]
    assert script_of(agent.model).open_count == 0


async def test_run_sync_inside_a_loop_is_refused() -> None:
    with pytest.raises(UserError, match="await"):
        Agent(model("one")).run_sync("q")


async def test_a_stream_gives_events_in_order_and_ends_with_the_result() -> None:
    agent = Agent(model(LOOK[0], "done", stream_text=True), tools=[look])
    names = [event.kind async for event in agent.stream("q")]
    assert names[0] == "RunStarted"
    assert names[-1] == "RunFinished"
    assert names.count("ModelDelta") == 4
    assert names.index("ToolStarted") < names.index("ToolFinished") < names.index("ModelDelta")


async def test_leaving_a_stream_cancels_the_run() -> None:
    async def hang(number: int) -> None:
        await asyncio.Event().wait()

    agent = Agent(model("never", before=hang))
    before = asyncio.all_tasks()
    stream = agent.stream("q")
    async for event in stream:
        if event.kind == "ModelCallStarted":
            break
    await stream.aclose()
    assert asyncio.all_tasks() == before
    assert script_of(agent.model).open_count == 0


async def test_a_stream_raises_what_run_raises() -> None:
    with pytest.raises(UserError, match="price"):
        async for _ in Agent(model("x")).stream("q", limits=Limits(cost=1.0)):
            pass


async def test_an_agent_used_as_a_context_opens_its_model_once() -> None:
    opened: list[int] = []

    class Counts(Script):
        def open(self, timeouts: Any) -> Any:
            opened.append(1)
            return super().open(timeouts)

    async with Agent(Model("m", backend=Counts("x"))) as agent:
        await asyncio.gather(*(agent.run("q") for _ in range(5)))
    assert len(opened) == 1


@dataclass
class Point:
    x: int


async def test_a_dataclass_is_a_type_of_answer() -> None:
    result = await Agent(model('{"x": 1}')).run("q", output_type=Point)
    assert result.answer == Point(1)
    assert result.to_dict()["answer"] == {"x": 1}


async def test_what_waits_for_a_break_is_made_by_who_breaks() -> None:
    def renamed(view: View) -> View:
        return View([Message.system("new"), *view[1:]])

    def fails(view: View) -> View:
        raise RuntimeError("no")

    result = await Agent(model("a"), instructions="old").run("q")
    run = result.run
    run.pending = {"one": Change(view=renamed), "two": Change(tools=lambda tools: ToolSet()), "bad": Change(view=fails)}
    shown, _ = run.with_pending(run.view, ["one"])
    assert (shown[0].content, run.view[0].content) == ("new", "old")
    assert set(run.pending) == {"one", "two", "bad"}, "to look costs nothing"
    run.commit_with_pending(run.view, "cut", ["one", "bad", "gone"])
    assert run.view[0].content == "new"
    assert set(run.pending) == {"two"}
    commits = [event for event in run.events if isinstance(event, ViewCommitted)]
    assert commits[-1].cause == "cut; one"
    assert [event.where for event in run.events if isinstance(event, PluginFailed)] == ["pending"]
    before = run.tools
    run.commit_with_pending(run.view, "cut", ["two"])
    assert run.tools is not before
