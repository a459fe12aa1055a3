"""agentinfer, with the model's settings on the command line: `whole` does not stream, `httptools` is the transport."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from agentinfer import Agent, Limits, Model, tool
from benchmarks.clients.harness import INSTRUCTIONS, LOOKUP, QUESTION, Ask, look_up, measure


@tool(description=LOOKUP["function"]["description"])
async def lookup(record: int) -> str:
    return look_up(record)


@asynccontextmanager
async def opened(base_url: str) -> AsyncIterator[Ask]:
    transport: Literal["httpx", "httptools"] = "httptools" if "httptools" in sys.argv[2:] else "httpx"
    model = Model("scripted", base_url=base_url, stream="whole" not in sys.argv[2:], transport=transport)
    async with Agent(model, tools=[lookup], instructions=INSTRUCTIONS, limits=Limits(steps=1000)) as agent:

        async def ask() -> str:
            result = await agent.run(QUESTION)
            return str(result.raise_for_error().answer)

        yield ask


if __name__ == "__main__":
    measure(opened)
