"""What the SQLite store reads and writes, on a connection that is open: each function is one transaction."""

import contextlib
import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import MappingProxyType

from agentinfer.errors import UserError
from agentinfer.scope._deltas import Change, Delta, Snapshot, reduce, touched
from agentinfer.scope._guideline import Guideline, Space, key_of
from agentinfer.scope._store import Outcome, Score, change_of, replaces, rescored, scores_of
from agentinfer.scope._trial import Evidence

__all__ = ["apply", "history", "load", "record", "spaces"]

_GUIDELINES = "SELECT data FROM guidelines WHERE space = ? ORDER BY created, id"
_EVIDENCE = "SELECT guideline, used, score, held_out, held_out_score, helpful FROM evidence WHERE space = ?"
_KEEP_EVIDENCE = """
INSERT OR REPLACE INTO evidence (space, guideline, used, score, held_out, held_out_score, helpful)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_SCORE = "SELECT shown, score, firm FROM scores WHERE space = ? AND guideline = ? AND run = ?"
_KEEP_SCORE = """
INSERT OR REPLACE INTO scores (space, guideline, run, shown, score, firm, at) VALUES (?, ?, ?, ?, ?, ?, ?)
"""


def load(connection: sqlite3.Connection, space: Space) -> Snapshot:
    """The guidelines of a space, and what is known of their worth."""
    key = _key(space)
    connection.execute("BEGIN")  # one state for the three
    try:
        rows = connection.execute(_GUIDELINES, (key,)).fetchall()
        known = connection.execute(_EVIDENCE, (key,)).fetchall()
        revision = _revision(connection, key)
    finally:
        connection.execute("COMMIT")
    guidelines = [_read(data) for (data,) in rows]
    evidence = {name: _evidence(row) for name, *row in known}
    return Snapshot(revision, MappingProxyType({g.id: g for g in guidelines}), MappingProxyType(evidence))


def apply(
    connection: sqlite3.Connection, space: Space, deltas: Sequence[Delta], author: str, reason: str
) -> list[Change]:
    """Apply deltas in order, all of them or none; what has changed."""
    name = _key(space)
    changes: list[Change] = []
    with _transaction(connection):
        revision = _revision(connection, name) + 1
        for delta in deltas:
            ids, key = touched(delta)
            marks = ", ".join("?" * len(ids))
            query = f"SELECT data FROM guidelines WHERE space = ? AND (id IN ({marks}) OR key = ?)"  # noqa: S608 - only marks
            known = [_read(data) for (data,) in connection.execute(query, (name, *ids, key or ""))]
            before = {guideline.id: guideline for guideline in known}
            for after in reduce(delta, known):
                changes.append(change_of(revision, author, reason, before.get(after.id), after))
                _write(connection, name, changes[-1])
    return changes


def record(connection: sqlite3.Connection, space: Space, outcome: Outcome) -> None:
    """Note what a run scored."""
    name, now = _key(space), time.time()
    with _transaction(connection):
        for guideline, score in scores_of(outcome):
            found = connection.execute(_SCORE, (name, guideline, outcome.run)).fetchone()
            before = None if found is None else Score(*found)
            if replaces(score, before):
                connection.execute(_KEEP_SCORE, (name, guideline, outcome.run, *score, now))
                _count(connection, name, guideline, before, score)


def history(connection: sqlite3.Connection, space: Space) -> list[Change]:
    """Every change of a space, oldest first."""
    rows = connection.execute(
        "SELECT revision, at, author, reason, before, after FROM changes WHERE space = ? ORDER BY number",
        (_key(space),),
    )
    return [
        Change(
            revision=revision,
            at=at,
            author=author,
            reason=reason,
            before=None if before is None else _read(before),
            after=_read(after),
        )
        for revision, at, author, reason, before, after in rows
    ]


def spaces(connection: sqlite3.Connection) -> list[Space]:
    """The spaces that hold guidelines."""
    rows = connection.execute("SELECT DISTINCT space FROM guidelines ORDER BY space").fetchall()
    return [Space(*json.loads(name)) for (name,) in rows]


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise


def _write(connection: sqlite3.Connection, space: str, change: Change) -> None:
    after, before = change.after, change.before
    data = _dump(after)
    connection.execute(
        "INSERT OR REPLACE INTO guidelines (space, id, key, created, data) VALUES (?, ?, ?, ?, ?)",
        (space, after.id, key_of(after.text), after.created, data),
    )
    connection.execute(
        "INSERT INTO changes (space, revision, at, author, reason, before, after) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (space, change.revision, change.at, change.author, change.reason, before and _dump(before), data),
    )
    if change.brings_back:
        connection.execute("DELETE FROM scores WHERE space = ? AND guideline = ?", (space, after.id))
        connection.execute("DELETE FROM evidence WHERE space = ? AND guideline = ?", (space, after.id))


def _count(connection: sqlite3.Connection, space: str, guideline: str, before: Score | None, score: Score) -> None:
    """Keep what the scores of a guideline come to, so that nobody has to read them all."""
    row = connection.execute(f"{_EVIDENCE} AND guideline = ?", (space, guideline)).fetchone()
    found = rescored(Evidence() if row is None else _evidence(row[1:]), before, score)
    sums = (found.used, found.score, found.held_out, found.held_out_score, found.helpful)
    connection.execute(_KEEP_EVIDENCE, (space, guideline, *sums))


def _revision(connection: sqlite3.Connection, space: str) -> int:
    (revision,) = connection.execute("SELECT max(revision) FROM changes WHERE space = ?", (space,)).fetchone()
    return revision or 0


def _key(space: Space) -> str:
    return json.dumps([space.tenant, space.memory])


def _evidence(row: Sequence[float]) -> Evidence:
    used, score, held_out, held_out_score, helpful = row
    return Evidence(
        used=int(used), score=score, held_out=int(held_out), held_out_score=held_out_score, helpful=int(helpful)
    )


def _dump(guideline: Guideline) -> str:
    return json.dumps(guideline.to_dict())


def _read(data: str) -> Guideline:
    try:
        return Guideline.from_dict(json.loads(data))
    except ValueError as error:
        raise UserError(str(error)) from None
