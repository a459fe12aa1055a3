"""Recorded sessions for the simulator: results of `agentinfer eval`, and conversations in JSON Lines."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentinfer.errors import UserError
from agentinfer.sam._tokens import Tokenizer

__all__ = ["Recorded", "load_recorded"]

ROLES = {"human": "user", "gpt": "assistant", "chatgpt": "assistant", "model": "assistant"}


@dataclass(frozen=True, slots=True)
class Recorded:
    """One session."""

    id: str
    pieces: Sequence[tuple[list[int], bool]]
    """Its tokens, message by message, and whether the model wrote them."""


def load_recorded(path: str | Path, tokenizer: Tokenizer) -> list[Recorded]:
    """Recorded sessions.

    Args:
        path: A folder that `agentinfer eval --out` has made; or a JSON Lines file of `{"id", "messages": [{"role",
            "content"}]}` or, as in ShareGPT, `{"id", "conversations": [{"from", "value"}]}`.
        tokenizer: Makes the tokens.

    Raises:
        UserError: There is nothing of the kind.
    """
    path = Path(path)
    try:
        found = list(_in_folder(path) if path.is_dir() else _in_lines(path))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8: {error}") from None
    sessions = [Recorded(key, pieces) for key, messages in found if (pieces := _pieces(messages, tokenizer))]
    if not any(own for session in sessions for _, own in session.pieces):
        raise UserError(f"{path} holds no session in which a model wrote anything")
    return sessions


def _in_folder(folder: Path) -> Iterator[tuple[str, list[Any]]]:
    inner = folder / "trajectories"
    for path in sorted((inner if inner.is_dir() else folder).glob("*.json")):
        yield path.stem, _messages(_parsed(path.read_text(encoding="utf-8"), str(path)), str(path))


def _in_lines(path: Path) -> Iterator[tuple[str, list[Any]]]:
    with path.open(encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                where = f"{path}:{number}"
                data = _parsed(line, where)
                yield str(data.get("id", number)), _messages(data, where)


def _parsed(text: str, where: str) -> dict[str, Any]:
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where} is not JSON: {error}") from None
    if not isinstance(data, dict):
        raise UserError(f"{where} is not a JSON object")
    return data


def _messages(data: Mapping[str, Any], where: str) -> list[Any]:
    messages = data.get("messages", data.get("conversations"))
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise UserError(f"{where} has neither a list of messages nor of conversations")
    return messages


def _pieces(messages: list[Any], tokenizer: Tokenizer) -> list[tuple[list[int], bool]]:
    pieces: list[tuple[list[int], bool]] = []
    for message in messages:
        role = str(message.get("role", message.get("from", "user")))
        role = ROLES.get(role, role)
        own = role == "assistant"
        pieces.append((tokenizer.encode(f"{message.get('name') or role}\n"), False))
        pieces.append(([*tokenizer.encode(_text(message)), tokenizer.end], own))
    return pieces


def _text(message: Mapping[str, Any]) -> str:
    if isinstance(raw := message.get("raw"), str):
        return raw
    content = message.get("content", message.get("value"))
    parts = [content if isinstance(content, str) else "" if content is None else json.dumps(content)]
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict):
            inner = call["function"] if isinstance(call.get("function"), dict) else call
            parts.append(f"{inner.get('name', '')} {inner.get('arguments', '')}")
    return "\n".join(filter(None, parts))
