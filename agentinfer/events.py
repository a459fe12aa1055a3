"""What happened in a run, as typed events.

```
Event
├── RunStarted · RunFinished
├── StepStarted · StepFinished
├── ModelCallStarted · ModelDelta · AttemptDiscarded · ModelCallFinished · ModelCallFailed
├── ToolStarted · ToolFinished
├── ViewCommitted · PrefixBreak     what is sent changed; the endpoint's cache was lost
├── LimitReached · Nudged · Forced  the loop steps in
├── PluginFailed                    a plug-in raised; the run went on without it
└── your own subclass, given to `run.emit`
```
"""

import dataclasses
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, dataclass_transform

from agentinfer.ledger import Price
from agentinfer.tools import Outcome
from agentinfer.transcript import ToolCall
from agentinfer.usage import Usage

if TYPE_CHECKING:
    from agentinfer.result import RunResult

__all__ = [
    "AttemptDiscarded",
    "Event",
    "Forced",
    "LimitReached",
    "ModelCallFailed",
    "ModelCallFinished",
    "ModelCallStarted",
    "ModelDelta",
    "Nudged",
    "PluginFailed",
    "PrefixBreak",
    "RunFinished",
    "RunStarted",
    "StepFinished",
    "StepStarted",
    "ToolFinished",
    "ToolStarted",
    "ViewCommitted",
]


E = TypeVar("E")


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=False, field_specifiers=(field,))
def _event(cls: type[E]) -> type[E]:
    """A dataclass without what no event needs: making it took a good part of this library's import time."""
    return dataclass(frozen=True, kw_only=True, eq=False, repr=False)(cls)


@_event
class Event:
    """Something that happened in a run. Subclass it (a frozen dataclass) for events of your own."""

    time: float = field(default_factory=time.time)
    """Seconds since the epoch."""

    @property
    def kind(self) -> str:
        """The event's class name."""
        return type(self).__name__

    def __repr__(self) -> str:
        fields = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in dataclasses.fields(self))
        return f"{self.kind}({fields})"

    def to_dict(self) -> dict[str, Any]:
        """The event as JSON-able data, with its `kind`."""
        return {"kind": self.kind, **{f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}}


def _plain(value: Any) -> Any:
    if isinstance(value, str | int | float | bool | None):
        return value
    if hasattr(value, "to_dict"):
        return value.to_dict()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value) if not f.name.startswith("_")}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    return str(value)


@_event
class RunStarted(Event):
    """A run begins."""

    run_id: str
    question: str
    model: str
    """The model's name."""
    session: str | None = None
    tenant: str | None = None


@_event
class StepStarted(Event):
    """A step begins: think, act, observe."""

    step: int
    """Counted from 1."""
    answer_only: bool = False
    """Whether the model has to answer now."""


@_event
class ModelCallStarted(Event):
    """A request is about to be sent."""

    model: str
    purpose: str
    """`step` for the loop's own calls; others are those of plug-ins."""
    price: Price
    """What the prompt is expected to cost."""


@_event
class ModelDelta(Event):
    """A piece of a reply."""

    text: str = ""
    reasoning: str = ""
    attempt: int = 1
    """Which attempt at this reply it belongs to; see `AttemptDiscarded`."""


@_event
class AttemptDiscarded(Event):
    """A reply broke off after some of it had been delivered: forget its deltas, another attempt follows."""

    attempt: int
    error: str


@_event
class ModelCallFinished(Event):
    """A reply is in."""

    model: str
    purpose: str
    usage: Usage
    """Of this call."""
    seconds: float
    """Of the attempt that succeeded."""
    first_token_seconds: float | None
    """From sending the request to the first piece of the reply; `None` where it was not streamed."""
    attempts: int
    """How often the request was sent."""
    finish_reason: str | None
    """As the endpoint gave it."""


@_event
class ModelCallFailed(Event):
    """A call failed for good, or its result is not used."""

    model: str
    purpose: str
    error: str


@_event
class ToolStarted(Event):
    """A tool call begins."""

    call: ToolCall


@_event
class ToolFinished(Event):
    """A tool call has its result."""

    call: ToolCall
    outcome: Outcome
    content: str
    """What the model is shown of it."""
    seconds: float
    """What the tool took; 0 for a call that was not made."""


@_event
class StepFinished(Event):
    """A step is over."""

    step: int
    text: str
    """What the model wrote beside its tool calls."""
    calls: tuple[ToolCall, ...]
    usage: Usage
    """Of the whole run so far."""
    seconds: float
    """Wall time of the step."""


@_event
class ViewCommitted(Event):
    """What is sent from now on has changed for good."""

    cause: str
    messages_before: int
    messages_after: int


@_event
class PrefixBreak(Event):
    """A request did not continue the one before it: the endpoint reads again what it had read already."""

    model: str
    purpose: str
    cause: str | None
    """Why; `None` is a defect of whoever changed the request."""
    lost_tokens: int
    """Tokens of prompt that the endpoint had read, and reads again."""


@_event
class LimitReached(Event):
    """A limit of the run is near or passed."""

    limit: str
    """`steps`, `tokens`, `cost` or `seconds`."""
    answer_kept: bool
    """Whether there is still a call left for an answer."""


@_event
class Nudged(Event):
    """The model was told of something it should do differently."""

    reason: str


@_event
class Forced(Event):
    """The model will have to answer in the next step."""

    reason: str


@_event
class PluginFailed(Event):
    """A plug-in raised. The run goes on as if the plug-in had done nothing there."""

    plugin: str
    where: str
    """`bind`, `step`, `model`, `tool`, `unbind`, `feedback`, `pending` or `background`; `on_event` for who watches the
    run."""
    error: str


@_event
class RunFinished(Event):
    """The run is over."""

    result: "RunResult[Any]"
