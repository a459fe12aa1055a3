"""Many runs of one agent leave nothing behind: no connection, descriptor, task or thread, and no memory."""

import asyncio
import gc
import itertools
import os
import random
import statistics
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

import pytest

from agentinfer import Agent, Limits, Model, tool
from agentinfer.ledger import Ledger
from agentinfer.models import RetryPolicy, Timeouts

from ._endpoint import TOOLS, question
from ._faults import FAULTS, Fault
from ._proxy import FaultProxy

AT_ONCE = 10
"""Runs at work at the same time."""
DIFFERENT = 40
"""Questions that are asked over and over, so that caches of bounded size are full before memory is looked at."""
QUICK = ("reset", "truncate_head", "storm", "duplicate", "split", "unasked", "early_close")
"""Faults that are noticed without waiting for a time-out."""


async def many(runs: int, start: Callable[[int], Coroutine[Any, Any, Any]]) -> list[int]:
    """Make so many runs; the memory in use after each tenth of them, in blocks of the interpreter's allocator."""
    numbers = itertools.count()
    in_use = []

    async def work(until: int) -> None:
        while (number := next(numbers)) < until:
            await start(number)

    for tenth in range(1, 11):
        until = runs * tenth // 10
        await asyncio.gather(*(work(until) for _ in range(AT_ONCE)))
        numbers = itertools.count(until)
        gc.collect()
        in_use.append(sys.getallocatedblocks())
    return in_use


def agent_at(url: str, protocol: str, transport: Any) -> Agent:
    """An agent with the tools that the endpoint's model calls."""

    async def act(key: str) -> str:
        return f"done {key}"

    model = Model(
        "m",
        base_url=url,
        protocol=protocol,  # type: ignore[arg-type]
        transport=transport,
        timeouts=Timeouts(first_token=10.0, between_tokens=10.0),
        retry=RetryPolicy(attempts=3, first_delay=0.001, max_delay=0.002, max_retry_after=0.1),
    )
    tools = [tool(name=name, description="Act.", bounded=True)(act) for name in TOOLS]
    # A ledger remembers what it was told to: here so little that it is full before memory is looked at.
    return Agent(model, tools=tools, limits=Limits(steps=8), ledger=Ledger(max_blocks=100))


def held() -> tuple[set[str], set[Any], set[Any]]:
    """Descriptors, tasks and threads."""
    return set(os.listdir("/dev/fd")), asyncio.all_tasks(), set(threading.enumerate())


def growth(in_use: list[int]) -> float:
    """Blocks of memory that a tenth of the runs adds, once all is warm; a single step is no leak."""
    return statistics.median(later - earlier for earlier, later in itertools.pairwise(in_use[3:]))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("transport", ["httpx", "httptools"])
async def test_500_runs_under_faults_leave_nothing(transport: str, urls: Mapping[str, str]) -> None:
    def fault_of(number: int) -> Fault | None:
        rng = random.Random(number)
        return FAULTS[rng.choice(QUICK)] if rng.random() < 0.3 else None

    before = held()
    cancelled = 0
    async with FaultProxy(urls["native"], fault_of=fault_of) as proxy:
        agent = agent_at(proxy.base_url, "native", transport)

        async def one(number: int) -> None:
            nonlocal cancelled
            asked = question(number % DIFFERENT, number % 3)
            if number % 5:
                await agent.run(asked)
                return
            events, stop_at = itertools.count(), number // 5 % 12

            def cancel(_: object) -> None:
                if next(events) == stop_at:
                    run.cancel()

            run = asyncio.create_task(agent.run(asked, on_event=cancel))
            await asyncio.wait([run])
            cancelled += run.cancelled()

        async with agent:
            in_use = await many(250, one)
            assert len(proxy.open) <= 2 * AT_ONCE
        await asyncio.wait_for(proxy.closed(), 10)
    assert held() == before
    assert cancelled > 20
    assert proxy.struck > 100
    assert growth(in_use) < 250, in_use  # ten a run; a run that is kept is hundreds


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("runs", [500, pytest.param(10_000, marks=pytest.mark.slow)])
@pytest.mark.parametrize("transport", ["httpx", "httptools"])
async def test_memory_stays_flat(transport: str, runs: int, urls: Mapping[str, str], figures: list[str]) -> None:
    async def one(number: int) -> None:
        result = await agent.run(question(number % DIFFERENT, 1))
        assert result.stop_reason == "answered"

    agent = agent_at(urls["tagged"], "tagged", transport)
    started = time.perf_counter()
    async with agent:
        in_use = await many(runs, one)
    if runs >= 10_000:
        shown = ", ".join(f"{blocks:,}" for blocks in in_use)
        figures.append(f"{runs:,} runs, {transport}, {time.perf_counter() - started:.0f} s: blocks in use {shown}")
    assert growth(in_use) < 50, in_use
