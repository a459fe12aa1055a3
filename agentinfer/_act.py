"""Acting: the tool calls of one step, side by side, each with exactly one result."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from agentinfer.tools import ToolResult
from agentinfer.transcript import ToolCall

__all__ = ["act", "cancelled_result"]


async def act(
    calls: Sequence[ToolCall], handler: Callable[[ToolCall], Awaitable[ToolResult]], results: list[ToolResult]
) -> None:
    """Run the calls side by side.

    Args:
        calls: The calls.
        handler: Runs one of them.
        results: Holds one result per call, in order, whatever happens: a call that was stopped says so.
    """
    results[:] = [cancelled_result(call) for call in calls]

    async def run(position: int) -> None:
        results[position] = await handler(calls[position])

    if len(calls) == 1:
        await run(0)
        return
    async with asyncio.TaskGroup() as group:
        for position in range(len(calls)):
            group.create_task(run(position), name=f"tool {calls[position].name}")


def cancelled_result(call: ToolCall) -> ToolResult:
    """The result of a call that was not run to its end."""
    return ToolResult(
        call=call,
        content="This call was stopped before it had a result; it may have taken effect.",
        outcome="cancelled",
        trust="instruction",
    )
