"""What every protocol offers: how a model is told of its tools, and how its reply is read."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from agentinfer.output import Output
from agentinfer.tools import ToolSet
from agentinfer.transcript import Message, ToolCall

__all__ = ["ActionProtocol", "RawReply", "Reply", "ToolChoice", "Wishes"]

ToolChoice = Literal["auto", "required", "none"]
"""Whether the model may call a tool, must, or must not (it has to answer)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a protocol would like a request to carry; an endpoint's profile may not allow all of it."""

    tools: bytes | None = None
    """The `tools` field as JSON."""
    tool_choice: ToolChoice | None = None
    schema: Mapping[str, Any] | None = None
    """The JSON schema the reply must fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RawReply:
    """What an endpoint answered, before a protocol reads it."""

    text: str = ""
    reasoning: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    """Native tool calls; ids may be empty or repeat."""
    cut: bool = False
    """The endpoint stopped at the token limit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A model's reply, read.

    A message with tool calls is an action, one without is an answer, unless `problem` says what is wrong with it.
    """

    message: Message
    problem: str | None = None
    """Why this is neither an action nor an answer, told to the model."""


class ActionProtocol(Hashable, Protocol):
    """How a model says what to do."""

    @property
    def name(self) -> str:
        """Messages remember under which protocol they were written."""

    def preamble(self, tools: ToolSet, output: Output[Any] | None) -> str:
        """What the leading system message must add, or an empty string."""

    def wishes(self, tools: ToolSet, output: Output[Any] | None, choice: ToolChoice) -> Wishes:
        """What a request should carry."""

    def wire(self, message: Message) -> dict[str, Any]:
        """A message as Chat Completions writes it."""

    def read(self, raw: RawReply, tools: ToolSet, output: Output[Any] | None, choice: ToolChoice) -> Reply:
        """Read a reply. Never raises: what cannot be read is a `problem`."""
