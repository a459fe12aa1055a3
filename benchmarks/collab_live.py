"""Two models, live: `python -m benchmarks.collab_live QUESTIONS --corpus DB --split report --out DIR [ROW ...]`.

Each row is a configuration of `benchmarks/configs`, and has a folder of results in DIR. All rows are asked the same
questions, one row after the other, `--concurrency` questions at once. The router is fitted on what the two models alone
make of the other split, in `DIR/fit`, and its share of the questions is the one at which the large model makes as many
of the calls as it makes in the row `--like`.

At the end, and in DIR/table.txt: the table of `benchmarks.collab`; for each collaboration, who made the steps and why
models changed, and how far its verdicts can be believed.

The same command goes on after an interruption. A row that fails says why, and the others go on.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from agentinfer.collab.calibration import calibrate, load_trajectories
from agentinfer.collab.calibration import render as render_calibration
from agentinfer.collab.router import RouterModel, fit_router, outcomes_of
from agentinfer.config import Config, ModelConfig, load_config
from agentinfer.corpus import Corpus
from agentinfer.errors import AgentInferError, UserError
from agentinfer.evals import Progress, Record, Split, evaluate, load_questions, load_records, load_settings
from agentinfer.models import Sampling
from agentinfer.search import search_agent
from benchmarks.collab import moves, render, rows_of, share_of

CONFIGS = Path(__file__).with_name("configs")
ROWS = ("large", "small", "default", "short", "facts", "planner", "executor", "router")
"""The rows of the table: files `collab-ROW.toml`."""
MORE_ROWS = ("eager", "patient")
JUDGED = ("default", "short", "facts", "eager", "patient")
"""The rows in which steps are judged."""
ROUTER = "agentinfer.collab.router:Router"
FIT = "fit"
"""The folder of the runs that the router is fitted on."""


async def measure(row: str, split: Split, out: Path, arguments: argparse.Namespace) -> None:
    """Ask one row its questions; those that are finished in the folder are not asked again."""
    config = load_config(arguments.configs / f"collab-{row}.toml")
    if ROUTER in config.plugins:
        config = _fitted(config, out, arguments)
    served = {"model": _served(config.model, arguments), "small": _served(config.small, arguments)}
    setup = config.model_copy(update=served).build()
    if setup.small is not None and setup.small.name == setup.model.name:
        raise UserError(f"both models are called {setup.model.name}: their calls could not be told apart")

    def tell(progress: Progress) -> None:
        for note in progress.notes:
            print(f"  {note}", flush=True)

    async with AsyncExitStack() as stack:
        corpus = await stack.enter_async_context(Corpus(arguments.corpus))
        for model in filter(None, (setup.model, setup.small)):
            await stack.enter_async_context(model)
        await evaluate(
            lambda: search_agent(setup.model, corpus, plugins=setup.plugins, limits=setup.limits),
            load_questions(arguments.questions, split=split),
            out=out,
            name=config.name,
            concurrency=arguments.concurrency,
            seed=arguments.seed,
            limit=arguments.limit,
            settings={"plugins": config.plugins, "concurrency": arguments.concurrency, "documents": len(corpus)},
            on_progress=tell,
        )


def _served(model: ModelConfig | None, arguments: argparse.Namespace) -> ModelConfig | None:
    """A model that writes what is likeliest, held to a schema, with room for all questions side by side."""
    if model is None:
        return None
    update: dict[str, Any] = {
        "protocol": model.protocol or arguments.protocol,
        "sampling": model.sampling or Sampling(temperature=0.0, max_tokens=arguments.reply),
    }
    if model.local is not None:
        update["server"] = {"slots": arguments.concurrency, **model.server}
    return model.model_copy(update=update)


def _fitted(config: Config, out: Path, arguments: argparse.Namespace) -> Config:
    """The router's configuration, fitted on what the two models made of other questions; later calls keep to it."""
    if (out / "results.jsonl").exists():
        plugins = load_settings(out)["settings"]["settings"]["plugins"]
        return config.model_copy(update={"plugins": plugins})
    folders = [arguments.out / FIT / row for row in ("large", "small")]
    router = fit_router(outcomes_of(*folders))
    router.save(path := arguments.out / "router.json")
    (large,) = {name for record in load_records(arguments.out / "large") for name in record.models}
    wanted = share_of(load_records(arguments.out / arguments.like), large, lambda spent: spent.calls)
    share = share_of_questions(router, load_records(folders[0]), load_records(folders[1]), wanted)
    print(f"  the large model gets {share:.0%} of the questions, for {wanted:.0%} of the calls", flush=True)
    settings = {**config.plugins[ROUTER], "path": str(path), "share": share}
    return config.model_copy(update={"plugins": {**config.plugins, ROUTER: settings}})


def share_of_questions(router: RouterModel, large: Sequence[Record], small: Sequence[Record], wanted: float) -> float:
    """The share of questions to give to the large model, so that it makes the wanted share of the calls.

    Args:
        router: The router.
        large: What the large model alone made of the questions it was fitted on.
        small: What the small one made of them.
        wanted: The share of the calls.
    """
    others = {record.id: record.model_calls for record in small}
    common = [record for record in large if record.id in others]
    common.sort(key=lambda record: router.score(record.question), reverse=True)

    def missed(count: int) -> float:
        """By how much the share is missed where the large model gets so many questions."""
        calls = sum(record.model_calls for record in common[:count])
        rest = sum(others[record.id] for record in common[count:])
        return abs(calls / max(calls + rest, 1) - wanted)

    return min(range(len(common) + 1), key=missed) / max(len(common), 1)


async def run(arguments: argparse.Namespace) -> list[str]:
    """One row after the other; what went wrong."""
    jobs = list(_jobs(arguments))
    ends = time.monotonic() + 60 * arguments.minutes
    problems: list[str] = []
    for at, (row, split, out) in enumerate(jobs):
        started, seconds = time.monotonic(), ends - time.monotonic()
        seconds = max(0.0, min(seconds, 2 * seconds / (len(jobs) - at)))
        name, problem = str(out.relative_to(arguments.out)), ""
        try:
            async with asyncio.timeout(seconds):
                await measure(row, split, out, arguments)
        except TimeoutError:
            problem = f"{name}: cut short after {seconds:.0f} s"
        except Exception as error:  # noqa: BLE001 - whatever one row has, the others go on
            problem = f"{name}: {type(error).__name__}: {error}"
        problems += [problem] if problem else []
        print(problem or f"{name}: {time.monotonic() - started:.0f} s", flush=True)
    return problems


def _jobs(arguments: argparse.Namespace) -> Iterator[tuple[str, Split, Path]]:
    """The rows in their order: configuration, split and folder."""
    other: Split = "develop" if arguments.split == "report" else "report"
    for row in arguments.rows or ROWS:
        if row == "router":
            yield from ((alone, other, arguments.out / FIT / alone) for alone in ("large", "small"))
        yield row, arguments.split, arguments.out / row


def report(arguments: argparse.Namespace) -> str:
    """The table, and what lies behind it.

    Raises:
        AgentInferError: The large or the small model alone have no results.
    """
    folders = [arguments.out / row for row in (*ROWS, *MORE_ROWS) if _has_results(arguments.out / row)]
    large, small = (arguments.out / row for row in ("large", "small"))
    parts = [render(*rows_of(large, small, [folder for folder in folders if folder not in (large, small)]))]
    for folder in (folder for folder in folders if folder.name in JUDGED):
        trajectories = list(load_trajectories(folder))
        parts.append(f"{folder.name}: {moves(trajectories)}\n{render_calibration(calibrate(trajectories))}")
    return "\n\n".join(parts)


def _has_results(folder: Path) -> bool:
    try:
        return bool(load_records(folder))
    except AgentInferError:
        return False


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.collab_live", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    add = parser.add_argument
    add("questions", type=Path, metavar="QUESTIONS")
    add("rows", nargs="*", metavar="ROW", help=f"default: {' '.join(ROWS)}; there is {' '.join(MORE_ROWS)}, too")
    add("--corpus", type=Path, required=True, metavar="DB")
    add("--out", type=Path, required=True, metavar="DIR")
    add("--configs", type=Path, default=CONFIGS, metavar="DIR", help="where collab-ROW.toml lie")
    add("--concurrency", type=int, default=1, metavar="N", help="questions at work at once (default: %(default)s)")
    add("--split", choices=["develop", "report"], required=True, help="the router is fitted on the other one")
    add("--limit", type=int, metavar="N", help="questions of a row")
    add("--like", default="default", metavar="ROW", help="whose large share the router has (default: %(default)s)")
    add(
        "--minutes",
        type=float,
        default=float("inf"),
        metavar="N",
        help="for all; a row has twice its share at most",
    )
    add("--protocol", default="json", help="how models say what to do (default: %(default)s)")
    add("--reply", type=int, default=300, metavar="N", help="tokens of a reply at most (default: %(default)s)")
    add("--seed", type=int, default=0, help="decides the order of the questions (default: %(default)s)")
    arguments = parser.parse_intermixed_args(words)
    problems = asyncio.run(run(arguments))
    try:
        told = report(arguments)
    except AgentInferError as error:
        problems.append(f"no table: {error}")
    else:
        (arguments.out / "table.txt").write_text(f"{told}\n")
        print(f"\n{told}")
    for problem in problems:
        print(problem, file=sys.stderr)
    return bool(problems)


if __name__ == "__main__":
    sys.exit(main())
