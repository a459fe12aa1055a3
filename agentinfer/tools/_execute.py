"""Running one tool call: validation, time-out, resources, and a result that the model can be shown."""

import asyncio
import inspect
import time
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic_core import to_json

from agentinfer._threads import run_in_thread
from agentinfer.errors import ToolError
from agentinfer.tools._context import ToolContext
from agentinfer.tools._fence import fence
from agentinfer.tools._tool import ArgumentsError, Tool, ToolSet
from agentinfer.transcript import Message, ToolCall, Trust

__all__ = ["Outcome", "ResourceLocks", "ToolResult", "execute"]

Outcome = Literal["ok", "failed", "timeout", "bad_arguments", "unknown_tool", "repeated", "cancelled"]
"""`repeated`: answered from the loop, without running the tool again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolResult:
    """What one tool call came to."""

    call: ToolCall
    content: str
    """The text the model is shown."""
    outcome: Outcome = "ok"
    value: Any = field(default=None, repr=False)
    """What the function returned, before it was made text."""
    handle: str | None = None
    """The handle of the full text in the run's workspace, where `content` is only a part of it."""
    trust: Trust = "data"
    """Whether the content is material, or may tell the model what to do."""
    fenced: bool = False
    """Whether the history holds the content between two lines that mark it as material."""
    seconds: float = 0.0
    """What the function took, without waiting for its resources."""

    def message(self, nonce: str = "") -> Message:
        """This result as an entry of the history, fenced with the run's nonce where it has to be."""
        fenced = self.fenced and nonce and self.trust == "data"
        return Message.tool(self.call, fence(self.content, nonce) if fenced else self.content, trust=self.trust)


class ResourceLocks:
    """One lock per resource name and event loop."""

    def __init__(self) -> None:
        self._locks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, asyncio.Lock]] = (
            weakref.WeakKeyDictionary()
        )

    @asynccontextmanager
    async def hold(self, resources: frozenset[str]) -> AsyncIterator[None]:
        """Hold all of these resources; taken in one order everywhere, so that no two calls wait for each other."""
        locks = self._locks.setdefault(asyncio.get_running_loop(), {})
        async with AsyncExitStack() as stack:
            for name in sorted(resources):
                await stack.enter_async_context(locks.setdefault(name, asyncio.Lock()))
            yield


async def execute(tools: ToolSet, call: ToolCall, context: ToolContext, locks: ResourceLocks) -> ToolResult:
    """Run one call to its result; only cancellation is raised.

    Args:
        tools: What may be called.
        call: The call, whatever the model wrote in it.
        context: For tools that ask for it.
        locks: What serialises tools that share a resource.
    """
    tool = tools.get(call.name)
    if tool is None:
        known = ", ".join(tools) or "none"
        return ToolResult(
            call=call,
            content=f"There is no tool {call.name!r}. Tools: {known}",
            outcome="unknown_tool",
            trust="instruction",
        )
    try:
        arguments = tool.parse(call.arguments)
    except ArgumentsError as error:
        return ToolResult(call=call, content=str(error), outcome="bad_arguments", trust="instruction")
    started = time.perf_counter()
    cancellations = _cancellations()
    outcome: Outcome = "ok"
    value: Any = None
    try:
        if tool.resources:
            async with locks.hold(tool.resources):
                started = time.perf_counter()
                value = await _call(tool, arguments, context)
        else:
            value = await _call(tool, arguments, context)
    except _TimedOut:
        outcome, value = "timeout", f"{tool.name} did not answer within {tool.timeout:g} seconds and was stopped."
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:  # whatever a tool raises becomes its result
        if isinstance(error, asyncio.CancelledError) and _cancellations() > cancellations:
            raise
        outcome, value = "failed", _error_text(tool, error)
    seconds = time.perf_counter() - started
    text, suffix = _as_text(value, tool.render if outcome == "ok" else None)
    handle = None
    if len(text) > tool.max_chars or suffix != ".txt":
        text, handle = await _cap(tool, text, suffix, value, context)
    return ToolResult(
        call=call,
        content=text,
        outcome=outcome,
        value=value,
        handle=handle,
        trust=tool.trust,
        fenced=tool.fenced,
        seconds=seconds,
    )


def _cancellations() -> int:
    """How often the current task was cancelled; a tool may also await what somebody else has cancelled."""
    task = asyncio.current_task()
    return 0 if task is None else task.cancelling()


class _TimedOut(Exception):
    """Our time-out passed, as opposed to a TimeoutError of the tool's own."""


async def _call(tool: Tool, arguments: dict[str, Any], context: ToolContext) -> Any:
    if tool.context_parameter:
        arguments[tool.context_parameter] = context
    function = tool.function
    is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - the method itself is wanted
    )
    watch = asyncio.timeout(tool.timeout)
    try:
        async with watch:
            if is_async:
                return await function(**arguments)
            value = await run_in_thread(lambda: function(**arguments))
            return await value if inspect.isawaitable(value) else value  # a plain function around an async one
    except TimeoutError:
        if watch.expired():
            raise _TimedOut from None
        raise


def _error_text(tool: Tool, error: BaseException) -> str:
    if isinstance(error, ToolError):
        return str(error)
    detail = f": {error}" if str(error) else ""
    return f"{tool.name} failed with {type(error).__name__}{detail}"


def _as_text(value: Any, render: Callable[[Any], str] | None) -> tuple[str, str]:
    """What a tool returned as text, and the file suffix it would be kept under."""
    if render is not None:
        try:
            value = render(value)
        except Exception as error:  # noqa: BLE001 - the value itself is still there to be shown
            value = f"{value} (could not be rendered: {error})"
    if isinstance(value, str):
        return value, ".txt"
    if value is None:
        return "(no result)", ".txt"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"(binary data, {len(bytes(value)):,} bytes)", ".bin"
    try:
        return to_json(value, fallback=str, inf_nan_mode="constants").decode(errors="replace"), ".txt"
    except Exception:  # noqa: BLE001 - an object whose own str() fails
        return f"(a {type(value).__name__} that cannot be shown as text)", ".txt"


async def _cap(tool: Tool, text: str, suffix: str, value: Any, context: ToolContext) -> tuple[str, str | None]:
    """Keep the full result in the workspace, and show its head and tail."""
    content = bytes(value) if suffix == ".bin" else text.encode(errors="replace")
    try:
        handle = await run_in_thread(lambda: context.workspace.keep(content, suffix=suffix))
        where = f"full result kept as {handle}"
    except OSError as error:
        handle, where = None, f"full result could not be kept: {error.strerror or error}"
    if suffix == ".bin":
        return f"{text} ({where})", handle
    head, tail = tool.max_chars * 3 // 4, tool.max_chars // 4
    left_out = len(text) - head - tail
    return f"{text[:head]}\n[... {left_out:,} characters left out; {where} ...]\n{text[len(text) - tail :]}", handle
