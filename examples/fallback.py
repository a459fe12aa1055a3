"""A plug-in of your own, in ten lines: where one model fails, a second one takes over.

    python examples/fallback.py

asks an endpoint that is not there; you see its call fail, and the second model do the step in its place. That one runs
on this machine (needs the extra `local`), unless --base-url or OPENAI_BASE_URL names an endpoint.
"""

import argparse
import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agentinfer import Agent, Completion, Middleware, Model, ModelError, ModelRequest, RetryPolicy, Run, tool
from agentinfer.events import ModelCallFailed, ModelCallFinished, RunFinished, ToolFinished
from agentinfer.step import ModelHandler


class Fallback:
    """Sends a step's model call to a second model where the first one has failed for good."""

    def __init__(self, second: Model) -> None:
        self.second = second

    @asynccontextmanager
    async def bind(self, run: Run) -> AsyncIterator[Middleware]:
        """Entered when a run starts, left when it ends."""
        second = self.second

        class Falling(Middleware):
            async def model(self, request: ModelRequest, handler: ModelHandler) -> Completion:
                try:
                    return await handler(request)
                except ModelError as error:
                    return await handler(request.replace(model=second, cause=f"fallback: {error}"))

        yield Falling()


@tool
def airports(country: str) -> int:
    """How many airports a country has. country: its English name."""
    return {"Bhutan": 2, "Laos": 8}.get(country, 0)


async def ask(first: Model, second: Model, question: str) -> None:
    """Ask an agent that falls back, and print what happens."""
    async with second:  # stays open from step to step
        agent = Agent(first, tools=[airports], plugins=[Fallback(second)])
        async for event in agent.stream(question):
            match event:
                case ModelCallFailed():
                    print(f"{event.model} failed: {event.error}")
                case ModelCallFinished():
                    print(f"{event.model} replied after {event.seconds:.1f} s")
                case ToolFinished():
                    print(f"  {event.call.name} {event.call.arguments}: {event.content}")
                case RunFinished(result=result):
                    print(f"answer: {result.answer}" if result.answer else f"no answer: {result.error}")


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("question", nargs="?", default="How many airports does Bhutan have?")
    parser.add_argument("--base-url", default=os.environ.get("OPENAI_BASE_URL"))
    parser.add_argument("--model", default=os.environ.get("AGENTINFER_MODEL", "qwen2.5-coder-0.5b-instruct"))
    options = parser.parse_args()
    if options.base_url:
        second = Model(options.model, base_url=options.base_url, api_key=os.environ.get("OPENAI_API_KEY"))
    else:
        second = Model.local(options.model)
    first = Model("nobody-home", base_url="http://127.0.0.1:9/v1", retry=RetryPolicy(attempts=1))
    asyncio.run(ask(first, second, options.question))


if __name__ == "__main__":
    main()
