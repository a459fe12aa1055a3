"""Probes of `response_format`: what holds a reply to a schema."""

import json
from typing import Any

from agentinfer.doctor._endpoint import Endpoint, Heard
from agentinfer.doctor._findings import Finding, Findings, no, unclear, yes
from agentinfer.doctor._tools import QUESTION, TOOLS
from agentinfer.models._codec import response_format

__all__ = ["json_object", "json_object_schema", "json_schema", "schema_with_tools"]

COLOURS = ("teal", "ochre")


def _action(name: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"action": {"const": name}, "input": {"$ref": "#/$defs/colour"}},
        "required": ["action", "input"],
        "additionalProperties": False,
    }


SCHEMA: dict[str, Any] = {
    "anyOf": [_action("paint"), _action("wash")],
    "$defs": {
        "colour": {
            "type": "object",
            "properties": {"colour": {"enum": list(COLOURS)}},
            "required": ["colour"],
            "additionalProperties": False,
        }
    },
}
"""Short to fill in, and with all that the runtime's own schemas are made of."""
PLAIN = "How are you today? Answer in one plain sentence."


async def json_schema(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether `response_format: json_schema` holds a reply to a schema it has no other reason to fit."""
    del found
    return _held(await endpoint.ask(PLAIN, response_format=response_format(SCHEMA, "json_schema")))


async def json_object_schema(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether `response_format: json_object` with a schema beside it does."""
    del found
    return _held(await endpoint.ask(PLAIN, response_format=response_format(SCHEMA, "json_object")))


async def json_object(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether `response_format: json_object` makes replies JSON."""
    del found
    heard = await endpoint.ask(
        "Write a JSON object that holds a greeting, and then a sentence about it.",
        response_format={"type": "json_object"},
    )
    if heard.error is not None:
        return no(heard.refused)
    return yes("replies are JSON") if isinstance(_value(heard.text), dict) else no(f"ignored: {heard.text[:60]!r}")


async def schema_with_tools(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether tools are still called where a schema is given too."""
    del found
    heard = await endpoint.ask(QUESTION, tools=TOOLS, response_format=response_format(SCHEMA, "json_schema"))
    if heard.error is not None:
        return no(heard.refused)
    return yes("the tool is called") if heard.reply.tool_calls else no("the schema keeps the model from its tools")


def _held(heard: Heard) -> Finding:
    if heard.error is not None:
        return no(heard.refused)
    value = _value(heard.text)
    given = value.get("input") if isinstance(value, dict) else None
    fits = (
        isinstance(value, dict)
        and set(value) == {"action", "input"}
        and value["action"] in ("paint", "wash")
        and isinstance(given, dict)
        and set(given) == {"colour"}
        and given["colour"] in COLOURS
    )
    if fits:
        return yes("the reply is held to it")
    return (unclear if heard.reply.cut else no)(f"the reply does not fit: {heard.text[:60]!r}")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
