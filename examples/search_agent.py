"""Answer a question from your own documents.

    python examples/search_agent.py docs "How many calls are kept in reserve for the answer?"

prints each search as it is made, and the answer. The documents are a folder of texts, a .jsonl file, or an index that
`agentinfer corpus build` made. The model runs on this machine (needs the extra `local`), unless --base-url or
OPENAI_BASE_URL names an endpoint.
"""

import argparse
import asyncio
import os
import tempfile
from pathlib import Path

from agentinfer import Limits, Model
from agentinfer.corpus import Corpus, build
from agentinfer.events import RunFinished, StepFinished, ToolFinished
from agentinfer.search import search_agent


async def ask(model: Model, index: Path, question: str) -> None:
    """Search, and print what happens."""
    async with model, Corpus(index) as corpus:
        agent = search_agent(model, corpus, limits=Limits(steps=8))
        async for event in agent.stream(question):
            match event:
                case ToolFinished():
                    first_line = event.content.partition("\n")[0]
                    print(f"  {event.call.name} {event.call.arguments}\n    {first_line}")
                case StepFinished():
                    print(f"step {event.step}, {event.seconds:.1f} s")
                case RunFinished(result=result):
                    print(f"answer: {result.answer}" if result.answer else f"no answer: {result.error}")


def main() -> None:
    """Read the command line, and make an index where there is none yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", type=Path)
    parser.add_argument("question")
    parser.add_argument("--base-url", default=os.environ.get("OPENAI_BASE_URL"))
    parser.add_argument("--model", default=os.environ.get("AGENTINFER_MODEL", "qwen2.5-coder-1.5b-instruct"))
    options = parser.parse_args()
    if options.base_url:
        model = Model(options.model, base_url=options.base_url, api_key=os.environ.get("OPENAI_API_KEY"))
    else:
        model = Model.local(options.model)
    with tempfile.TemporaryDirectory() as folder:
        index = options.documents
        if index.suffix != ".db":
            index = Path(folder, "documents.db")
            build(options.documents, index)
        asyncio.run(ask(model, index, options.question))


if __name__ == "__main__":
    main()
