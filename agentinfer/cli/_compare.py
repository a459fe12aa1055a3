"""`agentinfer compare`: evaluations side by side."""

import argparse
import sys
from pathlib import Path

from agentinfer.cli._options import Commands
from agentinfer.errors import UserError

__all__ = ["register"]

_EPILOG = """\
The first folder is what the others are compared to, over the questions that both have answered. Intervals come from
drawing questions again and again (paired bootstrap); the same seed gives the same ones.

Example:
  agentinfer compare results/plain results/compacted --html compare.html
"""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "compare",
        help="compare evaluations",
        description="Compare folders made by `agentinfer eval`: accuracy, tokens, seconds and cost, each with its "
        "interval, and the questions won and lost.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("directories", nargs="+", type=Path, metavar="DIR", help="a folder of results")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a page with plots as well")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the draws (default: %(default)s)")
    parser.add_argument(
        "--resamples", type=int, default=2000, metavar="N", help="how many draws (default: %(default)s)"
    )
    parser.add_argument(
        "--margin",
        type=float,
        default=0.1,
        metavar="SHARE",
        help="a difference with a wider interval is called inconclusive: of shares in points (0.1 is ten points), "
        "of all else of the first folder's figure (default: %(default)s)",
    )
    parser.add_argument(
        "--large-model", metavar="NAME", help="whose share of calls to tell (default: what each configuration says)"
    )
    parser.add_argument(
        "--questions", type=int, default=20, metavar="N", help="wins and losses listed of each (default: %(default)s)"
    )
    parser.set_defaults(command=_compare)


def _compare(arguments: argparse.Namespace) -> int:
    from agentinfer.evals._compare import compare
    from agentinfer.evals._compare_text import render_comparison
    from agentinfer.evals._html import render_html

    if arguments.questions < 0:
        raise UserError("--questions must not be negative")
    comparison = compare(
        arguments.directories,
        seed=arguments.seed,
        resamples=arguments.resamples,
        margin=arguments.margin,
        large=arguments.large_model,
    )
    print(render_comparison(comparison, questions=arguments.questions))
    if arguments.html is not None:
        try:
            arguments.html.write_text(render_html(comparison), encoding="utf-8")
        except OSError as error:
            raise UserError(f"cannot write {arguments.html}: {error.strerror or error}") from None
        print(f"written: {arguments.html}", file=sys.stderr)
    return 0
