"""Work beside the loop: started here, drained or cancelled here, never lost."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from agentinfer.calls import Calls
from agentinfer.events import Event, PluginFailed
from agentinfer.ledger import Ledger
from agentinfer.usage import Usage

__all__ = ["Background", "Tasks"]


class Tasks:
    """Tasks that somebody owns.

    Args:
        failed: Told of a task that raised.
    """

    def __init__(self, failed: Callable[[str, BaseException], None]) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed = failed

    def spawn(self, work: Coroutine[Any, Any, Any], *, name: str) -> None:
        """Start work beside the loop."""
        task = asyncio.create_task(self._run(work, name), name=name)
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._tasks.discard(task)
            work.close()  # it may have been cancelled before it began

        task.add_done_callback(done)

    async def _run(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        try:
            await work
        except Exception as error:  # noqa: BLE001 - work beside the loop never takes the loop down
            self._failed(name, error)

    def __len__(self) -> int:
        return len(self._tasks)

    async def drain(self) -> None:
        """Wait until all work is done, also work that this work starts."""
        while tasks := self._here():
            await asyncio.wait(tasks)

    async def cancel(self) -> None:
        """Stop all work, and wait until it has stopped."""
        while tasks := self._here():
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    def _here(self) -> list[asyncio.Task[None]]:
        """The tasks of the running loop; those of a loop that is gone are gone with it."""
        loop = asyncio.get_running_loop()
        self._tasks = {task for task in self._tasks if not task.get_loop().is_closed()}
        return [task for task in self._tasks if task.get_loop() is loop and not task.done()]


class Background:
    """Work of a plug-in that may outlive a run: learning from it, building an index.

    A plug-in keeps one in its attribute `background`. `async with agent` waits for it, `agent.usage` counts it, and
    it has a budget of its own.

    Args:
        name: The plug-in's name.
        tokens: Tokens that its model calls may take in all.
        cost: Money that they may take.
    """

    def __init__(self, name: str, *, tokens: int | None = None, cost: float | None = None) -> None:
        self.name = name
        self.events: list[Event] = []
        """What happened in the background, the latest thousand events."""
        self.calls = Calls(Ledger(), trunk=f"background/{name}", emit=self.emit, tokens=tokens, cost=cost)
        """Model calls go through `calls.make`, with a purpose of their own."""
        self._tasks = Tasks(lambda where, error: self.emit(_failure(where, error)))

    @property
    def usage(self) -> Usage:
        """What its model calls spent."""
        return self.calls.usage

    def spawn(self, work: Coroutine[Any, Any, Any], *, name: str | None = None) -> None:
        """Start work that may outlive the run; an exception in it is an event."""
        self._tasks.spawn(work, name=name or self.name)

    async def drain(self) -> None:
        """Wait until all work is done."""
        await self._tasks.drain()

    async def cancel(self) -> None:
        """Stop all work."""
        await self._tasks.cancel()

    def emit(self, event: Event) -> None:
        """Tell of something that happened in the background."""
        self.events.append(event)
        del self.events[:-1000]


def _failure(where: str, error: BaseException) -> PluginFailed:
    return PluginFailed(plugin=where, where="background", error=f"{type(error).__name__}: {error}")
