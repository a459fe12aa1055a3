"""The tool with which a model reads on in a result it was shown only a part of."""

from functools import cache

from agentinfer._threads import run_in_thread
from agentinfer.tools._context import ToolContext
from agentinfer.tools._tool import Tool, tool

__all__ = ["read_result"]

PIECE = 8_000
"""Characters of one piece."""


async def _read_result(handle: str, context: ToolContext, start: int = 0) -> str:
    """Read on in a long result that was kept.

    Args:
        handle: The name it was kept under, such as result-1.
        context: Filled in by the runtime.
        start: The character to start at.
    """
    piece = await run_in_thread(lambda: context.workspace.read(handle, start, PIECE + 1))
    if len(piece) > PIECE:
        return f"{piece[:PIECE]}\n[... more at start={start + PIECE}]"
    return piece or "(nothing there: start is past the end)"


@cache
def read_result() -> Tool:
    """The tool, made when it is first needed."""
    return tool(name="read_result", max_chars=PIECE + 100, bounded=True, fenced=True)(_read_result)
