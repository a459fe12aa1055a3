"""One reply out of many chunks, whatever the endpoint makes of them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from agentinfer.errors import InvalidResponse, StreamCut
from agentinfer.models._faults import error_in_body
from agentinfer.models._request import Delta
from agentinfer.protocol import RawReply
from agentinfer.transcript import ToolCall

__all__ = ["Accumulator", "ReportedUsage"]

_NOTHING: Mapping[str, Any] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedUsage:
    """The token counts an endpoint gave."""

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None
    reasoning_tokens: int | None
    accepted_prediction_tokens: int | None
    rejected_prediction_tokens: int | None


@dataclass(slots=True)
class _Call:
    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


class Accumulator:
    """Takes chunks (or one whole completion), gives the reply."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: dict[object, _Call] = {}
        self._chose = False
        self.finish_reason: str | None = None
        self.model: str | None = None
        self.usage: ReportedUsage | None = None

    @property
    def text(self) -> str:
        """What has arrived of the text."""
        return "".join(self._text)

    @property
    def begun(self) -> bool:
        """Whether any of the reply has arrived."""
        return bool(self._text or self._reasoning or self._calls)

    def add(self, chunk: Any) -> Delta | None:
        """Take one chunk; what it adds to the text, if it does.

        Raises:
            ModelError: The chunk is an error, or not a chunk at all.
        """
        if not isinstance(chunk, dict):
            raise InvalidResponse(
                f"The endpoint sent {type(chunk).__name__} where a completion belongs", partial=self.text
            )
        if chunk.get("error"):
            raise error_in_body(chunk["error"], self.text)
        self.model = _string(chunk.get("model")) or self.model
        if usage := _mapping(chunk.get("usage")):
            self.usage = _read_usage(usage)
        choices = chunk.get("choices")
        if not isinstance(choices, list) or not choices:
            return None
        self._chose = True
        choice = _mapping(choices[0])
        self.finish_reason = _string(choice.get("finish_reason")) or self.finish_reason
        return self._take(_mapping(choice.get("delta")) or _mapping(choice.get("message")))

    def _take(self, message: Mapping[str, Any]) -> Delta | None:
        text = _text(message.get("content")) or _string(message.get("refusal"))
        reasoning = _string(message.get("reasoning_content")) or _string(message.get("reasoning"))
        calls = message.get("tool_calls")
        if isinstance(calls, list):
            for position, call in enumerate(calls):
                self._take_call(_mapping(call), position, len(calls))
        if text:
            self._text.append(text)
        if reasoning:
            self._reasoning.append(reasoning)
        return Delta(text=text, reasoning=reasoning) if text or reasoning else None

    def _take_call(self, piece: Mapping[str, Any], position: int, of: int) -> None:
        """Pieces of one call share an index; where the endpoint gives none, a new id or name begins a new call."""
        function = _mapping(piece.get("function"))
        id_, name = _string(piece.get("id")), _string(function.get("name"))
        key: object = piece.get("index")
        if not isinstance(key, int):
            key = ("unnumbered", len(self._calls) if id_ or name or of > 1 else len(self._calls) - 1)
        elif (known := self._calls.get(key)) and name and (id_ != known.id if id_ else name != known.name):
            key = (key, id_ or name)  # several whole calls under one index
        call = self._calls.setdefault(key, _Call())
        call.id = call.id or id_
        call.name = call.name or name
        arguments = function.get("arguments")
        if isinstance(arguments, str):
            call.arguments.append(arguments)
        elif isinstance(arguments, dict):  # some endpoints send an object instead of its text
            call.arguments.append(json.dumps(arguments))

    def finish(self, *, think_tags: bool, whole: bool, think_opened: bool = False) -> RawReply:
        """The reply, once all chunks are in.

        Args:
            think_tags: Whether `<think>...</think>` at the start of the text is reasoning.
            whole: Whether the endpoint said that it was done.
            think_opened: Whether the text is reasoning up to `</think>` also where no `<think>` opens it.

        Raises:
            StreamCut: The endpoint stopped in the middle.
            InvalidResponse: There was no choice in any chunk.
        """
        if not self._chose:
            raise InvalidResponse("The endpoint sent no choices", partial=self.text)
        if self.finish_reason is None and not whole:
            raise StreamCut("The reply stopped before its end", partial=self.text)
        text, reasoning = self.text, "".join(self._reasoning)
        tagged = think_tags and text.lstrip().startswith("<think>")
        if not reasoning and (tagged or (think_opened and "</think>" in text)):
            reasoning, _, text = text.lstrip().removeprefix("<think>").partition("</think>")
            text = text.lstrip()
        calls = tuple(
            ToolCall(id=call.id, name=call.name, arguments="".join(call.arguments)) for call in self._calls.values()
        )
        cut = self.finish_reason in ("length", "max_tokens")
        return RawReply(text=text, reasoning=reasoning.strip() or None, tool_calls=calls, cut=cut)


def _read_usage(usage: Mapping[str, Any]) -> ReportedUsage | None:
    prompt, completion = _count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))
    if prompt is None and completion is None:
        return None
    prompt_details = _mapping(usage.get("prompt_tokens_details"))
    details = _mapping(usage.get("completion_tokens_details"))
    cached = _count(prompt_details.get("cached_tokens"))
    if cached is None:
        cached = _count(usage.get("prompt_cache_hit_tokens"))
    return ReportedUsage(
        prompt_tokens=prompt or 0,
        completion_tokens=completion or 0,
        cached_tokens=cached if cached is None else min(cached, prompt or 0),
        reasoning_tokens=_count(details.get("reasoning_tokens")),
        accepted_prediction_tokens=_count(details.get("accepted_prediction_tokens")),
        rejected_prediction_tokens=_count(details.get("rejected_prediction_tokens")),
    )


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else _NOTHING


def _string(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _count(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e12 else None


def _text(content: Any) -> str:
    """Text, or the text parts of a list of parts."""
    if isinstance(content, list):
        return "".join(_string(_mapping(part).get("text")) for part in content)
    return _string(content)
