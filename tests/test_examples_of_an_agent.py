"""Examples that an agent shows its model before every question."""

from typing import Any

import pytest

from agentinfer import Agent, Message, ToolCall, UserError, tool
from agentinfer.search import EXAMPLE
from agentinfer.testing import ScriptedModel, say

CALL = ToolCall(id="e1", name="look", arguments='{"at": 1}')
SHOWN = (
    Message.user("What is at 1?"),
    Message.assistant("I look.", tool_calls=[CALL]),
    Message.tool(CALL, "a lamp"),
    Message.assistant("A lamp"),
)


@tool(bounded=True)
async def look(at: int) -> str:
    """Look at something."""
    return f"seen {at}"


def roles(body: dict[str, Any]) -> list[str]:
    return [message["role"] for message in body["messages"]]


async def test_they_stand_between_instructions_and_question() -> None:
    with ScriptedModel(say("fine")) as model:
        result = await Agent(model, tools=[look], instructions="Be short.", examples=SHOWN).run("q")
    assert roles(model.requests[0]) == ["system", "user", "assistant", "tool", "assistant", "user"]
    assert result.messages[1:5] == SHOWN
    assert not any(step.results for step in result.steps)


async def test_a_session_has_them_once() -> None:
    with ScriptedModel(say("one"), say("two")) as model:
        agent = Agent(model, tools=[look], examples=SHOWN)
        await agent.run("first", session="s")
        result = await agent.run("second", session="s")
    assert [message.content for message in result.messages if message.role == "user"] == [
        "What is at 1?",
        "first",
        "second",
    ]


@pytest.mark.parametrize("protocol", ["json", "tagged"])
async def test_each_protocol_writes_them_its_own_way(protocol: Any) -> None:
    answer = '{"thought": "", "action": "final_answer", "input": {"answer": "x"}}' if protocol == "json" else "x"
    with ScriptedModel(say(answer), protocol=protocol) as model:
        await Agent(model, tools=[look], examples=SHOWN).run("q")
    assert roles(model.requests[0]) == ["system", "user", "assistant", "user", "assistant", "user"]
    shown = model.requests[0]["messages"][2]["content"]
    assert '"action": "look"' in shown if protocol == "json" else "<tool_call>" in shown


@pytest.mark.parametrize("examples", [SHOWN[:2], SHOWN[2:], (*SHOWN, *SHOWN)])
def test_calls_without_their_results_are_refused(examples: tuple[Message, ...]) -> None:
    with ScriptedModel() as model, pytest.raises(UserError, match="one result for every call"):
        Agent(model, examples=examples)


def test_the_search_agents_own_example_is_well_formed() -> None:
    with ScriptedModel() as model:
        Agent(model, examples=EXAMPLE)
