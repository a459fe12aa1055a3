"""Who is using a model's connections, and whose turn it is."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext

from agentinfer.errors import CallTimeout
from agentinfer.models._backend import Connection

__all__ = ["Session"]


class Session:
    """A model's connections on one event loop: opened by the first who needs them, closed by the last."""

    def __init__(self, max_concurrency: int | None) -> None:
        self._users = 0
        self._stack = AsyncExitStack()
        self._opening = asyncio.Lock()
        self._connection: Connection | None = None
        self._turns = asyncio.Semaphore(max_concurrency) if max_concurrency else None

    async def enter(self, opener: Callable[[AsyncExitStack], Awaitable[Connection]]) -> None:
        """Come in; the first one opens."""
        self._users += 1
        if self._connection is not None:
            return
        try:
            async with self._opening:
                if self._connection is None:
                    self._connection = await opener(self._stack)
        except BaseException:
            await self.leave()
            raise

    async def leave(self) -> None:
        """Go; the last one closes."""
        self._users -= 1
        if self._users == 0:
            self._connection = None
            stack, self._stack = self._stack, AsyncExitStack()
            await stack.aclose()

    def turn(self, deadline: float | None) -> AbstractAsyncContextManager[Connection]:
        """The connection, when it is this call's turn.

        Args:
            deadline: The loop's time until which to wait for it.

        Raises:
            CallTimeout: It was not this call's turn in time.
        """
        assert self._connection is not None
        if self._turns is None:
            return nullcontext(self._connection)
        return self._wait(self._turns, self._connection, deadline)

    @asynccontextmanager
    async def _wait(
        self, turns: asyncio.Semaphore, connection: Connection, deadline: float | None
    ) -> AsyncIterator[Connection]:
        try:
            async with asyncio.timeout_at(deadline):
                await turns.acquire()
        except TimeoutError:
            raise CallTimeout("The call had no turn before its deadline", phase="call") from None
        try:
            yield connection
        finally:
            turns.release()
