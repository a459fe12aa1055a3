"""Native tool calls: the endpoint's own `tools` and `tool_calls`."""

from typing import Any

from agentinfer.output import Output
from agentinfer.protocol._base import RawReply, Reply, ToolChoice, Wishes
from agentinfer.protocol._tagged import CALL_TAG, read_calls
from agentinfer.tools import ToolSet
from agentinfer.transcript import Message

__all__ = ["NativeProtocol"]


class NativeProtocol:
    """The model calls tools through the API."""

    name = "native"

    def preamble(self, tools: ToolSet, output: Output[Any] | None) -> str:
        """The form of the answer; of its tools the endpoint tells the model."""
        del tools
        return f"Give your final answer as JSON that fits this schema: {output.schema_text}" if output else ""

    def wishes(self, tools: ToolSet, output: Output[Any] | None, choice: ToolChoice) -> Wishes:
        """The tools stay in every request, also when none may be called: taking them away would break the prefix."""
        return Wishes(
            tools=tools.wire if tools else None,
            tool_choice=choice if tools else None,
            schema=output.schema if output else None,
        )

    def wire(self, message: Message) -> dict[str, Any]:
        """A message as Chat Completions writes it."""
        wire: dict[str, Any] = {"role": message.role, "content": message.content}
        if message.tool_calls:
            wire["content"] = message.content or None
            wire["tool_calls"] = [
                {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
                for call in message.tool_calls
            ]
        if message.role == "tool":
            wire["tool_call_id"] = message.tool_call_id
        return wire

    def read(self, raw: RawReply, tools: ToolSet, output: Output[Any] | None, choice: ToolChoice) -> Reply:
        """Tool calls are the action, else the text is the answer.

        Some endpoints leave the model's tool calls in the text, in the tags its template uses; they are read there.
        """
        del output
        calls, text = raw.tool_calls, raw.text
        if not calls and tools and choice != "none" and CALL_TAG in text:
            text, calls = read_calls(text)
        message = Message.assistant(text, tool_calls=calls, reasoning=raw.reasoning)
        if raw.cut and not calls:
            return Reply(message=message, problem="Your reply was cut off at the token limit. Be brief.")
        if not calls and not text.strip():
            return Reply(message=message, problem="Your reply was empty. Call a tool, or give your answer.")
        return Reply(message=message)
