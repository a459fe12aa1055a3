# mypy: ignore-errors
"""openai-agents, tracing off."""

from contextlib import asynccontextmanager

import openai
from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool, set_tracing_disabled

from benchmarks.clients.harness import INSTRUCTIONS, QUESTION, look_up, measure


@function_tool
async def lookup(record: int) -> str:
    """Look up one record by its number."""
    return look_up(record)


@asynccontextmanager
async def opened(base_url):
    set_tracing_disabled(True)
    async with openai.AsyncOpenAI(base_url=base_url, api_key="none") as client:
        model = OpenAIChatCompletionsModel("scripted", openai_client=client)
        agent = Agent(name="agent", instructions=INSTRUCTIONS, model=model, tools=[lookup])

        async def ask():
            return (await Runner.run(agent, QUESTION, max_turns=1000)).final_output

        yield ask


if __name__ == "__main__":
    measure(opened)
