"""Tagged text: calls and answers between tags, for models without any other way."""

import json
import re
from typing import Any

from agentinfer._json import load_json
from agentinfer.output import Output
from agentinfer.protocol._base import RawReply, Reply, ToolChoice, Wishes
from agentinfer.protocol._describe import describe_tools
from agentinfer.tools import ToolSet
from agentinfer.transcript import Message, ToolCall

__all__ = ["CALL_TAG", "TaggedProtocol", "read_calls"]

CALL_TAG = "<tool_call>"
_CALL = re.compile(r"<tool_call>\s*(.*?)\s*(?:</tool_call>|(?=<tool_call>)|\Z)", re.DOTALL)
_ANSWER = re.compile(r"<answer>\s*(.*?)\s*(?:</answer>|\Z)", re.DOTALL)

_HOW_TO = """\
To call a tool, write:
<tool_call>{"name": "the tool", "arguments": {"argument": "value"}}</tool_call>
You may write several. Then stop: the results come in the next message.
When you know the answer, write:
<answer>the answer</answer>"""


class TaggedProtocol:
    """The model writes its tool calls and its answer between tags."""

    name = "tagged"

    def preamble(self, tools: ToolSet, output: Output[Any] | None) -> str:
        """The tools, and the tags to use."""
        answer = f"\nThe answer must be JSON that fits this schema: {output.schema_text}" if output else ""
        if not tools:
            return f"Write your answer as <answer>the answer</answer>.{answer}"
        return f"Your tools:\n{describe_tools(tools)}\n\n{_HOW_TO}{answer}"

    def wishes(self, tools: ToolSet, output: Output[Any] | None, choice: ToolChoice) -> Wishes:
        """Nothing: all is said in the text."""
        del tools, output, choice
        return Wishes()

    def wire(self, message: Message) -> dict[str, Any]:
        """Results are told by the user; calls are written as the model would write them."""
        if message.role == "tool":
            result = f'<tool_response name="{message.name}">\n{message.content}\n</tool_response>'
            return {"role": "user", "content": result}
        content = message.content
        if message.role == "assistant":
            content = message.raw if message.protocol == self.name and message.raw else _as_written(message)
        return {"role": message.role, "content": content}

    def read(self, raw: RawReply, tools: ToolSet, output: Output[Any] | None, choice: ToolChoice) -> Reply:
        """Calls are the action, else the tagged text is the answer; without tools any text is one."""
        del output
        text, calls = read_calls(raw.text) if tools and choice != "none" else (raw.text, ())
        answer = _ANSWER.search(text)
        problem = None
        if tools and not calls and not answer and choice != "none":
            problem = "Your reply has neither a <tool_call> nor an <answer>. Write one of them."
        elif not calls and not (answer[1] if answer else text).strip():
            problem = "Your answer was empty."
        if raw.cut and not calls:
            problem = "Your reply was cut off at the token limit. Be brief."
        message = Message(
            role="assistant",
            content=answer[1] if answer and not calls else text,
            tool_calls=calls,
            reasoning=raw.reasoning,
            raw=raw.text,
            protocol=self.name,
        )
        return Reply(message=message, problem=problem)


def read_calls(text: str) -> tuple[str, tuple[ToolCall, ...]]:
    """The text before the first call, and the calls; arguments that are not JSON are kept as they are."""
    calls = []
    for found in _CALL.finditer(text):
        name, arguments = _read_call(found[1])
        calls.append(ToolCall(id="", name=name, arguments=arguments))
    return text[: text.index(CALL_TAG)].strip() if calls else text, tuple(calls)


def _read_call(body: str) -> tuple[str, str]:
    call = load_json(body)
    if not isinstance(call, dict):
        return "", body
    arguments = call.get("arguments") or call.get("parameters") or {}
    return str(call.get("name", "")), arguments if isinstance(arguments, str) else json.dumps(arguments)


def _as_written(message: Message) -> str:
    """A message written under another protocol, as this one would have it; notes are a thought, and no answer."""
    if message.stands_for and not message.tool_calls:
        return message.content
    if not message.tool_calls:
        return f"<answer>{message.content}</answer>"
    calls = [
        f'<tool_call>{{"name": {json.dumps(call.name)}, "arguments": {call.arguments or "{}"}}}</tool_call>'
        for call in message.tool_calls
    ]
    return "\n".join(filter(None, [message.content, *calls]))
