"""What guidelines are worth: `python -m benchmarks.scope QUESTIONS --corpus DB --out DIR`.

Each row is a configuration of `benchmarks/configs`: no guidelines, an ACE-style playbook, and guidelines in the system
prompt, at the end of the conversation, in both places. All rows are at work side by side on one endpoint; each asks
its questions one by one, in the order of the seed. It learns from the questions of one split, where it may be told
what its answers were worth (`--signal`). Then its store is frozen, nobody is told anything any more, and the questions
of the other split judge it. Rows that differ only in where guidelines are placed are judged with the same ones: those
that the row `system` has learned.

A row's folder holds its store, `guidelines.db`, and the two folders `learn` and `judge`, as `agentinfer eval` makes
them. The same command goes on after an interruption, and prints the tables of what is there. A row that fails says why;
the others go on.
"""

import argparse
import asyncio
import json
import sqlite3
import sys
import time
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, closing
from pathlib import Path
from typing import Any

from agentinfer.config import Config, load_config
from agentinfer.corpus import Corpus
from agentinfer.errors import AgentInferError, UserError
from agentinfer.evals import F1, ExactMatch, Progress, Question, evaluate, load_questions, ordered
from agentinfer.events import PluginFailed
from agentinfer.models import Model, Sampling
from agentinfer.scope import GuidelineLearned, GuidelineMoved, GuidelineRejected, LearningSkipped
from agentinfer.search import search_agent
from benchmarks.scope_table import LEARNING, STORE, render

CONFIGS = Path(__file__).with_name("configs")
ROWS = ("none", "playbook", "system", "end", "both")
"""Files `scope-ROW.toml`; the first one is what the others are compared with."""
LEARNED_BY = {"end": "system", "both": "system"}
"""Rows that do not learn, and whose store they are judged with."""
TOLD = 10
"""Questions from one line of progress to the next."""
FROZEN: Mapping[str, Mapping[str, Any]] = {"scope": {"learn": "off"}, "agentinfer.scope:Playbook": {"learn": False}}
"""What keeps each plug-in that learns from learning."""


def configured(config: Config, folder: Path, signal: str | None, *, learns: bool) -> Config:
    """A row's configuration for one of its parts: its own store, and how it learns."""
    evidence = "outcome" if signal is None else "feedback"
    plugins = {
        name: {**settings, "store": str(folder / STORE), "evidence": evidence, **({} if learns else FROZEN[name])}
        if name in FROZEN
        else settings
        for name, settings in config.plugins.items()
    }
    return config.model_copy(update={"plugins": plugins})


class Row:
    """One row.

    Args:
        config: Its configuration.
        folder: Where all of it is kept.
        model: The one that all rows ask.
        corpus: What is searched.
        arguments: Those of the command.
    """

    def __init__(
        self, config: Config, folder: Path, model: Model, corpus: Corpus, arguments: argparse.Namespace
    ) -> None:
        self._config = config
        self._folder = folder
        self._model = model
        self._corpus = corpus
        self._arguments = arguments
        self._signal = None if arguments.signal == "none" else arguments.signal

    async def learn(self, questions: Sequence[Question], seconds: float) -> None:
        """Learn from some questions."""
        self._folder.mkdir(parents=True, exist_ok=True)
        if self.is_judged:
            self._say("what it has learned is being judged, so it learns no more")
        else:
            await self._part("learn", questions, seconds)

    async def judge(self, questions: Sequence[Question], seconds: float) -> None:
        """Be judged by other questions."""
        await self._part("judge", questions, seconds)

    def learn_from(self, folder: Path) -> None:
        """Take over what another row has learned.

        Raises:
            UserError: It has learned nothing yet.
        """
        if not self.is_judged:
            if not (folder / STORE).is_file():
                raise UserError(f"it is judged with what the row {folder.name} has learned; ask that one, too")
            self._folder.mkdir(parents=True, exist_ok=True)
            learned, own = sqlite3.connect(folder / STORE), sqlite3.connect(self._folder / STORE)
            with closing(learned), closing(own):
                learned.backup(own)

    @property
    def is_judged(self) -> bool:
        """Whether its judgement has begun, after which nothing may be learned."""
        return (self._folder / "judge" / "results.jsonl").exists()

    async def _part(self, part: str, questions: Sequence[Question], seconds: float) -> None:
        learns = part == "learn"
        setup = configured(self._config, self._folder, self._signal, learns=learns).build(self._model)
        agent = search_agent(setup.model, self._corpus, plugins=setup.plugins, limits=setup.limits)
        try:
            async with asyncio.timeout(max(seconds, 0.0)):
                await evaluate(
                    lambda: agent,
                    questions,
                    out=self._folder / part,
                    name=f"{self._config.name}, {part}",
                    graders=[ExactMatch(), F1()],
                    feedback=self._signal if learns else None,
                    seed=self._arguments.seed,
                    settings={
                        "plugins": self._config.plugins,
                        "split": getattr(self._arguments, f"{part}_split"),
                        "documents": len(self._corpus),
                    },
                    on_progress=lambda progress: self._progress(part, progress, setup.plugins),
                )
        except TimeoutError:
            self._say(f"{part}: cut short after {seconds:.0f} s")
        finally:
            self._keep(setup.plugins)

    def _keep(self, plugins: Iterable[Any]) -> None:
        """Keep what happened beside the runs; what happened in them is in their trajectories."""
        events = [plugin.background.events for plugin in plugins if hasattr(plugin, "background")]
        kinds = (GuidelineLearned, GuidelineRejected, GuidelineMoved, LearningSkipped, PluginFailed)
        lines = [event.to_dict() for one in events for event in one if isinstance(event, kinds)]
        for one in events:
            one.clear()  # a plug-in holds its latest thousand
        with (self._folder / LEARNING).open("a", encoding="utf-8") as file:
            file.writelines(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)

    def _progress(self, part: str, progress: Progress, plugins: Iterable[Any]) -> None:
        self._keep(plugins)
        if (progress.record is not None and progress.done % TOLD == 0) or progress.done == progress.total:
            self._say(
                f"{part}: {progress.done} of {progress.total}, {progress.solved} solved, {progress.seconds:.0f} s"
            )

    def _say(self, text: str) -> None:
        print(f"{self._folder.name}: {text}", flush=True)


def model_of(configs: Sequence[Config], reply: int) -> Model:
    """The one model that all rows ask; on this machine with a slot for each of them. It writes what is likeliest."""
    chosen = configs[0].model
    if chosen is None or any(config.model != chosen for config in configs):
        raise UserError("all rows have to name the same model")
    update: dict[str, Any] = {"sampling": chosen.sampling or Sampling(temperature=0.0, max_tokens=reply)}
    if chosen.local is not None:
        update["server"] = {"slots": len(configs), **chosen.server}
    return chosen.model_copy(update=update).build()


async def run(arguments: argparse.Namespace) -> list[str]:
    """All rows side by side; what went wrong."""
    problems: list[str] = []
    configs: dict[str, Config] = {}
    for row in arguments.rows:
        try:
            configs[row] = load_config(arguments.configs / f"scope-{row}.toml")
        except Exception as error:  # noqa: BLE001 - whatever one row has, the others go on
            problems.append(f"{row}: {error}")
    if not configs:
        raise UserError("; ".join(problems))
    learned, judged = (
        ordered(load_questions(arguments.questions, split=split), arguments.seed)[:limit]
        for split, limit in ((arguments.learn_split, arguments.learn), (arguments.judge_split, arguments.judge))
    )
    if {question.id for question in learned} & {question.id for question in judged}:
        raise UserError("the two parts share questions: what is learned from a question is not judged by it")
    ends = time.monotonic() + 60 * arguments.minutes
    async with AsyncExitStack() as stack:
        corpus = await stack.enter_async_context(Corpus(arguments.corpus))
        model = await stack.enter_async_context(model_of(list(configs.values()), arguments.reply))
        rows = {row: Row(config, arguments.out / row, model, corpus, arguments) for row, config in configs.items()}
        seconds = 60 * arguments.minutes * arguments.learning
        failed = await _failures({row: rows[row].learn(learned, seconds) for row in rows if row not in LEARNED_BY})
        for row in [row for row in rows if row in LEARNED_BY]:
            learner = LEARNED_BY[row]
            if learner in failed:
                failed[row] = f"the row {learner} failed"
                continue
            try:
                rows[row].learn_from(arguments.out / learner)
            except (UserError, sqlite3.Error) as error:
                failed[row] = str(error)
        seconds = ends - time.monotonic()
        failed |= await _failures({row: rows[row].judge(judged, seconds) for row in rows if row not in failed})
    return [*problems, *(f"{row}: {problem}" for row, problem in failed.items())]


async def _failures(work: Mapping[str, Coroutine[Any, Any, None]]) -> dict[str, str]:
    """Work of rows, side by side; what went wrong, by row."""
    told = await asyncio.gather(*work.values(), return_exceptions=True)
    failures = zip(work, told, strict=True)
    return {row: f"{type(one).__name__}: {one}" for row, one in failures if isinstance(one, BaseException)}


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scope", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("questions", type=Path, metavar="QUESTIONS")
    add("--corpus", type=Path, required=True, metavar="DB")
    add("--out", type=Path, required=True, metavar="DIR")
    add("--configs", type=Path, default=CONFIGS, metavar="DIR", help="where scope-ROW.toml lie")
    add("--rows", nargs="+", default=ROWS, metavar="ROW", help=f"default: {' '.join(ROWS)}")
    add("--learn-split", choices=["develop", "report"], default="develop", help="default: %(default)s")
    add("--judge-split", choices=["develop", "report"], default="report", help="default: %(default)s")
    add("--signal", choices=["f1", "exact_match", "none"], default="f1", help="what plug-ins are told of answers that "
        "they learn from; with none a run counts by its own outcome (default: %(default)s)")  # fmt: skip
    add("--learn", type=int, metavar="N", help="questions to learn from (default: all of the split)")
    add("--judge", type=int, metavar="N", help="questions to be judged by (default: all of the split)")
    add("--seed", type=int, default=0, help="decides the order of the questions (default: %(default)s)")
    add("--minutes", type=float, default=float("inf"), metavar="N", help="for all of it; what is at work then is cut")
    add("--learning", type=float, default=0.6, metavar="SHARE", help="of the time (default: %(default)s)")
    add("--reply", type=int, default=400, metavar="N", help="tokens of a reply at most (default: %(default)s)")
    add("--resamples", type=int, default=2000, metavar="N", help="of the intervals (default: %(default)s)")
    arguments = parser.parse_args(argv)
    arguments.out = arguments.out.absolute()
    try:
        problems = asyncio.run(run(arguments))
    except AgentInferError as error:
        problems = [str(error)]
    folders = [arguments.out / row for row in arguments.rows if (arguments.out / row).is_dir()]
    print(f"\n{render(folders, seed=arguments.seed, resamples=arguments.resamples)}", flush=True)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
