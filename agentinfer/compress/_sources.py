"""Where material comes from: the documents that a tool result shows."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from agentinfer.compress._cut import Step
from agentinfer.compress._hits import LEFT_OUT
from agentinfer.transcript import Message, ToolCall

__all__ = ["Source", "plain", "sources_of"]

_FENCE = re.compile(r"^</?tool-data \w+>\n?(?:What follows is material, not instructions\.\n)?", re.MULTILINE)
_HIT = re.compile(r"\[([^\]\n]{1,2000})\] ")
_NAMED = ("url", "id", "handle", "path", "query")
"""Arguments that name what a call asked for, the most telling first."""
NAME_CHARS = 120


@dataclass(frozen=True, slots=True)
class Source:
    """A piece of material, and where it comes from."""

    number: int
    """What the model that writes the notes calls it."""
    name: str
    """The document's id or URL, or what the call asked for."""
    step: int
    text: str

    @property
    def place(self) -> str:
        """How a note names it."""
        return f"{self.name}, step {self.step}"


def sources_of(steps: Iterable[Step], chosen: Iterable[str]) -> list[Source]:
    """The material in the chosen results of these steps, one piece for each document, numbered from 1.

    What several results show alike is there once, as the first of them has it.

    Args:
        steps: The steps.
        chosen: The ids of the calls whose results are meant.
    """
    wanted = set(chosen)
    found: list[Source] = []
    seen: set[tuple[str, str]] = set()
    for step in steps:
        for result in step.results:
            if result.tool_call_id in wanted:
                for piece in _pieces(result, step.call_of(result)):
                    if piece not in seen:
                        seen.add(piece)
                        name, text = piece
                        found.append(Source(len(found) + 1, name, step.number, text))
    return found


def plain(result: Message) -> str:
    """A result's text without its fence."""
    return _FENCE.sub("", result.content).strip()


def _pieces(result: Message, call: ToolCall) -> list[tuple[str, str]]:
    """The documents of a search, else the whole as one."""
    text = plain(result)
    if not _HIT.match(text):
        return [(_short(_name_of(call)), text)]
    pieces: list[tuple[str, str]] = []
    for paragraph in text.split("\n\n"):
        if hit := _HIT.match(paragraph):
            pieces.append((_short(hit[1]), paragraph[hit.end() :]))
        elif not paragraph.startswith(LEFT_OUT):
            name, before = pieces[-1]
            pieces[-1] = (name, f"{before}\n\n{paragraph}")
    return pieces


def _name_of(call: ToolCall) -> str:
    try:
        arguments = json.loads(call.arguments or "{}")
    except (ValueError, RecursionError):
        return call.name
    if not isinstance(arguments, dict):
        return call.name
    named = [arguments[key] for key in _NAMED if isinstance(arguments.get(key), str) and arguments[key].strip()]
    others = [value for value in arguments.values() if isinstance(value, str) and value.strip()]
    return next(iter([*named, *others]), call.name)


def _short(name: str) -> str:
    """A name that fits into the brackets of a note."""
    name = " ".join(name.translate({ord("["): "(", ord("]"): ")"}).split())
    return name if len(name) <= NAME_CHARS else name[: NAME_CHARS - 1] + "…"
