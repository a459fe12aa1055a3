"""What all clients share: the question, the tool, and how a client is measured."""

import asyncio
import gc
import json
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from itertools import pairwise
from pathlib import Path
from typing import Any

INSTRUCTIONS = "You look things up, one record at a time, and then answer in one sentence."
QUESTION = "What do the records say?"
RECORD = "This is what the record holds, and it is not much more than a few words that stand for many others. " * 4
LOOKUP: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "lookup",
        "description": "Look up one record by its number.",
        "parameters": {
            "type": "object",
            "properties": {"record": {"type": "integer", "description": "The number of the record."}},
            "required": ["record"],
        },
    },
}

Ask = Callable[[], Awaitable[str]]
"""Runs one agent from the question to its answer."""
Opened = Callable[[str], AbstractAsyncContextManager[Ask]]
"""Gets a client ready for an endpoint."""

marks: list[float] = []
"""The process's CPU time at each call of the tool."""


def look_up(record: int) -> str:
    """The tool: every client has it, wrapped as its library wants it."""
    marks.append(time.process_time())
    return f"Record {record}: {RECORD}"


def measure(opened: Opened) -> None:
    """Measure a client as the command line asks, and print the result as JSON."""
    settings: dict[str, Any] = json.loads(sys.argv[1])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    modes = {"steps": _steps, "history": _history, "crowd": _crowd, "waiting": _waiting}
    result = asyncio.run(modes[settings["mode"]](opened, settings))
    print(json.dumps(result), flush=True)
    os._exit(0)  # agents may still wait for an endpoint that never answers


async def _steps(opened: Opened, settings: dict[str, Any]) -> dict[str, float]:
    """Milliseconds of CPU per step: one agent at a time, again and again."""
    calls, runs = settings["calls"], settings["runs"]
    async with opened(f"{settings['server']}/calls/{calls}/v1") as ask:
        for _ in range(settings["warm_ups"]):
            await _checked(ask, calls)
        started = time.process_time()
        for _ in range(runs):
            await _checked(ask, calls)
        spent = time.process_time() - started
    return {"ms_per_step": 1000 * spent / (runs * (calls + 1))}


async def _history(opened: Opened, settings: dict[str, Any]) -> dict[str, float]:
    """Milliseconds of CPU of a step early and late in a long run: from one call of the tool to the next."""
    turns, span = settings["turns"], settings["span"]
    async with opened(f"{settings['server']}/calls/10/v1") as ask:
        await _checked(ask, 10)
    early, late = [], []
    async with opened(f"{settings['server']}/calls/{turns + span}/v1") as ask:
        for _ in range(settings["runs"]):
            await _checked(ask, turns + span)
            steps = [after - before for before, after in pairwise(marks)]
            early += steps[:span]  # from one past turn on
            late += steps[-span:]
    return {"early_ms": 1000 * sum(early) / len(early), "late_ms": 1000 * sum(late) / len(late)}


async def _crowd(opened: Opened, settings: dict[str, Any]) -> dict[str, float]:
    """Milliseconds of CPU per step with many agents at work at once."""
    calls, agents = settings["calls"], settings["agents"]
    async with opened(f"{settings['server']}/calls/{calls}/v1") as ask:
        await _checked(ask, calls)
        marks.clear()
        started, began = time.process_time(), time.perf_counter()
        answers = await asyncio.gather(*(ask() for _ in range(agents)))
        spent, took = time.process_time() - started, time.perf_counter() - began
    if not all("looked up" in answer for answer in answers) or len(marks) != agents * calls:
        raise RuntimeError(f"{len(marks)} tool calls instead of {agents * calls}")
    return {"ms_per_step": 1000 * spent / (agents * (calls + 1)), "seconds": took}


async def _waiting(opened: Opened, settings: dict[str, Any]) -> dict[str, float]:
    """KiB of memory per agent that waits for an endpoint which does not answer."""
    agents = settings["agents"]
    async with opened(f"{settings['server']}/calls/1/v1") as ask:
        await _checked(ask, 1)
    async with opened(f"{settings['server']}/silent/v1") as ask:
        gc.collect()
        before = _resident()
        tasks = [asyncio.ensure_future(ask()) for _ in range(agents)]
        spent = -1.0
        while time.process_time() - spent > 0.01:  # until nothing happens any more
            spent = time.process_time()
            await asyncio.sleep(0.5)
        failed = [task for task in tasks if task.done()]
        if failed:
            raise RuntimeError(f"{len(failed)} agents did not wait: {failed[0].exception()!r}")
        grown = _resident() - before
        result = {"kib_per_agent": grown / 1024 / agents}
        print(json.dumps(result), flush=True)
        os._exit(0)


async def _checked(ask: Ask, calls: int) -> None:
    marks.clear()
    answer = await ask()
    if "looked up" not in answer or len(marks) != calls:
        raise RuntimeError(f"{len(marks)} tool calls instead of {calls}, then {answer!r}")


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
