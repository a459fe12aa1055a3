"""What a replay says of a request it has no answer to: the nearest recorded one, and where the two differ."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["describe_miss"]

WIDTH = 100
"""Characters shown of each side of a difference."""
FIELDS = 5
"""Differing fields shown."""


def describe_miss(directory: Path, request: Any, recorded: Sequence[tuple[str, Any]]) -> str:
    """Say that a request was not recorded, which recorded one is nearest, and where they differ.

    Args:
        directory: Where the recording is.
        request: The body that was asked.
        recorded: File names and bodies.
    """
    start = f"{directory} holds no answer to this request"
    if not recorded:
        return f"{start}, nor to any other"
    name, nearest = min(recorded, key=lambda entry: (*_distance(request, entry[1]), entry[0]))
    mine, theirs = _messages(request), _messages(nearest)
    shared = _shared(mine, theirs)
    lines = [f"{start}. The nearest it knows is {name}; the first {shared} of {len(mine)} messages are the same."]
    if shared < max(len(mine), len(theirs)):
        lines += _message_difference(shared, mine, theirs)
    fields = _differing_fields(request, nearest)
    for field in fields[:FIELDS]:
        lines += _difference(field, _shown(nearest, field), _shown(request, field))
    if len(fields) > FIELDS:
        lines.append(f"  and {len(fields) - FIELDS} more fields")
    return "\n".join(lines)


def _distance(request: Any, other: Any) -> tuple[int, int, int]:
    """Small for what begins with the same messages, then for few other fields, then for the same next words."""
    mine, theirs = _messages(request), _messages(other)
    shared = _shared(mine, theirs)
    alike = _same_start(_dump(mine[shared : shared + 1]), _dump(theirs[shared : shared + 1]))
    return -shared, len(_differing_fields(request, other)), -alike


def _messages(request: Any) -> list[Any]:
    messages = request.get("messages") if isinstance(request, Mapping) else None
    return messages if isinstance(messages, list) else []


def _shared(mine: list[Any], theirs: list[Any]) -> int:
    """How many first messages are the same."""
    pairs = zip(mine, theirs, strict=False)
    return next((at for at, (one, other) in enumerate(pairs) if one != other), min(len(mine), len(theirs)))


def _same_start(one: str, other: str) -> int:
    """How many first characters are the same."""
    pairs = zip(one, other, strict=False)
    return next((at for at, (left, right) in enumerate(pairs) if left != right), min(len(one), len(other)))


def _differing_fields(request: Any, other: Any) -> list[str]:
    if not (isinstance(request, Mapping) and isinstance(other, Mapping)):
        return []
    fields = dict.fromkeys([*request, *other])
    missing = object()
    return [name for name in fields if name != "messages" and request.get(name, missing) != other.get(name, missing)]


def _message_difference(at: int, mine: list[Any], theirs: list[Any]) -> list[str]:
    """Where the first message that differs does so."""
    recorded, asked = (_dump(side[at]) if at < len(side) else "(no such message)" for side in (theirs, mine))
    return _difference(f"message {at + 1}", recorded, asked)


def _difference(what: str, recorded: str, asked: str) -> list[str]:
    """Both sides, from shortly before the place where they part."""
    same = _same_start(recorded, asked)
    start = max(0, same - WIDTH // 3) if max(len(recorded), len(asked)) > WIDTH else 0
    return [f"  {what}", f"    recorded: {_clip(recorded, start)}", f"    asked:    {_clip(asked, start)}"]


def _clip(text: str, start: int) -> str:
    shown = text[start : start + WIDTH]
    return ("…" if start else "") + shown + ("…" if start + WIDTH < len(text) else "")


def _shown(request: Any, field: str) -> str:
    return _dump(request[field]) if field in request else "(not given)"


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
