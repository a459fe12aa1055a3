"""Blocking functions off the event loop."""

import asyncio
import contextlib
import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["run_in_thread"]

T = TypeVar("T")


async def run_in_thread(function: Callable[[], T]) -> T:
    """Call a function in a thread of its own.

    The thread is a daemon: a function that never returns holds up neither other calls nor the end of the program, as
    it would in a shared pool. When the caller is cancelled the function goes on, and its result is thrown away.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    context = contextvars.copy_context()

    def settle(result: T | None, error: BaseException | None) -> None:
        if future.done():
            return
        if error is None:
            future.set_result(result)  # type: ignore[arg-type]
        elif isinstance(error, StopIteration):  # a future does not take it
            future.set_exception(RuntimeError(f"raised StopIteration: {error}"))
        else:
            future.set_exception(error)

    def work() -> None:
        result, error = None, None
        try:
            result = context.run(function)
        except BaseException as raised:  # noqa: BLE001 - handed to the caller, whatever it is
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop was closed while the function ran
            loop.call_soon_threadsafe(settle, result, error)

    threading.Thread(target=work, name="agentinfer", daemon=True).start()
    return await future
