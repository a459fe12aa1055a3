"""Requests as bytes: messages written once per endpoint and protocol, bodies joined from bytes that exist."""

import hashlib
import json
from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Any, Literal

from pydantic_core import PydanticSerializationError, to_json

from agentinfer.models._profile import Profile
from agentinfer.models._request import ModelRequest, Sampling
from agentinfer.output import Output
from agentinfer.protocol import ActionProtocol, ToolChoice, Wishes
from agentinfer.tokens import TokenCounter
from agentinfer.tools import ToolSet
from agentinfer.transcript import Message

__all__ = ["WireCodec", "dumps", "request_body", "response_format", "wishes_of"]


class WireCodec:
    """Writes messages for one profile and protocol."""

    def __init__(
        self,
        profile: Profile,
        protocol: ActionProtocol,
        counter: TokenCounter,
        tools: ToolSet,
        output: Output[Any] | None,
    ) -> None:
        self.profile = profile
        self.protocol = protocol
        self.preamble = preamble = protocol.preamble(tools, output)
        self._counter = counter
        self._tools = wishes_of(protocol, tools, output, "auto").tools or b""
        self._tool_tokens: float | None = None
        marks = (profile.system, profile.late_system, profile.null_content, profile.echo_reasoning)
        told = hashlib.blake2b(preamble.encode(errors="replace"), digest_size=8).digest()
        self.key: Hashable = (*marks, protocol.name, counter.name, told)

    def encode(self, message: Message, *, leading: bool) -> bytes:
        """The message as JSON; a leading system message carries the protocol's preamble."""
        wire = self.protocol.wire(message)
        if wire["role"] == "system":
            if leading and self.preamble:
                wire["content"] = "\n\n".join(filter(None, [wire["content"], self.preamble]))
            if not self.profile.system or (not leading and not self.profile.late_system):
                wire["role"] = "user"
        if wire["content"] is None and not self.profile.null_content:
            wire["content"] = ""
        if self.profile.echo_reasoning and message.reasoning and message.role == "assistant":
            wire[self.profile.echo_reasoning] = message.reasoning
        return dumps(wire)

    def count(self, encoding: bytes) -> float:
        """Tokens of an encoding, before calibration."""
        return self._counter.count(encoding)

    @property
    def tool_tokens(self) -> float:
        """Tokens of the tool list that requests carry, before calibration."""
        if self._tool_tokens is None:
            self._tool_tokens = self._counter.count(self._tools)
        return self._tool_tokens


@lru_cache(maxsize=256)
def wishes_of(protocol: ActionProtocol, tools: ToolSet, output: Output[Any] | None, choice: ToolChoice) -> Wishes:
    """What a protocol would like requests of this kind to carry: the same for every step of a run."""
    return protocol.wishes(tools, output, choice)


def request_body(request: ModelRequest, sampling: Sampling, *, stream: bool) -> bytes:
    """The body of a Chat Completions request."""
    profile, wishes = request.model.profile, request.model.wishes(request)
    parts = [b'{"model":', dumps(request.model.name), b',"messages":[', b",".join(request.encoded.parts), b"]"]
    if wishes.tools is not None:
        parts += [b',"tools":', wishes.tools]
    options = _options(request, sampling, profile, stream=stream)
    if wishes.tools is not None and wishes.tool_choice in profile.tool_choices and wishes.tool_choice != "auto":
        options["tool_choice"] = wishes.tool_choice
    if wishes.tools is not None and profile.parallel_tool_calls is not None:
        options["parallel_tool_calls"] = profile.parallel_tool_calls
    tools_in_the_way = wishes.tools is not None and wishes.tool_choice != "none" and not profile.json_schema_with_tools
    if wishes.schema is not None and profile.json_schema and not tools_in_the_way:
        options["response_format"] = response_format(wishes.schema, profile.schema_form)
    if options:
        parts += [b",", dumps(options)[1:-1]]
    parts.append(b"}")
    return b"".join(parts)


def _options(request: ModelRequest, sampling: Sampling, profile: Profile, *, stream: bool) -> dict[str, Any]:
    options: dict[str, Any] = dict(profile.extra_body)
    if stream:
        options["stream"] = True
        if profile.stream_usage:
            options["stream_options"] = {"include_usage": True}
    for field in ("temperature", "top_p", "seed"):
        if (value := getattr(sampling, field)) is not None:
            options[field] = value
    if (max_tokens := sampling.max_tokens or profile.default_max_tokens) is not None:
        options[profile.max_tokens_field] = max_tokens
    if sampling.stop:
        options["stop"] = sampling.stop
    if request.prediction is not None and profile.prediction and request.model.wishes(request).tools is None:
        options["prediction"] = {"type": "content", "content": request.prediction}
    options.update(sampling.extra)
    return options


def response_format(schema: Mapping[str, Any], form: Literal["json_schema", "json_object"]) -> dict[str, Any]:
    """The field that holds a reply to a schema."""
    if form == "json_object":
        return {"type": "json_object", "schema": schema}
    return {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}


def dumps(value: Any) -> bytes:
    """Compact JSON as UTF-8; a lone surrogate, which no endpoint reads, becomes a question mark."""
    try:
        return to_json(value)
    except PydanticSerializationError:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(errors="replace")
