"""Chat Completions requests as the engine takes them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agentinfer.errors import RequestRefused

__all__ = ["Wanted", "parse_request"]

TOLD = (
    "The engine in the process speaks the protocols json and tagged: tools are told in the prompt, not sent beside it"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What one request asks for."""

    messages: Sequence[Mapping[str, str]]
    """`role` and `content` of each."""
    max_tokens: int | None = None
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: Sequence[str] = ()
    schema: Mapping[str, Any] | None = field(default=None, hash=False)
    """The JSON schema that the reply is held to."""


def parse_request(body: bytes) -> Wanted:
    """Read the body of a request.

    Raises:
        RequestRefused: It asks for what the engine cannot do.
    """
    try:
        asked = json.loads(body)
        return Wanted(
            messages=[_message(message) for message in asked["messages"]],
            max_tokens=_whole(asked.get("max_tokens") or asked.get("max_completion_tokens")),
            temperature=float(_known(asked.get("temperature"), 1.0)),
            top_p=float(_known(asked.get("top_p"), 1.0)),
            seed=_whole(asked.get("seed")),
            stop=_stops(asked.get("stop")),
            schema=_schema(asked),
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RequestRefused(f"The request cannot be read: {error!r}", status=400) from None


def _message(message: Mapping[str, Any]) -> Mapping[str, str]:
    if message.get("tool_calls") or message["role"] == "tool":
        raise RequestRefused(TOLD, status=400)
    content = message.get("content") or ""
    if not isinstance(content, str):
        if any(part.get("type") != "text" for part in content):
            raise RequestRefused("The engine in the process reads text only", status=400)
        content = "".join(part["text"] for part in content)
    return {"role": str(message["role"]), "content": content}


def _schema(asked: Mapping[str, Any]) -> Mapping[str, Any] | None:
    if asked.get("tools"):
        raise RequestRefused(TOLD, status=400)
    if _known(asked.get("n"), 1) != 1:
        raise RequestRefused("The engine in the process writes one reply at a time (n=1)", status=400)
    form = asked.get("response_format") or {"type": "text"}
    if form["type"] == "text":
        return None
    if form["type"] == "json_object":
        schema = form.get("schema") or {"type": "object"}
    else:
        schema = form["json_schema"]["schema"]
    if not isinstance(schema, dict):
        raise RequestRefused("A JSON schema is an object", status=400)
    return schema


def _stops(stop: Any) -> Sequence[str]:
    return [stop] if isinstance(stop, str) else [str(text) for text in stop or ()]


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def _known(value: Any, default: Any) -> Any:
    return default if value is None else value
