"""Probes of native tool calls, written and read as the runtime does it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from agentinfer.doctor._endpoint import Endpoint, Heard
from agentinfer.doctor._findings import Finding, Findings, no, unclear, yes
from agentinfer.protocol import NativeProtocol
from agentinfer.tools import ArgumentsError, ToolSet, tool
from agentinfer.transcript import Message, ToolCall

__all__ = [
    "RESULT",
    "WEATHER",
    "choice_named",
    "choice_none",
    "choice_required",
    "parallel_calls",
    "tool_call",
    "tool_result",
    "weather",
]

RESULT = "Fog, and 3 degrees."
QUESTION = "What is the weather in Oslo right now? Use the tool."
SMALL_TALK = "Say hello."


@tool(bounded=True)
async def weather(city: str) -> str:
    """Look up the weather in a city as it is now. city: its name."""
    del city
    return RESULT


WEATHER = ToolSet([weather])
TOOLS: list[Any] = json.loads(WEATHER.wire)


async def tool_call(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether the model calls a tool by itself, and whether the call can be read."""
    del found
    heard = await endpoint.ask(QUESTION, tools=TOOLS)
    if heard.error is None and not _calls(heard) and endpoint.streams:
        whole = await endpoint.ask(QUESTION, tools=TOOLS, stream=False)
        if _calls(whole):
            return _read(whole, streamed=False)
    return _read(heard, streamed=endpoint.streams)


async def tool_result(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether a tool's result is taken, and used."""
    call = ToolCall(id=found.get_data("tool_call", "id") or "call_0001", name="weather", arguments='{"city": "Oslo"}')
    messages = (Message.user(QUESTION), Message.assistant(tool_calls=[call]), Message.tool(call, RESULT))
    wire = [NativeProtocol().wire(message) for message in messages]
    heard = await endpoint.ask(wire, tools=TOOLS)
    if heard.error is None:
        return _read_result(heard)
    wire[1]["content"] = ""
    again = await endpoint.ask(wire, tools=TOOLS)
    if again.error is not None:
        return no(heard.refused)
    read = _read_result(again)
    return replace(read, words=f"{read.words}, where no content is null", data={"null_content": False})


def _read_result(heard: Heard) -> Finding:
    if "3" in heard.text or "fog" in heard.text.lower():
        return yes("taken and used")
    if _calls(heard):
        return unclear("taken, and the tool is called again")
    return unclear(f"taken, and not used: {heard.text[:60]!r}")


async def parallel_calls(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether the model makes several calls in one reply, by itself or where the request allows it."""
    del found
    question = "What is the weather in Oslo, and what is it in Cairo? Call the tool once for each, both at once."
    if (count := len(_calls(await endpoint.ask(question, tools=TOOLS)))) > 1:
        return yes(f"{count} calls in one reply", when_allowed=False)
    heard = await endpoint.ask(question, tools=TOOLS, parallel_tool_calls=True)
    if heard.error is not None:
        return no(f"one call in a reply, and parallel_tool_calls is refused: {heard.refused}")
    if (count := len(_calls(heard))) > 1:
        return yes(f"{count} calls in one reply, where parallel_tool_calls is true", when_allowed=True)
    return no("one call in a reply" if count else "no call where two were asked for")


async def choice_none(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether `tool_choice: none` is heeded, and leaves the prompt as it is."""
    del found
    heard = await endpoint.ask(QUESTION, tools=TOOLS, tool_choice="none", stream=False)
    if heard.error is not None:
        return no(heard.refused)
    if _calls(heard):
        return no("the model calls a tool nonetheless")
    plain = (await endpoint.ask(QUESTION, tools=TOOLS, stream=False)).usage
    if plain and heard.usage and heard.usage.prompt_tokens < plain.prompt_tokens:
        counts = f"{heard.usage.prompt_tokens} tokens instead of {plain.prompt_tokens}"
        return yes(f"heeded, by leaving the tools out of the prompt ({counts})", keeps_prefix=False)
    return yes("heeded", keeps_prefix=True if plain and heard.usage else None)


async def choice_required(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether `tool_choice: required` brings a call where none is needed."""
    del found
    return _forced(await endpoint.ask(SMALL_TALK, tools=TOOLS, tool_choice="required"))


async def choice_named(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether naming a tool in `tool_choice` brings a call of it."""
    del found
    choice = {"type": "function", "function": {"name": "weather"}}
    return _forced(await endpoint.ask(SMALL_TALK, tools=TOOLS, tool_choice=choice))


def _calls(heard: Heard) -> Sequence[ToolCall]:
    """The calls that the runtime finds in a reply, also where they stand in its text."""
    return NativeProtocol().read(heard.reply, WEATHER, None, "auto").message.tool_calls


def _read(heard: Heard, *, streamed: bool) -> Finding:
    if heard.error is not None:
        return no(heard.refused)
    calls = _calls(heard)
    if not calls:
        return no(f"the model answers in text: {heard.text[:80]!r}")
    try:
        weather.parse(calls[0].arguments)
    except ArgumentsError:
        return no(f"arguments that cannot be read: {calls[0].arguments[:80]!r}")
    where = "in tool_calls" if heard.reply.tool_calls else "in the text, where the runtime reads it"
    return yes(where + ("" if streamed else ", not streamed"), id=calls[0].id, streamed=streamed)


def _forced(heard: Heard) -> Finding:
    if heard.error is not None:
        return no(heard.refused)
    if _calls(heard):
        return yes("a call comes")
    return (unclear if heard.reply.cut else no)(f"no call comes: {heard.text[:60]!r}")
