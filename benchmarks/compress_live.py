"""Questions chained in sessions, with real models: `python -m benchmarks.compress_live QUESTIONS --corpus DB ...`.

Each row is a configuration of `benchmarks/configs`. All rows are asked the same questions in the same order, `--chain`
of them one after the other in each session, so that contexts grow; `--concurrency` sessions are at work at once. A
session is one agent, and has a folder of its own in `DIR/ROW`, as `agentinfer eval` makes it, with `session.json`
beside the results: what was spent on what, and what became of the notes.

The same command goes on after an interruption. A session that was finished is kept; of one that was not, the history is
gone, so its folder is put aside and it is asked anew from its first question. A row that fails says why, and the others
go on.
"""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

from agentinfer import Agent, Message, Middleware, Run, RunResult, Sampling, ToolCall, Usage
from agentinfer.compress import Compress
from agentinfer.config import Config, ModelConfig, Setup, load_config
from agentinfer.corpus import Corpus
from agentinfer.evals import Question, evaluate, load_questions, ordered
from agentinfer.models import Backend, Completion, Connection, ModelRequest, Timeouts
from agentinfer.protocol import Reply
from agentinfer.search import search_agent
from agentinfer.step import ModelHandler, Plugin
from agentinfer.tools import corpus_tools
from benchmarks.compress import Clock, ModelTimer, Timer
from benchmarks.compress_session import Session
from benchmarks.compress_table import render

CONFIGS = Path(__file__).with_name("configs")
ROWS = ("none", "truncate", "clear", "summarise", "notes", "no-reasoning", "no-notes", "no-recent")
"""The rows of the table: files `compress-ROW.toml`; the first one is what the others are compared to."""
MORE_ROWS = ("cold", "prices", "own", "extract")


class SearchEachQuestion:
    """Begins the answer to each question with a search for it, as the search agent begins a conversation."""

    @asynccontextmanager
    async def bind(self, run: Run) -> AsyncIterator[Middleware]:
        """What stands in for the model in the first step of a run."""

        class First(Middleware):
            async def model(self, request: ModelRequest, handler: ModelHandler) -> Completion:
                if run.steps or request.choice == "none" or "corpus_search" not in request.tools:
                    return await handler(request)
                arguments = json.dumps({"query": run.question})
                call = ToolCall(id=f"search_{len(run.transcript)}", name="corpus_search", arguments=arguments)
                message = Message.assistant("I search for the question itself.", tool_calls=[call])
                reply = Reply(message=message)
                return Completion(reply=reply, finish_reason=None, usage=Usage(), model=request.model.name)

        yield First()


class InTurns:
    """A backend whose requests wait for those of others, as where two models share the cores they run on.

    Models that compute at the same time hold each other up there by far more than their share, so that notes come later
    than they would from a machine of their own.

    Args:
        backend: The backend.
        turn: What it shares with the others.
    """

    def __init__(self, backend: Backend, turn: asyncio.Lock) -> None:
        self._backend = backend
        self._turn = turn

    @property
    def endpoint(self) -> str:
        """That of the backend."""
        return self._backend.endpoint

    @asynccontextmanager
    async def open(self, timeouts: Timeouts) -> AsyncIterator[Connection]:
        """Open the backend."""
        turn = self._turn

        class Waiting:
            async def chunks(self, body: bytes, *, stream: bool) -> AsyncGenerator[Any, None]:
                async with turn, aclosing(connection.chunks(body, stream=stream)) as chunks:
                    async for chunk in chunks:
                        yield chunk

        async with self._backend.open(timeouts) as connection:
            yield Waiting()


class Chain:
    """The questions of one session.

    Args:
        folder: Where what becomes of them is kept.
        questions: In the order in which they are asked.
    """

    def __init__(self, folder: Path, questions: Sequence[Question]) -> None:
        self.folder = folder
        self.questions = questions
        self.finished = Session.load(folder).asked == [question.id for question in questions]
        """Whether an earlier call has asked them all."""

    async def ask(self, config: Config, setup: Setup, corpus: Corpus, about: Mapping[str, Any]) -> None:
        """Ask the questions one after the other, each in the session that those before have left."""
        plugins = config.build(setup.model, setup.small).plugins  # what they learn is of this session alone
        session, clock = Session(), Clock()
        outside = [Timer(clock.add_outside), ModelTimer(clock.add_outside)]
        inside = [Timer(clock.add_inside), ModelTimer(clock.add_inside)]
        tools = corpus_tools(corpus, top_k=about["top_k"])
        layers: list[Plugin] = [SearchEachQuestion(), *outside, *plugins, *inside]
        agent = search_agent(setup.model, corpus, tools=tools, plugins=layers, limits=setup.limits)
        _keep_session(agent, session)
        settings: dict[str, Any] = {"name": config.name, "out": self.folder, "seed": about["seed"], "settings": about}
        # Of two questions at work in a session, one waits for the other. With one, notes would be waited for, too.
        settings["concurrency"] = 2
        if self.finished:  # nothing is asked; settings that have changed are refused
            await evaluate(lambda: agent, self.questions, **settings)
            return
        _put_aside(self.folder)
        try:
            await evaluate(lambda: agent, self.questions, **settings)
            session.asked = [question.id for question in self.questions]
        finally:
            for plugin in plugins:
                if isinstance(plugin, Compress):
                    session.note_background(plugin.background)
            session.waiting = clock.waiting
            session.save(self.folder)


def _keep_session(agent: Agent, session: Session) -> None:
    """Let an agent answer in one session, and tell of each run."""
    ask: Any = agent.run

    async def run(question: str, **settings: Any) -> RunResult[Any]:
        result: RunResult[Any] = await ask(question, **{**settings, "session": "chain"})
        session.note(result)
        return result

    vars(agent)["run"] = run  # `evaluate` knows of no sessions


def _put_aside(folder: Path) -> None:
    """Keep what an interrupted session has left, under another name."""
    if folder.exists():
        number = 1
        while (other := folder.with_name(f"{folder.name}.unfinished-{number}")).exists():
            number += 1
        folder.rename(other)


def _served(model: ModelConfig | None, arguments: argparse.Namespace) -> ModelConfig | None:
    """A model with room for all sessions side by side, which writes what is likeliest."""
    if model is None:
        return None
    update: dict[str, Any] = {"sampling": model.sampling or Sampling(temperature=0.0, max_tokens=arguments.reply)}
    if model.local is None:
        update["context_window"] = model.context_window or arguments.context
    else:
        update["server"] = {"context": arguments.context, "slots": arguments.concurrency, **model.server}
    return model.model_copy(update=update)


async def measure(config: Config, chains: Sequence[Chain], corpus: Corpus, arguments: argparse.Namespace) -> None:
    """Ask one row all its chains."""
    served = {"model": _served(config.model, arguments), "small": _served(config.small, arguments)}
    setup = config.model_copy(update=served).build()
    if arguments.in_turns:
        turn = asyncio.Lock()
        for model in filter(None, (setup.model, setup.small)):
            model.backend = InTurns(model.backend, turn)
    about = {name: getattr(arguments, name) for name in ("seed", "chain", "top_k", "context", "reply")} | {
        "plugins": config.plugins,
        "documents": len(corpus),
    }
    side_by_side = asyncio.Semaphore(arguments.concurrency)

    async def ask(chain: Chain) -> None:
        async with side_by_side:
            await chain.ask(config, setup, corpus, about)

    async with AsyncExitStack() as stack:
        if not all(chain.finished for chain in chains):
            for model in filter(None, (setup.model, setup.small)):
                await stack.enter_async_context(model)
        told = await asyncio.gather(*map(ask, chains), return_exceptions=True)
    if failures := [one for one in told if isinstance(one, BaseException)]:
        raise RuntimeError(f"{len(failures)} of {len(chains)} sessions, {type(failures[0]).__name__}: {failures[0]}")


async def run(arguments: argparse.Namespace) -> list[str]:
    """One row after the other, then the table; what went wrong."""
    questions = ordered(load_questions(arguments.questions, split=arguments.split), arguments.seed)[: arguments.limit]
    pieces = [questions[at : at + arguments.chain] for at in range(0, len(questions), arguments.chain)]
    ends = time.monotonic() + 60 * arguments.minutes
    rows: dict[str, list[Path]] = {}
    problems: list[str] = []
    async with Corpus(arguments.corpus) as corpus:
        for at, row in enumerate(arguments.rows):
            seconds = max(ends - time.monotonic(), 0.0) / (len(arguments.rows) - at)
            started, problem = time.monotonic(), ""
            try:
                config = load_config(arguments.configs / f"compress-{row}.toml")
                chains = [Chain(arguments.out / row / str(at), piece) for at, piece in enumerate(pieces, 1)]
                rows[config.name] = [chain.folder for chain in chains]
                async with asyncio.timeout(seconds):
                    await measure(config, chains, corpus, arguments)
            except TimeoutError:
                problem = f"{row}: cut short after {seconds:.0f} s"
            except Exception as error:  # noqa: BLE001 - whatever one row has, the others go on
                problem = f"{row}: {error}"
            problems += [problem] if problem else []
            print(problem or f"{row}: {time.monotonic() - started:.0f} s", flush=True)
    print(f"\n{render(rows, seed=arguments.seed)}", flush=True)
    return problems


def main(argv: Sequence[str] | None = None) -> int:
    """Run all rows and print the table; 1 where something went wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.compress_live", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("questions", type=Path, metavar="QUESTIONS")
    add("--corpus", type=Path, required=True, metavar="DB")
    add("--out", type=Path, required=True, metavar="DIR")
    add("--configs", type=Path, default=CONFIGS, metavar="DIR", help="where compress-ROW.toml lie")
    add("--rows", nargs="+", default=ROWS, metavar="ROW", help=f"default: {' '.join(ROWS)}; there are {MORE_ROWS}, too")
    add("--chain", type=int, default=10, metavar="N", help="questions of one session (default: %(default)s)")
    add("--concurrency", type=int, default=1, metavar="N", help="sessions at work at once (default: %(default)s)")
    add("--in-turns", action="store_true", help="one call at a time, of both models, where they share their cores")
    add("--top-k", type=int, default=10, metavar="N", help="passages that a search gives (default: %(default)s)")
    add("--context", type=int, default=32_768, metavar="N", help="tokens of the models' window (default: %(default)s)")
    add("--reply", type=int, default=300, metavar="N", help="tokens of a reply at most (default: %(default)s)")
    add(
        "--minutes",
        type=float,
        default=float("inf"),
        metavar="N",
        help="for all rows; a row that has used its share is cut",
    )
    add("--split", choices=["develop", "report"])
    add("--limit", type=int, metavar="N", help="questions of a row")
    add("--seed", type=int, default=0, help="decides the order of the questions (default: %(default)s)")
    problems = asyncio.run(run(parser.parse_args(argv)))
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
