# mypy: ignore-errors
"""smolagents: it blocks, so every agent has a thread. It keeps its state in the agent, so every run has its own."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from smolagents import LogLevel, OpenAIModel, ToolCallingAgent, tool

from benchmarks.clients.harness import INSTRUCTIONS, QUESTION, look_up, measure


@tool
def lookup(record: int) -> str:
    """Look up one record by its number.

    Args:
        record: The number of the record.
    """
    return look_up(record)


@asynccontextmanager
async def opened(base_url):
    model = OpenAIModel("scripted", api_base=base_url, api_key="none")
    threads = ThreadPoolExecutor(max_workers=1000)

    def run():
        agent = ToolCallingAgent(
            tools=[lookup], model=model, instructions=INSTRUCTIONS, max_steps=1000, verbosity_level=LogLevel.OFF
        )
        return str(agent.run(QUESTION))

    async def ask():
        return await asyncio.get_running_loop().run_in_executor(threads, run)

    yield ask


if __name__ == "__main__":
    measure(opened)
