"""One model call as the loop asks for it, and what comes back."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentinfer.output import Output
from agentinfer.protocol import Reply, ToolChoice
from agentinfer.tools import ToolSet
from agentinfer.transcript import Encoded, Message, View
from agentinfer.usage import Usage

if TYPE_CHECKING:
    from agentinfer.models._codec import WireCodec
    from agentinfer.models._model import Model

__all__ = ["Completion", "Delta", "ModelRequest", "Sampling"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How the model is to write. `None` leaves a choice to the endpoint."""

    temperature: float | None = None
    """0 writes what is likeliest; most endpoints take up to 2."""
    top_p: float | None = None
    """The share of probability that tokens are drawn from, 0 to 1."""
    max_tokens: int | None = None
    """Tokens of one completion, reasoning included."""
    seed: int | None = None
    """For replies that repeat, where the endpoint can."""
    stop: tuple[str, ...] = ()
    """Texts at which the endpoint stops writing."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the request that the runtime does not know of, such as `reasoning_effort`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRequest:
    """One model call. Immutable: middleware changes it with `replace`. What follows from it is worked out once."""

    model: "Model"
    view: View
    """What is sent."""
    tools: ToolSet = field(default_factory=ToolSet)
    output: Output[Any] | None = None
    """The type the answer must have."""
    choice: ToolChoice = "auto"
    """Whether the model may call a tool, must, or must not."""
    sampling: Sampling | None = None
    """How the model is to write; `None`: as the model's own `sampling` says."""
    purpose: str = "step"
    """What the call is for; calls of another purpose than `step` are lanes of their own."""
    cause: str | None = None
    """Why this request may break the prefix that the endpoint has cached."""
    prediction: str | None = None
    """Text that the reply is expected to repeat; sent where the endpoint takes it."""
    deadline: float | None = None
    """The event loop's time at which the call must be over."""
    codec: "WireCodec" = field(init=False, repr=False, compare=False)
    """How its messages are written."""
    encoded: Encoded = field(init=False, repr=False, compare=False)
    """What it sends: bytes, token counts, hashes."""

    def __post_init__(self) -> None:
        codec, view = self.model.codec(self.tools, self.output), self.view
        if codec.preamble and not (len(view) and view[0].role == "system"):
            view = View([Message.system(""), *view])
        object.__setattr__(self, "codec", codec)
        object.__setattr__(self, "encoded", view.encoded(codec))

    @property
    def raw_tokens(self) -> float:
        """The tokens of its prompt, tools included, before calibration."""
        return self.encoded.tokens + self.codec.tool_tokens

    @property
    def tokens(self) -> int:
        """The tokens of its prompt, tools included: exact where the model's counter is, else a calibrated estimate."""
        return self.model.counter.calibrate(self.raw_tokens)

    def replace(self, **changes: Any) -> "ModelRequest":
        """This request with some fields changed."""
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """A piece of a reply as it streams in."""

    text: str = ""
    reasoning: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completion:
    """A model's reply to one call."""

    reply: Reply
    """What the protocol read: the message, and what is wrong with it where something is."""
    finish_reason: str | None
    """As the endpoint gave it: `stop`, `length`, `tool_calls`, ..."""
    usage: Usage
    """As reported, or estimated where nothing was."""
    model: str
    """The model's name as the endpoint gave it."""
    attempts: int = 1
    """How often the request was sent."""
    seconds: float = 0.0
    """Wall time of the attempt that succeeded."""
    first_token_seconds: float | None = None
    """From sending the request to the first piece of the reply, where it was streamed."""

    @property
    def message(self) -> Message:
        """The reply as an entry of the history."""
        return self.reply.message

    @property
    def text(self) -> str:
        """What the model wrote: its answer, or what it said before its tool calls."""
        return self.reply.message.content

    def replace(self, **changes: Any) -> "Completion":
        """This completion with some fields changed."""
        return dataclasses.replace(self, **changes)
