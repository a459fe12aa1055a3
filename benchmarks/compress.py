"""Long sessions with and without compression, side by side: `python -m benchmarks.compress`.

Questions are asked one after the other in one session, against `compress_server`, an endpoint with stated speeds and a
real prefix cache in a process of its own, a fresh one for each side. The model that writes the notes is as fast.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentinfer import Agent, Limits, Middleware, Model, Pricing, Run, StepRequest, StepResult, Usage, tool
from agentinfer.compress import Compress
from agentinfer.events import PrefixBreak
from agentinfer.models import Completion, ModelRequest
from agentinfer.step import ModelHandler, Plugin, StepHandler
from benchmarks.compress_baselines import ClearOldResults, SummariseWhenFull, Truncate
from benchmarks.compress_server import asked_for, record

CHECKOUT = Path(__file__).resolve().parent.parent

Side = Callable[[Model], Plugin | None]

SIDES: dict[str, Side] = {
    "no compression": lambda small: None,
    "truncation": lambda small: Truncate(),
    "clear old results": lambda small: ClearOldResults(),
    "summarise when full": lambda small: SummariseWhenFull(),
    "Compress": lambda small: Compress(small=small),
    "Compress, own model": lambda small: Compress(),
    "Compress, extract": lambda small: Compress(notes="extract"),
    "- without reasoning": lambda small: Compress(small=small, reasoning=False),
    "- without notes": lambda small: Compress(notes="none"),
    "- without recent results": lambda small: Compress(small=small, recent=0),
}
"""Each side's plug-in; the last three are the ablations of the paper's table 9."""


@dataclass(slots=True)
class Clock:
    """How long steps and model calls took outside and inside of a plug-in."""

    outside: float = 0.0
    inside: float = 0.0

    def add_outside(self, seconds: float) -> None:
        """Count one more, timed outside."""
        self.outside += seconds

    def add_inside(self, seconds: float) -> None:
        """Count one more, timed inside."""
        self.inside += seconds

    @property
    def waiting(self) -> float:
        """Seconds that the loop spent in the plug-in itself."""
        return self.outside - self.inside


class Timer:
    """Times what it wraps."""

    def __init__(self, add: Callable[[float], None]) -> None:
        self._add = add

    @asynccontextmanager
    async def bind(self, run: Run) -> AsyncIterator[Middleware]:
        add = self._add

        class Timed(Middleware):
            async def step(self, request: StepRequest, handler: StepHandler) -> StepResult:
                started = time.perf_counter()
                try:
                    return await handler(request)
                finally:
                    add(time.perf_counter() - started)

        yield Timed()


class ModelTimer(Timer):
    """Times the model calls of what it wraps."""

    @asynccontextmanager
    async def bind(self, run: Run) -> AsyncIterator[Middleware]:
        add = self._add

        class Timed(Middleware):
            async def model(self, request: ModelRequest, handler: ModelHandler) -> Completion:
                started = time.perf_counter()
                try:
                    return await handler(request)
                finally:
                    add(time.perf_counter() - started)

        yield Timed()


@contextmanager
def serving(settings: dict[str, Any]) -> Iterator[tuple[str, dict[str, int]]]:
    """The endpoint in a process of its own: its address, and in the end what it saw."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.compress_server", json.dumps(settings)],
        cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    seen: dict[str, int] = {}
    try:
        yield process.stdout.readline().strip(), seen
        process.stdin.close()
        seen.update(json.loads(process.stdout.readline()))
    finally:
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


async def session(side: Side, base_url: str, settings: dict[str, Any]) -> dict[str, float]:
    """Ask all questions of one session."""
    clock = Clock()

    @tool(max_chars=100_000)
    async def look_up(number: int) -> str:
        """Look up a record."""
        await asyncio.sleep(settings["tool"])
        return record(number, settings["chars"])

    lost, steps = 0, Usage()
    prices = Pricing(input=1.0, cached_input=settings["cached_price"], output=4.0)
    async with (
        Model("small", base_url=base_url, pricing=prices) as small,
        Model("agent", base_url=base_url, pricing=prices) as model,
    ):
        plugin = side(small)
        layers: list[Plugin] = [Timer(clock.add_outside), ModelTimer(clock.add_outside)]
        layers += [plugin] if plugin else []
        layers += [Timer(clock.add_inside), ModelTimer(clock.add_inside)]
        agent = Agent(
            model, tools=[look_up], plugins=layers, limits=Limits(steps=None), instructions="Look up records."
        )
        started = time.perf_counter()
        for question in range(settings["questions"]):
            wanted = ", ".join(map(str, asked_for(question, settings["lookups"])))
            result = await agent.run(f"Question {question + 1}: the codes of records {wanted}?", session="s")
            result.raise_for_error()
            steps += result.run.calls.by_purpose["step"]
            lost += sum(e.lost_tokens for e in result.events if isinstance(e, PrefixBreak) and e.purpose == "step")
        wall = time.perf_counter() - started
        await agent.drain()
        total = agent.usage
    return {
        "seconds": wall,
        "prompt": total.prompt_tokens,
        "cached_share": steps.cached_share or 0.0,
        "uncached": total.prompt_tokens - (total.cached_tokens or 0),
        "completion": total.completion_tokens,
        "cost": 1e6 * (total.cost or 0.0),
        "waiting": clock.waiting,
        "lost": lost,
    }


def measure(name: str, settings: dict[str, Any]) -> dict[str, float]:
    """The figures of one side."""
    with serving(settings) as (base_url, seen):
        figures = asyncio.run(session(SIDES[name], base_url, settings))
    return {**figures, "facts": seen["found"] / seen["wanted"], "longest": seen["longest"]}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compress", description=__doc__)
    parser.add_argument("sides", nargs="*", metavar="SIDE", help=f"some of: {', '.join(SIDES)} (default: all)")
    parser.add_argument("--questions", type=int, default=8)
    parser.add_argument("--lookups", type=int, default=8, help="for each question (default: %(default)s)")
    parser.add_argument("--chars", type=int, default=2_000, help="of a record (default: %(default)s)")
    parser.add_argument("--prefill", type=float, default=4_000.0, help="tokens a second (default: %(default)s)")
    parser.add_argument("--decode", type=float, default=200.0, help="tokens a second (default: %(default)s)")
    parser.add_argument("--tool", type=float, default=0.05, help="seconds of a tool call (default: %(default)s)")
    parser.add_argument(
        "--cached-price", type=float, default=0.25, help="of a cached token, others cost 1 (default: %(default)s)"
    )
    parser.add_argument("--no-cache", action="store_true", help="the endpoint reads every prompt anew")
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the figures")
    arguments = parser.parse_args()
    settings = {name: value for name, value in vars(arguments).items() if name not in ("sides", "json")}
    row = "| {:<26} | {:>7} | {:>9} | {:>9} | {:>9} | {:>6} | {:>8} | {:>7} | {:>5} |"
    print(row.format("", "seconds", "prompt", "uncached", "cost", "cached", "waiting", "longest", "facts"))
    print(row.format(*["-" * width for width in (26, 7, 9, 9, 9, 6, 8, 7, 5)]))
    figures = {}
    for name in arguments.sides or SIDES:
        one = figures[name] = measure(name, settings)
        print(
            row.format(
                name,
                f"{one['seconds']:.1f}",
                f"{one['prompt']:,.0f}",
                f"{one['uncached']:,.0f}",
                f"{one['cost']:,.0f}",
                f"{one['cached_share']:.0%}",
                f"{one['waiting']:.2f} s",
                f"{one['longest']:,.0f}",
                f"{one['facts']:.0%}",
            ),
            flush=True,
        )
    if arguments.json:
        arguments.json.write_text(json.dumps({"settings": settings, "figures": figures}, indent=1) + "\n")


if __name__ == "__main__":
    main()
