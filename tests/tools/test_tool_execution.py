"""Running tools."""

import asyncio
import contextvars
import errno
import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentinfer import Tool, ToolCall, ToolContext, ToolError, ToolResult, ToolSet, tool
from agentinfer.tools import ResourceLocks, Workspace, execute, read_result

LOCKS = ResourceLocks()


def context_for(workspace: Workspace | None = None) -> ToolContext:
    return ToolContext(run_id="run", call_id="call", session="s", tenant="t", workspace=workspace or Workspace())


async def run(made: Tool, context: ToolContext | None = None, locks: ResourceLocks = LOCKS, **given: Any) -> ToolResult:
    call = ToolCall("1", made.name, json.dumps(given))
    return await execute(ToolSet([made]), call, context or context_for(), locks)


async def test_sync_tools_leave_the_loop_free() -> None:
    release = threading.Event()

    @tool
    def wait() -> str:
        """Wait for the loop."""
        return "released" if release.wait(10) else "stuck"

    task = asyncio.create_task(run(wait))
    await asyncio.sleep(0)
    release.set()
    assert (await task).content == "released"


async def test_context_variables_are_seen_in_sync_tools() -> None:
    variable = contextvars.ContextVar("variable", default="outside")

    @tool
    def read() -> str:
        """Read."""
        return variable.get()

    variable.set("inside")
    assert (await run(read)).content == "inside"


async def test_a_tool_that_wants_it_gets_the_context() -> None:
    @tool
    async def who(context: ToolContext, name: str) -> str:
        """Who."""
        return f"{name} {context.tenant} {context.session} {context.call_id}"

    assert (await run(who, name="x")).content == "x t s call"


@pytest.mark.parametrize("sync", [True, False])
async def test_a_timeout_is_told(sync: bool) -> None:
    release = threading.Event()

    @tool(timeout=0.01)
    def hung() -> str:
        """Hung."""
        release.wait()
        return ""

    @tool(timeout=0.01)
    async def hung_async() -> str:
        """Hung."""
        await asyncio.Event().wait()
        return ""

    try:
        result = await run(hung if sync else hung_async)
    finally:
        release.set()
    assert result.outcome == "timeout"
    assert "0.01 seconds" in result.content


async def test_a_timeout_of_the_tools_own_is_a_failure() -> None:
    @tool
    async def asks() -> str:
        """Ask."""
        raise TimeoutError("database")

    assert (await run(asks)).outcome == "failed"


class Strange(BaseException):
    """Such as a panic in an extension module."""


@pytest.mark.parametrize(
    "error",
    [ToolError("no"), KeyError("x"), StopIteration(1), SystemExit(2), Strange("panic"), asyncio.CancelledError()],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("sync", [True, False])
async def test_whatever_a_tool_raises_is_its_result(error: BaseException, sync: bool) -> None:
    @tool
    def fails() -> str:
        """Fail."""
        raise error

    @tool
    async def fails_async() -> str:
        """Fail."""
        raise error

    assert (await run(fails if sync else fails_async)).outcome == "failed"


async def test_the_words_of_a_tool_error_are_the_result() -> None:
    @tool
    def fails() -> str:
        """Fail."""
        raise ToolError("ask for less")

    assert (await run(fails)).content == "ask for less"


async def test_a_plain_function_around_an_async_one_is_awaited() -> None:
    async def inner(at: int) -> str:
        return f"seen {at}"

    @tool
    def outer(at: int) -> Any:
        """Look."""
        return inner(at)

    assert (await run(outer, at=1)).content == "seen 1"


async def test_calls_that_share_a_resource_follow_each_other() -> None:
    inside = most = 0

    @tool(resources=["disk"])
    async def use(number: int) -> int:
        """Use."""
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        for _ in range(3):
            await asyncio.sleep(0)
        inside -= 1
        return number

    await asyncio.gather(*(run(use, number=number) for number in range(5)))
    assert most == 1


async def test_calls_without_a_shared_resource_run_side_by_side() -> None:
    barrier = asyncio.Barrier(3)

    @tool
    async def meet(number: int) -> int:
        """Meet."""
        await barrier.wait()
        return number

    results = await asyncio.gather(*(run(meet, number=number) for number in range(3)))
    assert {result.outcome for result in results} == {"ok"}


async def test_resources_taken_in_any_order_do_not_lock_up() -> None:
    @tool(resources=["a", "b"])
    async def one() -> str:
        """One."""
        await asyncio.sleep(0)
        return ""

    @tool(resources=["b", "a"])
    async def two() -> str:
        """Two."""
        await asyncio.sleep(0)
        return ""

    await asyncio.wait_for(asyncio.gather(*(run(made) for made in (one, two) * 5)), 5)


# Results


class Unshowable:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("text", "text"),
        ("", ""),
        (None, "(no result)"),
        ({"a": [1, None]}, '{"a":[1,null]}'),
        (float("nan"), "NaN"),
        (Path("/x"), '"/x"'),
        (Unshowable(), "(a Unshowable that cannot be shown as text)"),
    ],
)
async def test_what_is_returned_becomes_text(value: Any, text: str) -> None:
    @tool
    def give() -> Any:
        """Give."""
        return value

    result = await run(give)
    assert (result.content, result.outcome) == (text, "ok")
    assert result.value is value


async def test_binary_data_is_kept_and_named() -> None:
    @tool
    def give() -> bytes:
        """Give."""
        return bytes(range(256))

    workspace = Workspace()
    result = await run(give, context_for(workspace))
    assert result.content == "(binary data, 256 bytes) (full result kept as result-1)"
    assert workspace.path("result-1").read_bytes() == bytes(range(256))


async def whole_text(workspace: Workspace, handle: str) -> str:
    """All pieces of a kept text, read as a model would."""
    text, start = "", 0
    while True:
        piece = (await run(read_result(), context_for(workspace), handle=handle, start=start)).content
        piece, more, _ = piece.partition("\n[... more at start=")
        text, start = text + piece, start + len(piece)
        if not more:
            return text


LINES = st.lists(st.sampled_from(["a\r\n", "b\n", "\r", "é", "漢字 ", "x" * 3000]), min_size=1, max_size=12).map(
    "".join
)


@settings(max_examples=25)
@given(LINES)
async def test_the_pieces_of_a_long_result_add_up(text: str) -> None:
    workspace = Workspace()
    handle = workspace.keep(text.encode())
    assert await whole_text(workspace, handle) == text


async def test_a_huge_result_is_capped_with_its_ends() -> None:
    @tool(max_chars=1000)
    def give() -> str:
        """Give."""
        return "a" * 5_000_000 + "b" * 5_000_000

    workspace = Workspace()
    result = await run(give, context_for(workspace))
    assert len(result.content) < 1100
    assert result.content.startswith("a" * 750)
    assert result.content.endswith("b" * 250)
    assert result.handle == "result-1"
    assert "9,999,000 characters left out" in result.content
    assert workspace.path("result-1").stat().st_size == 10_000_000


async def test_a_full_disk_costs_the_rest_of_a_result_only(monkeypatch: pytest.MonkeyPatch) -> None:
    @tool(max_chars=100)
    def give() -> str:
        """Give."""
        return "x" * 1000

    def full(path: Path, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    result = await run(give)
    assert (result.outcome, result.handle) == ("ok", None)
    assert "could not be kept: No space left" in result.content


async def test_an_unknown_handle_names_the_known_ones() -> None:
    workspace = Workspace()
    workspace.keep(b"x")
    result = await run(read_result(), context_for(workspace), handle="result-9")
    assert (result.outcome, "result-1" in result.content) == ("failed", True)


def test_a_temporary_workspace_goes_with_its_owner() -> None:
    workspace = Workspace()
    workspace.keep(b"x")
    folder = workspace.path("result-1").parent
    del workspace
    assert not folder.exists()


def test_a_hung_sync_tool_does_not_hold_up_the_end_of_the_program() -> None:
    program = """
import asyncio, threading
from agentinfer import ToolCall, ToolContext, ToolSet, tool
from agentinfer.tools import ResourceLocks, Workspace, execute

@tool(timeout=0.01)
def hung() -> str:
    "Hung."
    threading.Event().wait()

context = ToolContext(run_id="", call_id="", session=None, tenant=None, workspace=Workspace())
result = asyncio.run(execute(ToolSet([hung]), ToolCall("1", "hung", "{}"), context, ResourceLocks()))
print(result.outcome)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert (ended.stdout, ended.stderr) == ("timeout\n", "")
