"""A run's events as an async generator."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable

from agentinfer.events import Event

__all__ = ["stream_events"]


async def stream_events(
    start: Callable[[Callable[[Event], None]], Awaitable[object]],
) -> AsyncGenerator[Event, None]:
    """Start a run and give its events as they come; leaving the generator cancels the run.

    Args:
        start: Runs to the end, and tells the function it is given of every event.
    """
    queue: asyncio.Queue[Event | None] = asyncio.Queue()

    async def run() -> None:
        try:
            await start(queue.put_nowait)
        finally:
            queue.put_nowait(None)

    task = asyncio.create_task(run(), name="agentinfer stream")
    try:
        while (event := await queue.get()) is not None:
            yield event
        await task
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # raised above, or of no interest to who has left
