"""Answer a question from a corpus with a model on this machine, or at any endpoint.

    python examples/search_agent.py notes.db "What ...?"

With OPENAI_BASE_URL and AGENTINFER_MODEL set it asks that endpoint, else the local 1.5B model.
"""

import asyncio
import os
import sys

from agentinfer import Limits, Model
from agentinfer.corpus import Corpus
from agentinfer.events import RunFinished, StepFinished, ToolFinished
from agentinfer.search import search_agent


async def main(db: str, question: str) -> None:
    """Search, and print each step."""
    model = Model.from_env() if "AGENTINFER_MODEL" in os.environ else Model.local("qwen2.5-coder-1.5b-instruct")
    async with model, Corpus(db) as corpus:
        agent = search_agent(model, corpus, limits=Limits(steps=8))
        async for event in agent.stream(question):
            match event:
                case ToolFinished():
                    print(f"  {event.call.name} {event.call.arguments}")
                case StepFinished():
                    print(f"step {event.step}: {event.text}")
                case RunFinished():
                    print(f"answer: {event.result.answer} ({event.result.stop_reason})")


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:3]))
