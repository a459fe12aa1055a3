"""Entering and leaving plug-ins: one that fails is done without."""

import asyncio
from contextlib import AsyncExitStack

from agentinfer.run import Run
from agentinfer.step import Middleware, Plugin

__all__ = ["bind"]

LEAVE_SECONDS = 10.0
"""How long a plug-in may take to leave a run."""


async def bind(run: Run, plugin: Plugin, name: str, stack: AsyncExitStack) -> Middleware | None:
    """Enter a plug-in, and leave it with the stack; nothing where it fails or takes the run's time."""
    left = run.limits.seconds and run.limits.seconds - run.limits.reserved_seconds - run.seconds
    try:
        context = plugin.bind(run)
        async with asyncio.timeout(left):
            middleware: object = await context.__aenter__()
    except Exception as error:  # noqa: BLE001 - a plug-in never takes the run down
        run.plugin_failed(name, "bind", error)
        return None

    async def leave() -> None:
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await context.__aexit__(None, None, None)
        except Exception as error:  # noqa: BLE001 - see above
            run.plugin_failed(name, "unbind", error)

    stack.push_async_callback(leave)
    if not isinstance(middleware, Middleware):  # the types say so, callers may not
        run.plugin_failed(name, "bind", TypeError(f"bind gave {middleware!r}, not a Middleware"))
        return None
    if callable(listener := getattr(plugin, "feedback", None)):
        run.listeners.append(listener)
    return middleware
