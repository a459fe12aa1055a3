"""Schema-constrained JSON: one object with a thought, an action and its input.

Small models that cannot call tools through an API do well when the endpoint constrains what they write to a schema.
"""

import json
from collections.abc import Mapping
from typing import Any

from agentinfer._json import load_json
from agentinfer.output import Output
from agentinfer.protocol._base import RawReply, Reply, ToolChoice, Wishes
from agentinfer.protocol._describe import describe_tools
from agentinfer.tools import ToolSet
from agentinfer.transcript import Message, ToolCall

__all__ = ["JsonProtocol"]

ANSWER = "final_answer"
"""The action that ends the run."""

_NEXT = f"If you can answer the question now, use {ANSWER}; else take the next step."
"""Said after every result: small models tend to go on searching when they have what they need."""

_HOW_TO = """\
You work in steps. Every reply is one JSON object and nothing else: {"thought": ..., "action": ..., "input": {...}}
"thought" says what you know and what you need next, "action" is one of those below, "input" holds its arguments.
After an action its result comes in the next message.

Actions:
"""


class JsonProtocol:
    """The model writes one JSON object per step; where the endpoint can, it is held to the schema."""

    name = "json"

    def preamble(self, tools: ToolSet, output: Output[Any] | None) -> str:
        """The actions, and the shape of a reply."""
        answer = f"input must fit {output.schema_text}" if output else 'input: {"answer": ...}'
        actions = describe_tools(tools) + "\n" if tools else ""
        return f"{_HOW_TO}{actions}- {ANSWER}: give the answer and stop; {answer}"

    def wishes(self, tools: ToolSet, output: Output[Any] | None, choice: ToolChoice) -> Wishes:
        """One schema for thought, action and input, made from the tools."""
        definitions: dict[str, Any] = {}
        variants = [
            _variant(tool.name, _hoisted(tool.parameters, tool.name, definitions))
            for tool in tools.values()
            if choice != "none"
        ]
        if choice != "required" or not variants:
            answer = _hoisted(output.schema, ANSWER, definitions) if output else _ANSWER_INPUT
            variants.append(_variant(ANSWER, answer))
        schema: dict[str, Any] = variants[0] if len(variants) == 1 else {"anyOf": variants}
        return Wishes(schema={**schema, "$defs": definitions} if definitions else schema)

    def wire(self, message: Message) -> dict[str, Any]:
        """Results are told by the user; actions are written as the model would write them."""
        if message.role == "tool":
            then = "" if message.stands_for else f"\n\n{_NEXT}"
            return {"role": "user", "content": f"Result of {message.name}:\n{message.content}{then}"}
        content = message.content
        if message.role == "assistant":
            content = message.raw if message.protocol == self.name and message.raw else _as_written(message)
        return {"role": message.role, "content": content}

    def read(self, raw: RawReply, tools: ToolSet, output: Output[Any] | None, choice: ToolChoice) -> Reply:
        """Read the object; repaired only where the repaired one has the right shape."""
        step = _load(raw.text)
        problem = None
        if raw.cut and (step is None or step[1] == ANSWER):
            problem = "Your reply was cut off at the token limit. Be brief."
        elif step is None:
            problem = 'Your reply is not one JSON object {"thought": ..., "action": ..., "input": {...}}.'
        if problem or step is None:
            message = Message(
                role="assistant", content=raw.text, reasoning=raw.reasoning, raw=raw.text, protocol=self.name
            )
            return Reply(message=message, problem=problem)
        thought, action, given = step
        if action == ANSWER:
            content = json.dumps(given, ensure_ascii=False) if output else _answer_text(given)
            message = Message(
                role="assistant", content=content, reasoning=thought or None, raw=raw.text, protocol=self.name
            )
            return Reply(message=message, problem=None if content.strip() else "Your answer was empty.")
        call = ToolCall(id="", name=action, arguments=json.dumps(given, ensure_ascii=False))
        message = Message(
            role="assistant",
            content=thought,
            tool_calls=(call,),
            reasoning=raw.reasoning,
            raw=raw.text,
            protocol=self.name,
        )
        del tools, choice
        return Reply(message=message)


_ANSWER_INPUT = {
    "type": "object",
    "properties": {"answer": {"type": "string"}},
    "required": ["answer"],
    "additionalProperties": False,
}


def _variant(action: str, given: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {"thought": {"type": "string"}, "action": {"const": action}, "input": given},
        "required": ["thought", "action", "input"],
        "additionalProperties": False,
    }


def _hoisted(schema: Any, owner: str, definitions: dict[str, Any]) -> Any:
    """A schema that stands inside another: its definitions move to the root, under names of their owner."""
    if isinstance(schema, list):
        return [_hoisted(item, owner, definitions) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    inner = {}
    for key, value in schema.items():
        if key == "$defs":
            for name, definition in value.items():
                definitions[f"{owner}.{name}"] = _hoisted(definition, owner, definitions)
        elif key == "$ref" and isinstance(value, str):
            inner[key] = value.replace("#/$defs/", f"#/$defs/{owner}.")
        else:
            inner[key] = _hoisted(value, owner, definitions)
    return inner


def _load(text: str) -> tuple[str, str, Any] | None:
    """(thought, action, input), or nothing where the text has not that shape."""
    step = load_json(text)
    if not isinstance(step, dict) or not isinstance(step.get("action"), str):
        return None
    given = step.get("input", {})
    if step["action"] != ANSWER and not isinstance(given, dict):
        return None
    return str(step.get("thought") or ""), step["action"], given


def _answer_text(given: Any) -> str:
    answer = given.get("answer", given) if isinstance(given, dict) else given
    if answer is None or answer == {}:
        return ""
    return answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)


def _as_written(message: Message) -> str:
    """A message written under another protocol, as this one would have it; notes are a thought without an action."""
    if message.stands_for and not message.tool_calls:
        return json.dumps({"thought": message.content}, ensure_ascii=False)
    if not message.tool_calls:
        step = {"thought": message.reasoning or "", "action": ANSWER, "input": {"answer": message.content}}
        return json.dumps(step, ensure_ascii=False)
    lines = []
    for call in message.tool_calls:
        try:
            given = json.loads(call.arguments or "{}")
        except (ValueError, RecursionError):
            given = call.arguments
        lines.append(json.dumps({"thought": message.content, "action": call.name, "input": given}, ensure_ascii=False))
    return "\n".join(lines)
