"""`agentinfer eval`: an agent asked a set of questions, graded, and everything it spent accounted for."""

import argparse
import asyncio
import functools
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentinfer.agent import Agent
from agentinfer.cli._options import (
    CORPUS,
    Commands,
    add_limit_options,
    add_model_options,
    is_local,
    limits_of,
    setup_of,
)
from agentinfer.errors import LocalModelError, ModelError, UserError
from agentinfer.models import Model, ReplayBackend, record

if TYPE_CHECKING:
    from agentinfer.cli._eval_view import EvalView
    from agentinfer.config import Config, Setup
    from agentinfer.corpus import Corpus
    from agentinfer.evals import Question, Summary

__all__ = ["register"]

_EPILOG = """\
DIR holds results.jsonl (a line per question), trajectories/ and config.json. The same command goes on where it was
interrupted, and asks no finished question again; with a higher --limit it asks more.

The exit code is 0 where all questions are finished, 1 where the model or the disk gave up before, 2 where the command
cannot be run as it was given, 130 after Ctrl-C.

Examples:
  agentinfer eval questions.jsonl --corpus wiki.db --local --limit 20 --out results/agent
  agentinfer eval questions.jsonl --corpus wiki.db --local --limit 20 --out results/closed --mode closed-book
  agentinfer eval questions.jsonl --corpus wiki.db --config my.toml --config all --out results/stack
"""

_CONFIG = """a TOML or YAML file that names the model, plug-ins and their settings. "all" runs plain, every installed
plug-in alone, all together, and all but one each, in folders of their own; it may stand beside a file"""
_MODES = "an agent that searches, no tools at all, or one search with the question itself (default: %(default)s)"
_SPLIT = "only the questions whose id has an even SHA-256 (develop), or an odd one (report)"
_FEEDBACK = """tell plug-ins what this grader says of each answer, for them to learn from; since they know right answers
then, such questions do not say what the agent is worth"""
_LIMIT = "ask only so many questions, the first in the order that --seed gives"
_CHANGE = "go on in DIR though it was made with another configuration"


def register(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "eval",
        help="ask an agent a set of questions and grade the answers",
        description="Ask an agent a set of questions, grade the answers, and account for everything spent.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "questions", type=Path, metavar="QUESTIONS", help='JSON Lines of {"id", "question", "answers": [...]}'
    )
    parser.add_argument("--corpus", metavar="DB", type=Path, help=CORPUS)
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="where the results are kept")
    parser.add_argument("--config", metavar="FILE", action="append", default=[], help=_CONFIG)
    parser.add_argument("--mode", choices=["agent", "closed-book", "one-shot"], default="agent", help=_MODES)
    add_model_options(parser)
    add_limit_options(parser)
    which = parser.add_argument_group("questions")
    which.add_argument("--split", choices=["develop", "report"], help=_SPLIT)
    which.add_argument("--limit", type=int, metavar="N", help=_LIMIT)
    which.add_argument("--seed", type=int, default=0, help="decides the order of the questions (default: %(default)s)")
    parser.add_argument(
        "--concurrency", type=int, default=1, metavar="N", help="questions at work at once (default: %(default)s)"
    )
    parser.add_argument("--feedback", choices=["exact_match", "f1", "judge"], help=_FEEDBACK)
    tapes = parser.add_mutually_exclusive_group()
    tapes.add_argument("--record", metavar="DIR", type=Path, help="keep every exchange with the endpoint")
    tapes.add_argument("--replay", metavar="DIR", type=Path, help="answer from what --record kept, without a model")
    parser.add_argument("--change", action="store_true", help=_CHANGE)
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    parser.add_argument("--quiet", action="store_true", help="do not show the progress")
    parser.set_defaults(command=_eval)


def _eval(arguments: argparse.Namespace) -> int:
    from agentinfer.cli._eval_view import EvalView
    from agentinfer.evals import EvalError, load_questions

    questions = load_questions(arguments.questions, split=arguments.split)
    if arguments.corpus is None and arguments.mode != "closed-book":
        raise UserError("there is nothing to search: give --corpus, or --mode closed-book")
    view = EvalView(quiet=arguments.quiet)
    try:
        summaries = asyncio.run(_run(arguments, questions, view))
    except KeyboardInterrupt:
        print(f"\ninterrupted; {view.finished()}", file=sys.stderr)
        return 130
    except (ModelError, LocalModelError, EvalError) as error:
        if isinstance(error, EvalError) and not isinstance(error.__cause__, OSError):
            raise
        print(f"agentinfer: {error}\n{view.finished()}", file=sys.stderr)
        return 1
    _print(summaries, as_json=arguments.json)
    return 0


async def _run(arguments: argparse.Namespace, questions: list["Question"], view: "EvalView") -> dict[str, "Summary"]:
    """Evaluate each configuration; their summaries by name."""
    from agentinfer.evals import F1, ExactMatch, Judge, evaluate, one_shot, summarise

    base, chosen = _configs(arguments.config)
    widest = setup_of(arguments, max(chosen.values(), key=lambda config: len(config.plugins)))
    setups = {name: config.build(widest.model, widest.small) for name, config in chosen.items()}
    judge = None if base.judge is None else base.judge.build()
    async with AsyncExitStack() as stack:
        corpus = None
        if arguments.corpus is not None and arguments.mode != "closed-book":
            from agentinfer.corpus import Corpus

            corpus = await stack.enter_async_context(Corpus(arguments.corpus))
        models = [model for model in (widest.model, widest.small, judge) if model is not None]
        for model in models:
            _tape(model, arguments)
        if is_local(widest.model) and not arguments.quiet:
            print(f"{widest.model.name} runs on this machine", file=sys.stderr)
        for model in models if len(chosen) > 1 else models[1:]:  # an agent opens its own model
            await stack.enter_async_context(model)
        summaries = {}
        for name, setup in setups.items():
            view.begin(label := _label(name, arguments))
            records = await evaluate(
                functools.partial(_agent, arguments, setup, corpus),
                questions,
                out=arguments.out / name if "all" in arguments.config else arguments.out,
                name=label,
                prompt=one_shot(corpus) if corpus is not None and arguments.mode == "one-shot" else None,
                graders=[ExactMatch(), F1(), *([] if judge is None else [Judge(judge)])],
                feedback=arguments.feedback,
                concurrency=arguments.concurrency,
                seed=arguments.seed,
                limit=arguments.limit,
                settings={
                    "mode": arguments.mode,
                    "replayed": arguments.replay is not None,
                    "endpoint": setup.model.endpoint,
                    "config": chosen[name].model_dump(mode="json", exclude_none=True, exclude={"name"}),
                    "corpus": None if corpus is None else {"file": corpus.path.name, "documents": len(corpus)},
                },
                change=arguments.change,
                on_progress=view,
            )
            summaries[name] = summarise(records)
    return summaries


def _configs(given: list[str]) -> tuple["Config", dict[str, "Config"]]:
    """The configuration that was given, and those to run, by name."""
    from agentinfer.config import Config, load_config, variants

    files = [name for name in given if name != "all"]
    if len(files) > 1:
        raise UserError(f"there can be one configuration, and `all` beside it: {', '.join(files)}")
    base = load_config(files[0]) if files else Config()
    if "all" not in given:
        return base, {base.name: base}
    chosen, missing = variants(base)
    if missing:
        print(f"skipped, since not installed: {', '.join(missing)}", file=sys.stderr)
    return base, chosen


def _label(name: str, arguments: argparse.Namespace) -> str:
    """What a configuration is called in tables: what was fed back, and seconds of a replay, count for little."""
    mode = [] if arguments.mode == "agent" else [arguments.mode]
    told = [] if arguments.feedback is None else [f"told {arguments.feedback}"]
    return ", ".join([name, *mode, *told, *([] if arguments.replay is None else ["replayed"])])


def _agent(arguments: argparse.Namespace, setup: "Setup", corpus: "Corpus | None") -> Agent:
    """The agent of a mode."""
    from agentinfer.evals import CLOSED_BOOK, ONE_SHOT
    from agentinfer.search import search_agent

    settings: dict[str, Any] = {"limits": limits_of(arguments, setup), "plugins": setup.plugins}
    if arguments.mode == "closed-book":
        return Agent(setup.model, instructions=CLOSED_BOOK, **settings)
    if arguments.mode == "one-shot":
        return Agent(setup.model, instructions=ONE_SHOT, **settings)
    assert corpus is not None
    return search_agent(setup.model, corpus, **settings)


def _tape(model: Model, arguments: argparse.Namespace) -> None:
    """Record a model's exchanges, or answer from a recording."""
    if arguments.record is not None:
        record(model, arguments.record)
    if arguments.replay is not None:
        model.backend = ReplayBackend(arguments.replay, endpoint=model.endpoint)


def _print(summaries: dict[str, "Summary"], *, as_json: bool) -> None:
    from agentinfer.evals import render_summary

    if as_json:
        print(json.dumps({name: summary.to_dict() for name, summary in summaries.items()}, ensure_ascii=False))
    else:
        print("\n\n".join(render_summary(summary) for summary in summaries.values()))
