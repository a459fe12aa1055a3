"""Any protocol, with the progress check in its replies: no call of its own, and no change of the prefix."""

import dataclasses
import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from agentinfer.collab._verdict import FIELD, judgement_of, render, without_blocks
from agentinfer.models import Model
from agentinfer.output import Output
from agentinfer.protocol import ActionProtocol, JsonProtocol, RawReply, Reply, ToolChoice, Wishes
from agentinfer.tools import ToolSet
from agentinfer.transcript import Message

__all__ = ["QUESTION", "checked"]

_MEANING = """\
It says whether the steps so far, the last result included, brought significant progress towards the final answer. \
TRUE: something new and useful was found, or these are the first steps. FALSE: you go round in circles, search for \
what you have searched for, or found nothing that helps."""

_BLOCK = """\
===PROGRESS===
<reason>10 to 20 words</reason>
<value>TRUE or FALSE</value>
===END_PROGRESS==="""

_SHORT_BLOCK = _BLOCK.replace("<reason>10 to 20 words</reason>\n", "")

QUESTION = "Judge your progress so far. Reply with this block and nothing else:\n" + _BLOCK
"""Asks for the block alone."""


def checked(model: Model, *, told: bool, reasons: bool) -> Model:
    """A model whose replies may hold a verdict on its progress; it shares all else with the model.

    Args:
        model: The model.
        told: Whether it is told to write one into every reply. Under the JSON protocol it always is.
        reasons: Whether a verdict has a reason.
    """
    if isinstance(model.protocol, _Checked):
        return model
    kind = CheckedJson if isinstance(model.protocol, JsonProtocol) else CheckedText
    return model.speaking(kind(model.protocol, told=told, reasons=reasons))


@dataclass(frozen=True, slots=True)
class _Checked:
    """A protocol with the check in it. It keeps the protocol's name, so that the model's own texts stay as they are."""

    inner: ActionProtocol
    told: bool = dataclasses.field(kw_only=True)
    reasons: bool = dataclasses.field(kw_only=True)

    @property
    def name(self) -> str:
        """The protocol's own name."""
        return self.inner.name


@dataclass(frozen=True, slots=True)
class CheckedText(_Checked):
    """A protocol of texts: the block stands before the tool calls."""

    def preamble(self, tools: ToolSet, output: Output[Any] | None) -> str:
        """The protocol's own, and what the block is."""
        inner = self.inner.preamble(tools, output)
        if not (tools and self.told):
            return inner
        block = _BLOCK if self.reasons else _SHORT_BLOCK
        how = f"Begin every reply that calls a tool with this block, and leave it out of your answer:\n{block}"
        return "\n\n".join(filter(None, [inner, f"{how}\n{_MEANING}"]))

    def wishes(self, tools: ToolSet, output: Output[Any] | None, choice: ToolChoice) -> Wishes:
        """The protocol's own."""
        return self.inner.wishes(tools, output, choice)

    def wire(self, message: Message) -> dict[str, Any]:
        """The block stays where the model wrote it; where the message was written otherwise, it comes first."""
        wire = self.inner.wire(message)
        if message.role != "assistant":
            return wire
        if message.raw and message.protocol == self.name:
            wire["content"] = message.raw
        elif block := _block_of(message):
            said = wire["content"] if message.content or message.tool_calls else None
            wire["content"] = "\n".join(filter(None, [block, said]))
        return wire

    def read(self, raw: RawReply, tools: ToolSet, output: Output[Any] | None, choice: ToolChoice) -> Reply:
        """The reply without its block, which is kept in `Message.raw`."""
        text = without_blocks(raw.text)
        reply = self.inner.read(dataclasses.replace(raw, text=text), tools, output, choice)
        if text == raw.text:
            return reply
        message = reply.message
        written = raw.text
        if message.raw is None and message.content != text:  # calls were taken out of the text
            blocks = render(judgement_of(Message.assistant(raw.text)))
            written = "\n".join(filter(None, [blocks, message.content]))
        return dataclasses.replace(reply, message=dataclasses.replace(message, raw=written, protocol=self.name))


@dataclass(frozen=True, slots=True)
class CheckedJson(_Checked):
    """The JSON protocol: one more field, behind the action.

    The answer has none. Before the action, it would take the choice: a model that begins to judge can no longer answer.
    """

    def preamble(self, tools: ToolSet, output: Output[Any] | None) -> str:
        """The protocol's own, and what the field is."""
        inner = self.inner.preamble(tools, output)
        if not tools:
            return inner
        form = '{"reason": "10 to 20 words", "value": "TRUE or FALSE"}' if self.reasons else '"TRUE or FALSE"'
        how = f'Every action but the last has one more field, before "input": "{FIELD}": {form}'
        return f"{inner}\n\n{how}\n{_MEANING}"

    def wishes(self, tools: ToolSet, output: Output[Any] | None, choice: ToolChoice) -> Wishes:
        """The protocol's schema with the field."""
        wishes = self.inner.wishes(tools, output, choice)
        if wishes.schema is None:
            return wishes
        schema = dict(wishes.schema)
        if "anyOf" in schema:
            schema["anyOf"] = [self._with_field(variant, tools) for variant in schema["anyOf"]]
        else:
            schema = self._with_field(schema, tools)
        return dataclasses.replace(wishes, schema=schema)

    def wire(self, message: Message) -> dict[str, Any]:
        """The field stays where the model wrote it; where the message was written otherwise, it is put there."""
        wire = self.inner.wire(message)
        if message.role != "assistant" or (message.raw and message.protocol == self.name):
            return wire
        if (block := _block_of(message)) and not message.tool_calls and not message.content:
            wire["content"] = block
        elif block and message.tool_calls:
            wire["content"] = "\n".join(self._told(line, message) for line in str(wire["content"]).split("\n"))
        return wire

    def read(self, raw: RawReply, tools: ToolSet, output: Output[Any] | None, choice: ToolChoice) -> Reply:
        """The protocol's own: a field more does not trouble it, and stays in `Message.raw`."""
        return self.inner.read(raw, tools, output, choice)

    def _with_field(self, variant: dict[str, Any], tools: ToolSet) -> dict[str, Any]:
        """The schema of one action, with the field before its input; the answer needs none."""
        properties = variant.get("properties", {})
        if properties.get("action", {}).get("const") not in tools:
            return variant
        value = {"enum": ["TRUE", "FALSE"]}
        field: dict[str, Any] = value
        if self.reasons:
            field = {
                "type": "object",
                "properties": {"reason": {"type": "string"}, "value": value},
                "required": ["reason", "value"],
                "additionalProperties": False,
            }
        return {
            **variant,
            "properties": _before_input(properties, field),
            "required": list(_before_input(dict.fromkeys(variant["required"]), None)),
        }

    def _told(self, line: str, message: Message) -> str:
        judgement = judgement_of(message)
        value = "TRUE" if judgement.verdict == "yes" else "FALSE"
        field = {"reason": judgement.reason, "value": value} if self.reasons else value
        try:
            return json.dumps(_before_input(json.loads(line), field), ensure_ascii=False)
        except (ValueError, AttributeError):  # arguments that are no JSON stay as they are
            return line


def _before_input(fields: dict[str, Any], value: Any) -> dict[str, Any]:
    """Fields with the check's before the input."""
    placed: dict[str, Any] = {}
    for name, old in fields.items():
        if name == "input":
            placed[FIELD] = value
        placed[name] = old
    return placed


@lru_cache(maxsize=256)
def _written(text: str) -> str:
    judgement = judgement_of(Message.assistant(text))
    return "" if judgement.verdict == "missing" else render(judgement)


def _block_of(message: Message) -> str:
    """The block of a message in its canonical form; nothing where it says nothing."""
    return _written(message.raw or message.content)
