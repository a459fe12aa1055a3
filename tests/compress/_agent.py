"""An agent that looks up one record a step, and a model that writes notes on them."""

import json
from typing import Any

from _scripted import Wrap

from agentinfer import Agent, Limits, Run, Tool, ToolCall, tool
from agentinfer.compress import Compress
from agentinfer.events import Event
from agentinfer.result import RunResult
from agentinfer.testing import ScriptedModel, ScriptedReply, call, say

FILLER = "nothing of note happened here and the days went by as they do. " * 40
STEPS = 12


def record(number: int) -> str:
    """What is to be found: one fact, and much else."""
    return f"Record {number}. {FILLER}The code of record {number} is {1000 + number}. {FILLER}"


@tool(max_chars=100_000)
async def look_up(number: int) -> str:
    """Look up a record."""
    return record(number)


def is_notes(body: dict[str, Any]) -> bool:
    return "Write down from the material" in json.dumps(body["messages"])


def agent_reply(body: dict[str, Any], steps: int = STEPS) -> ScriptedReply:
    """Look up record after record, then answer."""
    done = sum(1 for message in body["messages"] if message.get("tool_calls"))
    return say("done") if done >= steps else say(f"thought {done + 1}") + call("look_up", number=done + 1)


def notes_reply(body: dict[str, Any]) -> ScriptedReply:
    """Notes on the records in the material, as a good model would write them."""
    if body.get("tools"):  # asked behind the agent's own history
        body = {"messages": [{"content": f"<tool-data {message['content']}"} for message in body["messages"]]}
    text = "".join(message["content"] or "" for message in body["messages"]).partition("<tool-data")[2]
    codes = [line for number in range(100) if (line := f"The code of record {number} is {1000 + number}") in text]
    return say("\n".join(f"- {line}." for line in codes) or "nothing")


def agent_model(steps: int = STEPS, **settings: Any) -> ScriptedModel:
    """Makes the steps, and notes where it is asked for them."""

    def reply(body: dict[str, Any]) -> ScriptedReply:
        return notes_reply(body) if is_notes(body) else agent_reply(body, steps)

    return ScriptedModel(handler=reply, **settings)


def small_model(**settings: Any) -> ScriptedModel:
    return ScriptedModel(handler=notes_reply, name="small", **settings)


def settle(plugin: Compress) -> Wrap:
    """Tools that take until what was begun beside the loop is done, as real ones would."""

    async def wait(run: Run, call: ToolCall, handler: Any) -> Any:
        await run.tasks.drain()
        await plugin.background.drain()
        return await handler(call)

    return Wrap(tool=wait)


def make_agent(
    plugin: Compress,
    *others: Any,
    model: ScriptedModel | None = None,
    tools: list[Tool] | None = None,
    slow: bool = True,
    **settings: Any,
) -> Agent:
    return Agent(
        model or agent_model(),
        tools=tools or [look_up],
        plugins=[plugin, *others, *([settle(plugin)] if slow else [])],
        instructions="Look them all up.",
        **{"limits": Limits(steps=40), **settings},
    )


def of_kind(result: RunResult[Any], *kinds: type[Event]) -> list[Any]:
    return [event for event in result.events if isinstance(event, kinds)]
