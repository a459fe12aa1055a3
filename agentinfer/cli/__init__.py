"""The command line: `agentinfer ask`, `compare`, `corpus`, `doctor`, `eval`, `models`, `sam`, `scope`, `serve`."""

import argparse
import sys
from collections.abc import Sequence

from agentinfer import __version__
from agentinfer.cli import _ask, _compare, _corpus, _doctor, _eval, _models, _sam, _scope, _serve
from agentinfer.errors import AgentInferError

__all__ = ["main"]

_DESCRIPTION = """\
Run LLM agents over any OpenAI-compatible endpoint, or over a model on this machine.

A first session:
  agentinfer models pull qwen2.5-coder-1.5b-instruct     fetch a small model (1.1 GB)
  agentinfer corpus build docs/ --out docs.db            index a folder of texts
  agentinfer ask "What ...?" --corpus docs.db --local    watch it search and answer

With an endpoint of your own:
  export OPENAI_BASE_URL=http://127.0.0.1:8080/v1 OPENAI_API_KEY=... AGENTINFER_MODEL=...
  agentinfer ask "What ...?" --corpus docs.db
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit code: 0 done, 1 not done, 2 used wrongly, 130 interrupted."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    try:
        return int(arguments.command(arguments))
    except AgentInferError as error:
        print(f"agentinfer: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\nagentinfer: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:  # whoever read our output has left, as `head` does
        sys.stderr.close()
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="agentinfer", description=_DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--version", action="version", version=f"agentinfer {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for module in (_ask, _compare, _corpus, _doctor, _eval, _models, _sam, _scope, _serve):
        module.register(commands)
    return parser
