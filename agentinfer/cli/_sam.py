"""`agentinfer sam`: what drafting would bring."""

import argparse
import itertools
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentinfer.cli._options import Commands
from agentinfer.errors import UserError

if TYPE_CHECKING:
    from agentinfer.sam._simulate import Drafter, Outcome

__all__ = ["register"]

_ABOUT = "what drafting from earlier text would bring"
_EPILOG = """\
Sessions are decoded in their order: a pass verifies a draft, keeps it as far as the model wrote the same, and gives one
token more. Nothing is asked of a model. The speed-up is predicted: by --costs, a JSON object from the tokens of a pass
to its cost, such as {"1": 1, "4": 2.8, "16": 7.5}, measured on the engine at the batch size and context in question.

Example:
  agentinfer eval questions.jsonl --corpus notes.db --out results/plain --local
  agentinfer sam simulate results/plain --floor 0.1 0.3 0.5 --across
"""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("sam", help=_ABOUT, description=_ABOUT)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    simulate = actions.add_parser(
        "simulate",
        help="decode recorded sessions with drafting",
        description="Decode recorded sessions with drafting: tokens per pass, wasted share, predicted speed-up.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    recorded = "a folder that `agentinfer eval --out` has made, or conversations in JSON Lines"
    simulate.add_argument("recorded", type=Path, metavar="PATH", help=recorded)
    simulate.add_argument("-k", type=int, nargs="+", default=[16], help="tokens of a draft at most (default: 16)")
    floors = "the least probability of a drafted token (default: 0.1 0.3 0.5)"
    simulate.add_argument("--floor", type=float, nargs="+", default=[0.1, 0.3, 0.5], metavar="P", help=floors)
    simulate.add_argument("--costs", type=Path, metavar="FILE", help="what a pass costs, by its tokens")
    simulate.add_argument("--across", action="store_true", help="draft from earlier sessions too")
    similar = "from how many of them, the most similar ones; 0: all (default: %(default)s)"
    simulate.add_argument("--similar", type=int, default=32, metavar="N", help=similar)
    simulate.add_argument("--skip", type=int, default=0, metavar="N", help="sessions that only teach, from the start")
    simulate.add_argument(
        "--tokenizer", metavar="NAME", help="bytes, or an encoding of tiktoken with its table on disk"
    )
    simulate.add_argument(
        "--peers", action="store_true", help="compare with n-gram lookup, and with others if installed"
    )
    simulate.add_argument("--peer", type=Path, action="append", default=[], metavar="PATH", help="where a peer lies")
    simulate.add_argument("--json", action="store_true", help="print one JSON object per setting")
    simulate.set_defaults(command=_simulate)


def _simulate(arguments: argparse.Namespace) -> int:
    from agentinfer.sam._simulate import simulate
    from agentinfer.sam._tokens import tokenizer_for
    from agentinfer.sam._trajectories import load_recorded

    if min(arguments.k) < 1 or arguments.similar < 0 or arguments.skip < 0:
        raise UserError("-k must be at least 1; --similar and --skip must not be negative")
    try:
        tokenizer = tokenizer_for(arguments.tokenizer)
    except (FileNotFoundError, ImportError, ValueError) as error:
        raise UserError(f"--tokenizer {arguments.tokenizer}: {error}") from None
    costs = _costs(arguments.costs)
    sessions = load_recorded(arguments.recorded, tokenizer)
    if arguments.skip >= len(sessions):
        raise UserError(f"--skip leaves none of the {len(sessions)} sessions")
    if not arguments.json:
        print(f"{len(sessions)} sessions, tokens by {tokenizer.name}")
        print(f"{'':34}tokens/pass  accepted/pass  wasted{'  predicted speed-up' if costs else ''}")
    for k, (name, make) in itertools.product(arguments.k, _drafters(arguments)):
        outcome = simulate(sessions, make, k=k, costs=costs, skip=arguments.skip)
        row = _row(outcome, name, k)
        if costs is not None:
            row["predicted_speed_up"] = round(outcome.speed_up(costs), 3)
        print(json.dumps(row) if arguments.json else _line(row), flush=True)
    return 0


def _drafters(arguments: argparse.Namespace) -> "Iterator[tuple[str, Callable[[], Drafter]]]":
    from agentinfer.sam._simulate import IndexDrafter

    similar = arguments.similar or None
    for floor in arguments.floor:
        yield (
            f"agentinfer floor={floor}",
            lambda floor=floor: IndexDrafter(floor=floor, across=arguments.across, similar=similar),  # type: ignore[misc]
        )
    if arguments.peers or arguments.peer:
        from agentinfer.sam._peers import peers

        found, missing = peers(arguments.peer, across=arguments.across)
        yield from found
        for name in missing:
            print(f"skipped: {name} is not installed; --peer PATH says where it lies", file=sys.stderr)


def _row(outcome: "Outcome", name: str, k: int) -> dict[str, Any]:
    return {
        "drafter": name,
        "k": k,
        "tokens": outcome.tokens,
        "passes": outcome.passes.total(),
        "tokens_per_pass": round(outcome.tokens_per_pass, 4),
        "accepted_per_pass": round(outcome.accepted_per_pass, 4),
        "wasted": round(outcome.wasted, 4),
    }


def _line(row: dict[str, Any]) -> str:
    name = f"{row['drafter']} k={row['k']}"
    figures = f"{row['tokens_per_pass']:11.2f}  {row['accepted_per_pass']:13.2f}  {row['wasted']:6.0%}"
    return f"{name:34}{figures}" + (f"  {row['predicted_speed_up']:18.2f}" if "predicted_speed_up" in row else "")


def _costs(path: Path | None) -> Any:
    if path is None:
        return None
    from agentinfer.sam._gain import CostTable

    try:
        return CostTable(costs={int(size): float(cost) for size, cost in json.loads(path.read_text()).items()})
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None
    except (AttributeError, OverflowError, RecursionError, TypeError, ValueError) as error:
        raise UserError(f"{path} is no table of costs: {error}") from None
