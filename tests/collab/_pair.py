"""A small and a large model, a tool, and replies that judge themselves."""

from typing import Any

from agentinfer import Model, RunResult, tool
from agentinfer.collab import Collab, ModelSwitched, ProgressJudged, TierChosen
from agentinfer.testing import ScriptedModel, ScriptedReply, Step, call, raw, say

FACTS = {f"fact {n}": f"Fact number {n} says that item {n} weighs {n * 17} kilograms." for n in range(40)}


@tool
async def look_up(query: str) -> str:
    """Look something up."""
    return FACTS.get(query, "Nothing is known of that.")


def block(value: bool | None, reason: str = "so it is") -> str:
    """The canonical block; nothing for a verdict that is missing."""
    if value is None:
        return ""
    return f"===PROGRESS===\n<reason>{reason}</reason>\n<value>{str(value).upper()}</value>\n===END_PROGRESS==="


def look(number: int, value: bool | None = None) -> ScriptedReply:
    """A native reply that judges itself and looks up a fact."""
    return say(block(value)) + call("look_up", query=f"fact {number}")


def written(text: str) -> ScriptedReply:
    """A text as it is, whatever the protocol."""
    return raw({"choices": [{"delta": {"content": text}, "finish_reason": "stop"}]})


def collab(small: Model | None = None, **settings: Any) -> Collab:
    """A Collab that does not look at the clock."""
    return Collab(small, **{"economy": "off", **settings})


def large(*steps: Step, **settings: Any) -> ScriptedModel:
    return ScriptedModel(*steps, name="large", **settings)


def small(*steps: Step, **settings: Any) -> ScriptedModel:
    return ScriptedModel(*steps, name="small", **settings)


def who(result: RunResult[Any]) -> list[str]:
    """The model of each step."""
    return [step.model for step in result.steps]


def tiers(result: RunResult[Any]) -> list[str]:
    return [event.tier for event in result.events if isinstance(event, TierChosen)]


def verdicts(result: RunResult[Any]) -> list[tuple[str, str]]:
    """What was said, and what counted."""
    return [(event.said, event.verdict) for event in result.events if isinstance(event, ProgressJudged)]


def switches(result: RunResult[Any]) -> list[tuple[str, str]]:
    return [(event.model, event.cause) for event in result.events if isinstance(event, ModelSwitched)]


def troubles(result: RunResult[Any]) -> list[Any]:
    return [event for event in result.events if event.kind == "PluginFailed"]
