"""What a scripted endpoint answers: replies made of parts that are joined with `+`."""

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

__all__ = [
    "Answer",
    "Break",
    "Call",
    "Chunk",
    "Failure",
    "Handler",
    "HttpAnswer",
    "Part",
    "Pause",
    "Reasoning",
    "ScriptedReply",
    "Step",
    "Text",
    "call",
    "cut",
    "delay",
    "end_early",
    "fail",
    "finish",
    "hang",
    "http",
    "no_usage",
    "raw",
    "reset",
    "say",
    "think",
    "usage",
    "wait_for",
]


@dataclass(frozen=True, slots=True)
class Text:
    """A piece of the text."""

    text: str


@dataclass(frozen=True, slots=True)
class Reasoning:
    """A piece of what the model thinks."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call."""

    name: str
    arguments: str
    """JSON text, or whatever stands in its place."""


@dataclass(frozen=True, slots=True)
class Pause:
    """A wait before what follows."""

    wait: Callable[[], Awaitable[object]]


@dataclass(frozen=True, slots=True)
class Chunk:
    """A chunk sent as it is."""

    value: Any


@dataclass(frozen=True, slots=True)
class Failure:
    """An error in place of what follows."""

    error: Exception


@dataclass(frozen=True, slots=True)
class Break:
    """The end of the connection, or of the answer, before its time."""

    how: Literal["end", "cut", "reset"]
    at_byte: int | None = None
    """After how many bytes of the answer; `None`: where this part stands."""


Part: TypeAlias = Text | Reasoning | Call | Pause | Chunk | Failure | Break


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptedReply:
    """One reply. The functions of this module make them; `+` joins two into one."""

    parts: tuple[Part, ...] = ()
    usage: Mapping[str, Any] | None = None
    """As it is reported; `None`: by the length of the texts; empty: not reported."""
    finish_reason: str | None = None
    """`None`: `tool_calls` where there are calls, else `stop`."""

    def __add__(self, other: "ScriptedReply") -> "ScriptedReply":
        return ScriptedReply(
            parts=self.parts + other.parts,
            usage=self.usage if other.usage is None else other.usage,
            finish_reason=other.finish_reason or self.finish_reason,
        )

    def replace(self, **changes: Any) -> "ScriptedReply":
        """This reply with some fields changed."""
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpAnswer:
    """An HTTP answer sent as it is."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


Answer: TypeAlias = ScriptedReply | HttpAnswer

Handler: TypeAlias = Callable[[dict[str, Any]], Answer]
"""Makes an answer of a request's body."""

Step: TypeAlias = Answer | Handler
"""One answer of a script, or what makes it of the request's body."""


def say(*pieces: str) -> ScriptedReply:
    """A text, streamed in these pieces; the answer, unless the reply holds calls too."""
    return ScriptedReply(parts=tuple(Text(piece) for piece in pieces))


def think(*pieces: str) -> ScriptedReply:
    """Reasoning, streamed in these pieces."""
    return ScriptedReply(parts=tuple(Reasoning(piece) for piece in pieces))


def call(name: str, /, *malformed: str, **arguments: Any) -> ScriptedReply:
    """A tool call.

    Args:
        name: The tool.
        malformed: A text that stands in place of the arguments' JSON.
        arguments: The tool's arguments.
    """
    text = malformed[0] if malformed else json.dumps(arguments, ensure_ascii=False)
    return ScriptedReply(parts=(Call(name, text),))


def raw(*chunks: Any) -> ScriptedReply:
    """Chunks as they are, JSON values; the one completion, where the request does not stream."""
    return ScriptedReply(parts=tuple(Chunk(chunk) for chunk in chunks))


def usage(
    prompt_tokens: int,
    completion_tokens: int,
    *,
    cached_tokens: int | None = None,
    reasoning_tokens: int | None = None,
) -> ScriptedReply:
    """What the reply is reported to have taken."""
    report: dict[str, Any] = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
    if cached_tokens is not None:
        report["prompt_tokens_details"] = {"cached_tokens": cached_tokens}
    if reasoning_tokens is not None:
        report["completion_tokens_details"] = {"reasoning_tokens": reasoning_tokens}
    return ScriptedReply(usage=report)


def no_usage() -> ScriptedReply:
    """Nothing is reported of what the reply took."""
    return ScriptedReply(usage={})


def finish(reason: str) -> ScriptedReply:
    """The reply's `finish_reason`, such as `length`."""
    return ScriptedReply(finish_reason=reason)


def wait_for(event: asyncio.Event) -> ScriptedReply:
    """Wait until an event is set."""
    return ScriptedReply(parts=(Pause(event.wait),))


def delay(seconds: float) -> ScriptedReply:
    """Wait for some time."""
    return ScriptedReply(parts=(Pause(lambda: asyncio.sleep(seconds)),))


def hang() -> ScriptedReply:
    """Wait for ever; at the start of a reply: a black hole."""
    return ScriptedReply(parts=(Pause(lambda: asyncio.Event().wait()),))


def fail(error: Exception) -> ScriptedReply:
    """Fail with an error; a server answers with the HTTP status that stands for it."""
    return ScriptedReply(parts=(Failure(error),))


def cut(*, at_byte: int | None = None) -> ScriptedReply:
    """Close the connection in the middle of the answer.

    Args:
        at_byte: After so many bytes of the answer; here unless given. Only servers count bytes.
    """
    return ScriptedReply(parts=(Break("cut", at_byte),))


def reset() -> ScriptedReply:
    """Reset the connection."""
    return ScriptedReply(parts=(Break("reset"),))


def end_early() -> ScriptedReply:
    """End the answer in good order, without a `finish_reason` and without `[DONE]`."""
    return ScriptedReply(parts=(Break("end"),))


def http(status: int, body: Any = b"", *, headers: Mapping[str, str] | None = None) -> HttpAnswer:
    """An HTTP answer: a refusal, HTML, garbage.

    Args:
        status: Its status.
        body: Bytes or a text as they are; anything else as JSON.
        headers: Its headers, such as `{"retry-after": "2"}`; the content type is guessed from the body unless given.
    """
    if isinstance(body, bytes | str):
        content = body.encode() if isinstance(body, str) else body
        content_type = "text/html" if content.lstrip().startswith(b"<") else "application/json"
    else:
        content, content_type = json.dumps(body).encode(), "application/json"
    given = {name.lower(): value for name, value in (headers or {}).items()}
    return HttpAnswer(status=status, body=content, headers={"content-type": content_type, **given})
