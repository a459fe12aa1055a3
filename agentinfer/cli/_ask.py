"""`agentinfer ask`: watch an agent answer a question."""

import argparse
import asyncio
import json
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from agentinfer.agent import Agent
from agentinfer.cli._live import LiveView, summary
from agentinfer.cli._options import (
    CORPUS,
    Commands,
    add_limit_options,
    add_model_options,
    config_of,
    is_local,
    limits_of,
    setup_of,
)
from agentinfer.result import RunResult

__all__ = ["register"]

_CONFIG = "a TOML or YAML file that names the model, plug-ins and their settings"

_EPILOG = """\
The run is shown on standard error, the answer goes to standard output. The exit code is 0 where there is an answer,
1 where there is none, 2 where the command cannot be run as it was given, 130 after Ctrl-C.

Examples:
  agentinfer ask "When was the birthplace of the director of Jaws founded?" --corpus wiki.db --local
  agentinfer ask "..." --corpus wiki.db --base-url http://127.0.0.1:8080/v1 --model my-model --json
"""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "ask",
        help="ask an agent a question",
        description="Ask an agent a question, and watch it search and answer.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("question", help="what you want to know")
    parser.add_argument("--corpus", metavar="DB", type=Path, help=CORPUS)
    parser.add_argument("--config", metavar="FILE", type=Path, help=_CONFIG)
    add_model_options(parser, small=True)
    add_limit_options(parser)
    parser.add_argument("--json", action="store_true", help="print the whole result as JSON: answer, usage, transcript")
    parser.add_argument("--quiet", action="store_true", help="do not show the run")
    parser.set_defaults(command=_ask)


def _ask(arguments: argparse.Namespace) -> int:
    view = LiveView()
    try:
        result = asyncio.run(_run(arguments, view))
    except KeyboardInterrupt:
        if view.result is not None:
            print(f"interrupted after {summary(view.result)}", file=sys.stderr)
            if arguments.json:
                print(json.dumps(view.result.to_dict(), ensure_ascii=False))
        return 130
    if arguments.json:
        print(json.dumps(result.to_dict(), ensure_ascii=False))
    if not arguments.quiet:
        print(summary(result), file=sys.stderr)
    if result.error is not None:
        print(f"agentinfer: {result.error}", file=sys.stderr)
    elif result.answer is None:
        print(f"agentinfer: there is no answer ({result.stop_reason})", file=sys.stderr)
    if result.answer is not None and not arguments.json:
        print(result.answer)
    return 1 if result.answer is None else 0


async def _run(arguments: argparse.Namespace, view: LiveView) -> RunResult[Any]:
    setup = setup_of(arguments, config_of(arguments.config))
    settings: dict[str, Any] = {"limits": limits_of(arguments, setup), "plugins": setup.plugins}
    async with AsyncExitStack() as stack:
        if arguments.corpus is None:
            agent = Agent(setup.model, **settings)
        else:
            from agentinfer.corpus import Corpus
            from agentinfer.search import search_agent

            corpus = await stack.enter_async_context(Corpus(arguments.corpus))
            agent = search_agent(setup.model, corpus, **settings)
        if is_local(setup.model) and not arguments.quiet:
            print(f"starting {setup.model.name} on this machine ...", file=sys.stderr)
        if setup.small is not None:
            await stack.enter_async_context(setup.small)
        await stack.enter_async_context(agent)
        return await agent.run(arguments.question, on_event=view if not arguments.quiet else _keep(view))


def _keep(view: LiveView) -> Any:
    """Show nothing, and keep the result for Ctrl-C."""

    def observe(event: Any) -> None:
        if event.kind == "RunFinished":
            view.result = event.result

    return observe
