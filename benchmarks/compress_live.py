"""Questions chained in sessions, with a real model: `python -m benchmarks.compress_live QUESTIONS --corpus DB ...`.

Each configuration answers the same questions in the same order, `--chain` of them in one session, so that contexts
grow. The folders in `--out` are those of `agentinfer eval`: `agentinfer compare` pairs them, with intervals. What notes
for a session took is in each folder's `config.json`, under what was spent beside the questions.
"""

import argparse
import asyncio
from pathlib import Path
from typing import Any

from agentinfer.agent import Agent
from agentinfer.config import Setup, load_config
from agentinfer.corpus import Corpus
from agentinfer.evals import evaluate, load_questions, render_summary, summarise
from agentinfer.run import RunResult
from agentinfer.search import INSTRUCTIONS
from agentinfer.tools import corpus_tools


class Chained(Agent):
    """Answers in sessions: so many questions one after the other in each."""

    def __init__(self, chain: int, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self._chain = chain
        self._asked = 0

    async def run(self, question: str, **settings: Any) -> RunResult[Any]:
        session = f"chain {self._asked // self._chain + 1}"
        self._asked += 1
        result: RunResult[Any] = await super().run(question, **{"session": session, **settings})
        return result


async def measure(arguments: argparse.Namespace, setup: Setup, name: str, corpus: Corpus) -> None:
    """Ask one configuration all questions."""

    def agent() -> Agent:
        return Chained(
            arguments.chain,
            setup.model,
            tools=corpus_tools(corpus),
            instructions=INSTRUCTIONS,
            plugins=setup.plugins,
            limits=setup.limits,
        )

    records = await evaluate(
        agent,
        load_questions(arguments.questions, split=arguments.split),
        out=arguments.out / name,
        name=name,
        seed=arguments.seed,
        limit=arguments.limit,
        settings={"chain": arguments.chain, "plugins": [repr(type(plugin)) for plugin in setup.plugins]},
    )
    print(f"{name}\n{render_summary(summarise(records))}\n", flush=True)


async def run(arguments: argparse.Namespace) -> None:
    """One configuration after the other."""
    async with Corpus(arguments.corpus) as corpus:
        for path in arguments.config:
            config = load_config(path)
            setup = config.build()
            if setup.small is None:
                await measure(arguments, setup, config.name, corpus)
                continue
            async with setup.small:
                await measure(arguments, setup, config.name, corpus)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compress_live", description=__doc__)
    parser.add_argument("questions", type=Path)
    parser.add_argument("--corpus", type=Path, required=True, metavar="DB")
    parser.add_argument("--config", type=Path, required=True, action="append", metavar="FILE", help="may be repeated")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--chain", type=int, default=12, help="questions of one session (default: %(default)s)")
    parser.add_argument("--split", choices=["develop", "report"])
    parser.add_argument("--limit", type=int)
    parser.add_argument("--seed", type=int, default=0)
    asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    main()
