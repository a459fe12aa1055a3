"""The plug-ins that come along, in every order."""

import itertools
from typing import Any

import pytest

from agentinfer import Agent
from agentinfer.compress import Compress
from agentinfer.sam import Sam
from agentinfer.scope import Scope
from agentinfer.testing import ScriptedModel, say
from collab._pair import collab, look, look_up, troubles, verdicts, who

ORDERS = list(itertools.permutations(("scope", "collab", "compress", "sam")))


def plans(body: dict[str, Any]) -> Any:
    return look(sum(bool(message.get("tool_calls")) for message in body["messages"]), True)


def works(body: dict[str, Any]) -> Any:
    """Stalls once; answers after six calls."""
    if "tools" not in body or body.get("tool_choice") == "none":
        return say("{}")
    turn = sum(bool(message.get("tool_calls")) for message in body["messages"])
    return say("done") if turn >= 6 else look(turn, turn != 3)


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
async def test_an_order(order: tuple[str, ...]) -> None:
    little = ScriptedModel(handler=works, name="small")
    plugins: dict[str, Any] = {"scope": Scope(), "collab": collab(little), "compress": Compress(), "sam": Sam()}
    agent = Agent(
        ScriptedModel(handler=plans, name="large"), tools=[look_up], plugins=[plugins[name] for name in order]
    )
    async with agent:
        result = await agent.run("q")
    assert result.answer == "done"
    assert who(result) == ["large", "large", "small", "small", "large", "small", "small"]
    assert [said for said, _ in verdicts(result)] == ["yes", "yes", "yes", "no", "yes", "yes"]
    assert not troubles(result)
