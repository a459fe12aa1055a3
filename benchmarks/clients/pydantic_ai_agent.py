# mypy: ignore-errors
"""pydantic-ai."""

from contextlib import asynccontextmanager

from pydantic_ai import Agent
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider
from pydantic_ai.usage import UsageLimits

from benchmarks.clients.harness import INSTRUCTIONS, QUESTION, look_up, measure


async def lookup(record: int) -> str:
    """Look up one record by its number."""
    return look_up(record)


@asynccontextmanager
async def opened(base_url):
    model = OpenAIChatModel("scripted", provider=OpenAIProvider(base_url=base_url, api_key="none"))
    agent = Agent(model, instructions=INSTRUCTIONS, tools=[lookup])

    async def ask():
        return (await agent.run(QUESTION, usage_limits=UsageLimits(request_limit=None))).output

    yield ask


if __name__ == "__main__":
    measure(opened)
