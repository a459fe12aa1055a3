"""Room for the answer: what is too long for what is left is cut, and kept whole."""

import re
from pathlib import Path

import pytest
from _scripted import call, calls, model, script_of, unanswered

from agentinfer import Agent, BudgetSpent, Limits, Middleware, ModelRequest, Pricing, ToolError, UserError, tool
from agentinfer.limits import Spent, result_room
from agentinfer.tools import Workspace

LONG = "".join(f"word{number} " for number in range(4000))


@tool(max_chars=100_000)
async def read() -> str:
    """Read the whole book."""
    return LONG


@pytest.mark.parametrize("limits", [Limits(tokens=5000), Limits(cost=0.05)])
async def test_a_large_result_leaves_room_for_the_answer(limits: Limits) -> None:
    agent = Agent(
        model(calls(call("read")), "the answer", pricing=Pricing(input=10, output=10)), tools=[read], limits=limits
    )

    result = await agent.run("q")

    assert result.answer == "the answer"
    assert result.usage.total_tokens <= 5000
    shown = result.steps[0].results[0]
    assert 200 <= len(shown.content) < len(LONG)
    assert shown.handle is not None
    assert result.workspace.read(shown.handle, length=len(LONG)) == LONG
    assert not unanswered(result.messages)


async def test_a_large_result_stays_inside_the_window() -> None:
    agent = Agent(model(calls(call("read")), "the answer", context_window=3000), tools=[read])

    result = await agent.run("q")

    assert result.answer == "the answer"
    assert len(script_of(agent.model).raw[1]) < 4 * 3000


def test_room_is_what_is_left_after_the_answer() -> None:
    room = result_room(
        Limits(tokens=1000, answer_tokens=100), Spent(tokens=300), prompt_tokens=200, pricing=None, window=None
    )
    assert room is not None
    assert 300 <= room <= 1000 - 300 - 200 - 100
    assert result_room(Limits(), Spent(), prompt_tokens=200, pricing=None, window=None) is None
    assert result_room(Limits(tokens=10), Spent(tokens=9), prompt_tokens=200, pricing=None, window=None) == 0


async def test_words_beside_calls_are_not_the_answer_while_there_is_another_try() -> None:
    """The last step is the second reply; a time limit would leave room for a third."""
    bad = [calls(call("read", {"no": 1}))] * 3
    agent = Agent(model(*bad, calls(call("read"), text="Let me look once more."), "the answer"), tools=[read])

    result = await agent.run("q")

    assert (result.answer, result.stop_reason) == ("the answer", "malformed_replies")


async def test_words_beside_calls_have_to_do_where_there_is_none() -> None:
    agent = Agent(model(calls(call("read"), text="It is 42.")), tools=[read], limits=Limits(steps=1))

    result = await agent.run("q")

    assert (result.answer, result.stop_reason) == ("It is 42.", "steps")


async def test_a_later_run_of_a_session_reads_what_an_earlier_one_kept() -> None:
    @tool(max_chars=100)
    async def book() -> str:
        """Read."""
        return LONG

    agent = Agent(
        model(calls(call("book")), "read it", calls(call("read_result", {"handle": "result-1", "start": 7})), "done"),
        tools=[book],
    )
    await agent.run("first", session="s")
    second = await agent.run("second", session="s")

    assert second.steps[0].results[0].content.startswith(LONG[7:100])


def test_a_workspace_goes_on_where_one_left_off(tmp_path: Path) -> None:
    first = Workspace(tmp_path / "run")
    assert [first.keep(b"one"), first.keep(b"two")] == ["result-1", "result-2"]

    second = Workspace(tmp_path / "run")

    assert second.read("result-2") == "two"
    assert second.keep(b"three") == "result-3"
    assert first.read("result-1") == "one"


def test_a_workspace_knows_only_its_own_texts(tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("s")
    with pytest.raises(ToolError, match=re.escape("Kept: none")):
        Workspace(tmp_path).read("secret")


async def test_a_cost_limit_counts_every_model() -> None:
    """A plug-in may not spend what nobody can count."""
    caught = []

    class Asks:
        def bind(self, run):  # type: ignore[no-untyped-def]
            from contextlib import asynccontextmanager

            @asynccontextmanager
            async def bound():  # type: ignore[no-untyped-def]
                class Ask(Middleware):
                    async def model(self, request: ModelRequest, handler):  # type: ignore[no-untyped-def]
                        try:
                            await run.complete(request.view, purpose="judge", model=model("free", name="unpriced"))
                        except BudgetSpent as error:
                            caught.append(str(error))
                        return await handler(request)

                yield Ask()

            return bound()

    agent = Agent(model("ok", pricing=Pricing(input=1, output=1)), plugins=[Asks()], limits=Limits(cost=1.0))

    result = await agent.run("q")

    assert result.answer == "ok"
    assert caught == ["judge: there is a limit on cost, and unpriced has no price"]


def test_a_tool_may_not_take_the_name_of_the_answer() -> None:
    @tool
    def final_answer() -> str:
        """Mine."""
        return ""

    Agent(model("x"), tools=[final_answer])
    with pytest.raises(UserError, match="final_answer"):
        Agent(model("x", protocol="json"), tools=[final_answer])


async def test_resume_takes_only_what_dump_gave() -> None:
    with pytest.raises(UserError, match=r"run\.dump"):
        await Agent(model("x")).run("q", resume={"nonsense": 1})


def test_a_text_comes_back_under_the_handle_it_had(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert workspace.keep(b"seven", handle="result-7") == "result-7"
    assert workspace.read("result-7") == "seven"
    assert workspace.keep(b"other", handle="result-7") == "result-7"
    assert workspace.read("result-7") == "seven", "what is kept stays"
    assert workspace.keep(b"next") == "result-8"
    workspace.keep(b"evil", handle="../../evil")
    assert workspace.handles == ("result-7", "result-8")
    assert not (tmp_path.parent.parent / "evil.txt").exists()
