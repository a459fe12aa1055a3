"""What a compression tells of itself."""

from dataclasses import dataclass

from agentinfer.events import Event
from agentinfer.transcript import ToolCall

__all__ = ["Compressed", "CompressionDropped", "CompressionStarted", "HitsFiltered", "NotesReady"]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CompressionStarted(Event):
    """T0: work on a snapshot begins beside the loop."""

    step: int
    """The step it begins beside."""
    reason: str
    """`pays` or `window`; `overflow`: the prompt did not fit, and is shortened at once."""
    results: int
    """Tool results that would go."""
    tokens: int
    """Of the prompt now."""
    turns: float
    """Turns still expected."""
    saving: float | None
    """Expected, in the currency of the prices, or in uncached prompt tokens where there are none."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class NotesReady(Event):
    """T1: the notes are written and checked, the new prefix was sent once; not yet in effect."""

    notes: int
    """Lines."""
    extracted: bool
    """Whether they are sentences of the results: no model was to write them, or what it wrote was not good enough."""
    struck: tuple[str, ...]
    """What no source had of what a model wrote: the sentences with it are gone."""
    prompt_tokens: int
    """Of the calls for the notes and for warming the prefix."""
    completion_tokens: int
    cost: float | None
    """Of the same calls."""
    prewarmed: bool
    seconds: float


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Compressed(Event):
    """T2: what is sent is shorter from now on."""

    step: int
    """The step it takes effect behind; `overflow`: in which."""
    reason: str
    """As in `CompressionStarted`."""
    results: int
    tokens_before: int
    tokens_after: int
    uncached_tokens: int
    """Of the new prompt: what the endpoint is expected to read anew."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class CompressionDropped(Event):
    """Work came to nothing: the history stays as it is."""

    reason: str
    """`late`, `stale`, or what failed."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class HitsFiltered(Event):
    """Search results were left out before any was opened."""

    call: ToolCall
    shown: tuple[str, ...]
    """Their ids or URLs, best first."""
    dropped: tuple[str, ...]
