"""`agentinfer scope`: look at guidelines, and have the last word on them."""

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

from agentinfer.cli._options import Commands
from agentinfer.errors import UserError

if TYPE_CHECKING:
    from agentinfer.scope import Guideline, Snapshot, Space, SqliteStore

__all__ = ["register"]

_ABOUT = "look at the guidelines that agents have learned, and have the last word on them"
_EPILOG = """\
Guidelines on trial are shown to some runs and held out of others, until the runs' outcomes tell whether they help.
Quarantined ones were drawn from what tools returned, or imported: only a person or a second source puts them on trial.

Examples:
  agentinfer scope list guidelines.db
  agentinfer scope approve guidelines.db g-0123456789ab
  agentinfer scope diff guidelines.db 3 7
"""

_Work = Callable[["SqliteStore", "Space", argparse.Namespace], Awaitable[int]]


def register(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "scope", help=_ABOUT, description=_ABOUT, epilog=_EPILOG, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)

    listed = _action(actions, "list", "guidelines and what is known of their worth", _list)
    listed.add_argument("--all", action="store_true", help="retired ones, too")
    listed.add_argument("--spaces", action="store_true", help="the tenants and memories of the file instead")
    listed.add_argument("--json", action="store_true", help="print one JSON object per guideline")

    show = _action(actions, "show", "one guideline with its sources and its history", _show)
    show.add_argument("id", help="as `list` prints it")

    diff = _action(actions, "diff", "what has changed between two revisions", _diff)
    diff.add_argument("first", type=int, nargs="?", default=None, help="the earlier one (default: the one before)")
    diff.add_argument("second", type=int, nargs="?", default=None, help="the later one (default: the latest)")

    retire = _action(actions, "retire", "take guidelines out; they are not learned again", _retire)
    retire.add_argument("ids", nargs="+", metavar="ID")
    retire.add_argument("--reason", default="retired by a person", help="kept with them (default: %(default)s)")

    approve = _action(actions, "approve", "put quarantined or retired guidelines on trial", _approve)
    approve.add_argument("ids", nargs="+", metavar="ID")

    rollback = _action(actions, "rollback", "bring back the state after a revision, as one more change", _rollback)
    rollback.add_argument("revision", type=int)

    export = _action(actions, "export", "write guidelines as JSON", _export)
    export.add_argument("--out", type=Path, metavar="FILE", help="where (default: standard output)")

    imported = _action(actions, "import", "add guidelines from a file", _import, create=True)
    imported.add_argument(
        "file", type=Path, help="what `export` wrote, or a global_rules.json of the public SCOPE project"
    )
    imported.add_argument("--agent", metavar="NAME", help="of a global_rules.json only this agent's rules")
    imported.add_argument("--approve", action="store_true", help="put them on trial, on your word")


def _action(actions: Commands, name: str, about: str, work: _Work, *, create: bool = False) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=about, description=f"{name}: {about}")
    parser.add_argument("store", type=Path, metavar="DB", help="the file of guidelines")
    parser.add_argument("--tenant", metavar="NAME", help="whose (default: nobody's in particular)")
    parser.add_argument("--memory", metavar="NAME", default="default", help="which memory (default: %(default)s)")
    parser.set_defaults(command=lambda arguments: asyncio.run(_run(arguments, work, create=create)))
    return parser


async def _run(arguments: argparse.Namespace, work: _Work, *, create: bool) -> int:
    from agentinfer.scope import Space, SqliteStore

    store = SqliteStore(arguments.store, create=create)
    try:
        return await work(store, Space(arguments.tenant, arguments.memory), arguments)
    finally:
        for path in store.set_aside:
            print(f"{arguments.store} was damaged and is now {path}; a new file was begun", file=sys.stderr)
        await store.aclose()


async def _list(store: "SqliteStore", space: "Space", arguments: argparse.Namespace) -> int:
    if arguments.spaces:
        for there in await store.spaces():
            tenant = "" if there.tenant is None else f"--tenant {_plain(there.tenant)!r} "
            print(f"{tenant}--memory {_plain(there.memory)!r}")
        return 0
    snapshot = await store.load(space)
    shown = [g for g in snapshot.guidelines.values() if arguments.all or g.status != "retired"]
    order = ("kept", "trial", "quarantined", "retired")
    for guideline in sorted(shown, key=lambda g: (order.index(g.status), g.created, g.id)):
        worth = snapshot.worth(guideline.id)
        if arguments.json:
            counts = {"used": worth.used, "helpful": worth.helpful, "harmful": worth.harmful}
            print(json.dumps({**guideline.to_dict(), **counts, "held_out": worth.held_out}, ensure_ascii=False))
        else:
            domain = _plain(guideline.domain)
            print(f"{_plain(guideline.id)}  {guideline.status:<11}  {domain:<10}  {_worth(snapshot, guideline.id)}")
            print(f"    {_plain(guideline.text)}")
    print(f"revision {snapshot.revision}: {_counts(snapshot)}", file=sys.stderr)
    return 0 if shown else 1


async def _show(store: "SqliteStore", space: "Space", arguments: argparse.Namespace) -> int:
    snapshot = await store.load(space)
    guideline = _named(snapshot, arguments.id)
    print(f"{_plain(guideline.id)}  {guideline.status}: {_plain(guideline.reason)}")
    print(f"  {_plain(guideline.text)}")
    if guideline.rationale:
        print(f"  why: {_plain(guideline.rationale)}")
    print(f"  {guideline.kind}, {_plain(guideline.domain)}, confidence {guideline.confidence:.2f}")
    print(f"  {_worth(snapshot, guideline.id)}")
    for source in guideline.sources:
        where = " ".join(filter(None, [source.run, f"step {source.step}" if source.step else "", source.note]))
        print(f"  source: {source.origin}, {_when(source.at)} {_plain(where)}")
    if guideline.merged:
        print(f"  stands for: {', '.join(map(_plain, guideline.merged))}")
    for change in await store.history(space):
        if change.id == guideline.id:
            told = _plain(f"{change.author}: {change.reason}")
            print(f"  revision {change.revision}, {_when(change.at)}: {change.after.status}, by {told}")
    return 0


async def _diff(store: "SqliteStore", space: "Space", arguments: argparse.Namespace) -> int:
    from agentinfer.scope import diff

    history = await store.history(space)
    latest = max((change.revision for change in history), default=0)
    second = latest if arguments.second is None else arguments.second
    first = max(second - 1, 0) if arguments.first is None else arguments.first
    changes = diff(history, first, second)
    for before, after in changes:
        if before is not None:
            print(f"- {_plain(before.id)} {before.status}: {_plain(before.text)} ({len(before.sources)} sources)")
        if after is not None:
            print(f"+ {_plain(after.id)} {after.status}: {_plain(after.text)} ({len(after.sources)} sources)")
    print(f"revision {first} to {second}: {len(changes)} guidelines differ", file=sys.stderr)
    return 0


async def _retire(store: "SqliteStore", space: "Space", arguments: argparse.Namespace) -> int:
    from agentinfer.scope import Move

    snapshot = await store.load(space)
    reason = arguments.reason.encode(errors="replace").decode()  # a shell may give bytes that are no text
    deltas = [Move(_named(snapshot, name).id, "retired", reason) for name in arguments.ids]
    changes = await store.apply(space, deltas, author="person", reason=reason)
    print(f"{len(changes)} retired")
    return 0


async def _approve(store: "SqliteStore", space: "Space", arguments: argparse.Namespace) -> int:
    from agentinfer.scope import Move, Source, Support

    snapshot = await store.load(space)
    source = Source(origin="person", note="approved")
    deltas: list[Move | Support] = []
    for name in arguments.ids:
        guideline = _named(snapshot, name)
        if guideline.status == "retired":
            deltas.append(Move(guideline.id, "quarantined", "brought back", leave="retired"))
        deltas.append(Support(guideline.id, source))
    await store.apply(space, deltas, author="person", reason="approved")
    after = await store.load(space)
    for name in arguments.ids:
        print(f"{_plain(name)} {after.guidelines[name].status}")
    return 0


async def _rollback(store: "SqliteStore", space: "Space", arguments: argparse.Namespace) -> int:
    from agentinfer.scope import undo

    history = await store.history(space)
    latest = max((change.revision for change in history), default=0)
    if not 0 <= arguments.revision <= latest:
        raise UserError(f"there are revisions up to {latest}")
    reason = f"rolled back to revision {arguments.revision}"
    changes = await store.apply(space, undo(history, arguments.revision), author="person", reason=reason)
    print(f"{len(changes)} guidelines changed")
    return 0


async def _export(store: "SqliteStore", space: "Space", arguments: argparse.Namespace) -> int:
    from agentinfer.scope import dump_guidelines

    text = dump_guidelines((await store.load(space)).guidelines.values())
    if arguments.out is None:
        sys.stdout.write(text)
        return 0
    try:
        if arguments.out.exists() and arguments.out.samefile(store.path):
            raise UserError(f"{arguments.out} is the file of guidelines itself: write to another one")
        arguments.out.write_text(text, encoding="utf-8", errors="replace")
    except OSError as error:
        raise UserError(f"cannot write {arguments.out}: {error.strerror or error}") from None
    return 0


async def _import(store: "SqliteStore", space: "Space", arguments: argparse.Namespace) -> int:
    from agentinfer.scope import Add, Source, read_guidelines

    try:
        text = arguments.file.read_bytes().decode("utf-8-sig", errors="replace")
        imported = read_guidelines(text, agent=arguments.agent)
    except OSError as error:
        raise UserError(f"cannot read {arguments.file}: {error.strerror or error}") from None
    except UserError as error:
        raise UserError(f"{arguments.file}: {error}") from None
    guidelines = list(imported.guidelines)
    if arguments.approve:
        person = Source(origin="person", note=f"imported from {arguments.file.name}")
        guidelines = [g if g.status == "retired" else g.supported(person) for g in guidelines]
    changes = await store.apply(space, [Add(g) for g in guidelines], author="person", reason="imported")
    for problem in imported.problems[:20]:
        print(f"left out: {_plain(problem)}", file=sys.stderr)
    waiting = sum(change.after.status == "quarantined" for change in changes)
    told = f"; {waiting} of them quarantined until you approve them" if waiting else ""
    print(f"{len(changes)} of {len(imported.guidelines) + len(imported.problems)} taken{told}")
    return 0


def _named(snapshot: "Snapshot", name: str) -> "Guideline":
    if name not in snapshot.guidelines:
        raise UserError(f"there is no guideline {name!r}: `agentinfer scope list --all` names them")
    return snapshot.guidelines[name]


def _worth(snapshot: "Snapshot", name: str) -> str:
    worth = snapshot.worth(name)
    means = [
        f"{score / runs:.2f} {told}"
        for score, runs, told in ((worth.score, worth.used, "with"), (worth.held_out_score, worth.held_out, "without"))
        if runs
    ]
    counts = f"used {worth.used}, helpful {worth.helpful}, harmful {worth.harmful}, held out {worth.held_out}"
    return f"{counts}{' (' + ', '.join(means) + ')' if means else ''}"


def _counts(snapshot: "Snapshot") -> str:
    statuses = [guideline.status for guideline in snapshot.guidelines.values()]
    return ", ".join(f"{statuses.count(s)} {s}" for s in ("kept", "trial", "quarantined", "retired"))


def _when(at: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M", time.localtime(at))
    except (OverflowError, ValueError, OSError):  # an imported file may say anything
        return "at no known time"


def _plain(text: str) -> str:
    """A text without what a terminal would take for commands."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
