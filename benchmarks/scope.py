"""What guidelines are worth: finished folders of `agentinfer eval`, a learning part and a judged part.

    python -m benchmarks.scope --learn 60 results/plain results/playbook results/scope --store scope=scope.db

The folders hold the same questions, asked one by one in the same order. The first `--learn` questions are those that
guidelines are learned from; the others judge them. The first folder is what the others are compared with; intervals
come from drawing questions again and again (paired bootstrap). Folders that differ in the placement of guidelines only
(`placement` = system, end, both) give the ablation of that.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agentinfer.errors import AgentInferError, UserError
from agentinfer.evals import Record, load_records
from agentinfer.evals._bootstrap import Interval, interval_of, interval_of_difference
from agentinfer.evals._measures import EvalRun, Measure, measures_of
from agentinfer.evals._written import bounds, figure, value
from agentinfer.scope import Space, SqliteStore, state_at

FIGURES = ("solved", "steps", "tokens", "cached_share", "seconds")
Options = Mapping[str, int]


def load(folder: Path) -> EvalRun:
    """A folder, its records in the order in which they were asked."""
    records = sorted(load_records(folder), key=lambda record: record.time)
    if any(record.concurrency > 1 for record in records):
        print(f"{folder}: some questions were asked side by side, so what is learned comes late", file=sys.stderr)
    return EvalRun(name=folder.name, directory=folder, records=records, large=None)


def parts(runs: Sequence[EvalRun], learn: int) -> tuple[list[str], list[str]]:
    """The ids of the learning part and of the judged part: those that all folders hold, in the first one's order.

    Raises:
        UserError: The order differs, or one of the parts is empty.
    """
    held = [[record.id for record in run.records] for run in runs]
    common = set(held[0]).intersection(*held[1:])
    orders = [[name for name in ids if name in common] for ids in held]
    for run, order in zip(runs, orders, strict=True):
        if order != orders[0]:
            raise UserError(f"{run.directory} asked its questions in another order than {runs[0].directory}")
    if not 0 < learn < len(orders[0]):
        raise UserError(
            f"--learn lies between 1 and {len(orders[0]) - 1}: the folders share {len(orders[0])} questions"
        )
    return orders[0][:learn], orders[0][learn:]


def rows(runs: Sequence[EvalRun], ids: Sequence[str], options: Options) -> list[list[str]]:
    """A line per figure: each run's own, and its difference from the first."""
    measures = {measure.name: measure for measure in measures_of(runs)}
    chosen = [[{record.id: record for record in run.records}[name] for name in ids] for run in runs]
    return [
        [
            measures[name].title,
            *(
                _cell(measures[name], runs[0], chosen[0], run, records, options)
                for run, records in zip(runs, chosen, strict=True)
            ),
        ]
        for name in FIGURES
    ]


def _cell(
    measure: Measure, base: EvalRun, first: Sequence[Record], run: EvalRun, records: Sequence[Record], options: Options
) -> str:
    own = figure(interval_of(measure.terms(run, records), **options), measure.kind)
    if run is base:
        return own
    difference: Interval | None = interval_of_difference(
        measure.terms(base, first), measure.terms(run, records), **options
    )
    if difference is None:
        return own
    change = value(difference.estimate, measure.kind, sign=True)
    return f"{own}; {change} {bounds(difference, measure.kind, sign=True)}"


def learning_tokens(folder: Path) -> int:
    """Tokens that were spent beside the questions: by learning."""
    path = folder / "other_usage.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    spent = [json.loads(line) for line in lines if line.strip()]
    return sum((one.get("prompt_tokens") or 0) + (one.get("completion_tokens") or 0) for one in spent)


async def guidelines(path: Path) -> list[str]:
    """How many guidelines of each memory were tried, and what became of them."""
    store = SqliteStore(path, create=False)
    try:
        return [f"{_name(space)}: {await _fates(store, space)}" for space in await store.spaces()]
    finally:
        await store.aclose()


async def _fates(store: SqliteStore, space: Space) -> str:
    history = await store.history(space)
    tried = {change.id for change in history if change.after.active}
    now = [guideline.status for guideline in state_at(history, sys.maxsize).values()]
    counts = {status: now.count(status) for status in ("kept", "trial", "retired", "quarantined")}
    return f"{len(tried)} tried; now " + ", ".join(f"{number} {status}" for status, number in counts.items())


def _name(space: Space) -> str:
    return space.memory if space.tenant is None else f"{space.tenant}/{space.memory}"


def report(folders: Sequence[Path], learn: int, stores: Mapping[str, Path], options: Options) -> str:
    """The figures as text.

    Raises:
        UserError: The folders do not go together.
    """
    runs = [load(folder) for folder in folders]
    learned, judged = parts(runs, learn)
    lines = []
    for title, ids in (("learning part", learned), ("judged part", judged)):
        lines += [f"## {title}: {len(ids)} questions", "", _line(["", *(run.name for run in runs)])]
        lines += [_line(["---"] * (len(runs) + 1)), *map(_line, rows(runs, ids, options)), ""]
    lines += [f"{run.name}: {learning_tokens(run.directory):,} tokens beside the questions" for run in runs]
    for name, path in stores.items():
        lines += [f"{name}, {told}" for told in asyncio.run(guidelines(path))]
    return "\n".join(lines)


def _line(cells: Sequence[Any]) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scope", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="a folder of results, the plain one first")
    parser.add_argument("--learn", type=int, required=True, metavar="N", help="questions of the learning part")
    parser.add_argument("--store", action="append", default=[], metavar="NAME=DB", help="whose guidelines to count")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--resamples", type=int, default=2000)
    arguments = parser.parse_args(argv)
    stores = {name: Path(path) for name, _, path in (given.partition("=") for given in arguments.store)}
    options = {"seed": arguments.seed, "resamples": arguments.resamples}
    try:
        print(report(arguments.folders, arguments.learn, stores, options))
    except AgentInferError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
