"""The one interface: middleware around the step, the model call and the tool call.

A plug-in is entered when a run starts and left when it ends. What it yields wraps the run's handlers like an onion:
the first plug-in is the outermost. A plug-in never takes the run down: if it raises before it has called its
handler, the handler runs on the request it was given; if after, the handler's result stands.
"""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from agentinfer.errors import AgentInferError, UserError
from agentinfer.models import Completion, Model, ModelRequest, Sampling
from agentinfer.output import Output
from agentinfer.protocol import ToolChoice
from agentinfer.tools import ToolResult, ToolSet
from agentinfer.transcript import Message, ToolCall, View
from agentinfer.usage import Usage

if TYPE_CHECKING:
    from agentinfer.run import Run

__all__ = [
    "GivenUp",
    "Middleware",
    "ModelHandler",
    "Plugin",
    "StepHandler",
    "StepRequest",
    "StepResult",
    "ToolHandler",
    "wrap",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRequest:
    """One step about to be made. Immutable: middleware changes it with `replace`."""

    index: int
    """Counted from 1."""
    model: Model
    """Who will be asked."""
    view: View
    """What the model will be sent. Changing it here lasts one step; `run.commit` lasts."""
    tools: ToolSet = field(default_factory=ToolSet)
    output: Output[Any] | None = None
    choice: ToolChoice = "auto"
    """`none`: the model has to answer."""
    sampling: Sampling | None = None
    """How the model is to write; `None`: as the model's own `sampling` says."""
    cause: str | None = None
    """Why the view does not continue what was sent before, where it does not."""

    def replace(self, **changes: Any) -> "StepRequest":
        """This request with some fields changed."""
        return dataclasses.replace(self, **changes)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepResult:
    """One step made."""

    index: int
    """Counted from 1."""
    model: str
    """The name of the model that was asked."""
    message: Message
    """What the model wrote."""
    results: tuple[ToolResult, ...] = ()
    """One per tool call, in the order of the calls."""
    answer: str | None = None
    """The text of the answer, where the step gave one."""
    problem: str | None = None
    """What was wrong with the reply, as the model was told."""
    usage: Usage = field(default_factory=Usage)
    """Of the step's own model call."""
    seconds: float = 0.0
    """Wall time of the whole step."""
    model_seconds: float = 0.0
    """Of its model call, retries left out."""
    tool_seconds: float = 0.0
    """Of its tool calls, which run side by side."""

    def replace(self, **changes: Any) -> "StepResult":
        """This result with some fields changed."""
        return dataclasses.replace(self, **changes)


StepHandler = Callable[[StepRequest], Awaitable[StepResult]]
ModelHandler = Callable[[ModelRequest], Awaitable[Completion]]
ToolHandler = Callable[[ToolCall], Awaitable[ToolResult]]


class Middleware:
    """What a plug-in does in one run. Override what you need; each method is an onion around its handler."""

    async def step(self, request: StepRequest, handler: StepHandler) -> StepResult:
        """Think, act, observe. Call the handler at most once: a step that has run tools is never run again.

        Raises:
            ModelError: The step's model call failed for good, which ends the run.
        """
        return await handler(request)

    async def model(self, request: ModelRequest, handler: ModelHandler) -> Completion:
        """One model call of the loop. The handler may be called again: repeating and falling over belong here.

        Raises:
            ModelError: The call failed for good, which ends the run.
        """
        return await handler(request)

    async def tool(self, call: ToolCall, handler: ToolHandler) -> ToolResult:
        """One tool call. Call the handler at most once. What it gives is the call's one result; it never raises."""
        return await handler(call)


class Plugin(Protocol):
    """Something that takes part in runs. One object serves many runs at once.

    What runs share lives in the plug-in, what belongs to one run in what `bind` yields.

    Optional: an attribute `background` (a `Background`) is drained by `async with agent` and counted in `agent.usage`;
    a coroutine method `feedback(run, feedback)` hears `run.feedback`.
    """

    def bind(self, run: "Run") -> AbstractAsyncContextManager[Middleware]:
        """Entered when a run starts, left when it ends."""


Request = TypeVar("Request")
Result = TypeVar("Result")


class GivenUp(AgentInferError):
    """A plug-in stopped its handler at work, which must not run twice: there is no result."""


@dataclass(slots=True)
class _Call(Generic[Result]):
    """What became of the handler in one pass through one layer."""

    calls: int = 0
    finished: bool = False
    result: Result | None = None
    error: BaseException | None = None


def wrap(
    layers: Sequence[tuple[str, Callable[[Request, Callable[[Request], Awaitable[Result]]], Awaitable[Result]]]],
    handler: Callable[[Request], Awaitable[Result]],
    result_type: type[Result],
    *,
    once: bool,
    failed: Callable[[str, BaseException], None],
) -> Callable[[Request], Awaitable[Result]]:
    """A handler wrapped in layers, the first outermost, none of which can take the run down.

    Args:
        layers: The name of each plug-in, and its method.
        handler: The innermost handler.
        result_type: What a layer has to return.
        once: Whether each layer may call its handler only once.
        failed: Told of the plug-ins that raised.
    """
    for name, method in reversed(layers):
        handler = _layer(name, method, handler, result_type, once=once, failed=failed)
    return handler


def _layer(
    name: str,
    method: Callable[[Request, Callable[[Request], Awaitable[Result]]], Awaitable[Result]],
    handler: Callable[[Request], Awaitable[Result]],
    result_type: type[Result],
    *,
    once: bool,
    failed: Callable[[str, BaseException], None],
) -> Callable[[Request], Awaitable[Result]]:
    async def guarded(request: Request) -> Result:
        inner: _Call[Result] = _Call()
        cancellations = _cancellations()

        async def watched(request: Request) -> Result:
            inner.calls += 1
            if once and inner.calls > 1:
                raise UserError(f"{name} called its handler twice: what has run tools is never run again")
            inner.finished, inner.error = False, None
            try:
                inner.result = await handler(request)
            except BaseException as error:
                inner.error = error
                raise
            inner.finished = True
            return inner.result

        try:
            result = _checked(await method(request, watched), result_type, name)
        except (Exception, asyncio.CancelledError) as error:
            if _cancellations() > cancellations:  # stopped from outside, whatever the plug-in has made of it
                raise asyncio.CancelledError from None
            if error is inner.error:
                raise
            failed(name, error)
            if inner.error is not None and not isinstance(inner.error, asyncio.CancelledError):
                raise inner.error from None
            if inner.finished:
                assert inner.result is not None
                return inner.result
            if inner.calls and once:
                raise GivenUp(f"{name} stopped it at work: {type(error).__name__} {error}".strip()) from error
            return await handler(request)
        if _cancellations() > cancellations:
            raise asyncio.CancelledError  # a plug-in that swallows a cancellation does not stop it
        return result

    return guarded


def _checked(result: Result, result_type: type[Result], name: str) -> Result:
    if not isinstance(result, result_type):
        raise TypeError(f"{name} returned {type(result).__name__} instead of {result_type.__name__}")
    return result


def _cancellations() -> int:
    """How often the current task was cancelled; it may have survived some before it came here."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()
