"""The tables of the SQLite store, version by version."""

import sqlite3

from agentinfer.scope._store import StoreError

__all__ = ["APPLICATION", "MIGRATIONS", "check_ours", "migrate"]

APPLICATION = 0x53434F50
"""Marks a file as ours: `SCOP`."""

MIGRATIONS: list[str] = [
    """
    CREATE TABLE guidelines (
        space TEXT NOT NULL, id TEXT NOT NULL, key TEXT NOT NULL, created REAL NOT NULL, data TEXT NOT NULL,
        PRIMARY KEY (space, id)
    ) WITHOUT ROWID;
    CREATE INDEX guidelines_by_key ON guidelines (space, key);
    CREATE TABLE changes (
        number INTEGER PRIMARY KEY, space TEXT NOT NULL, revision INTEGER NOT NULL, at REAL NOT NULL,
        author TEXT NOT NULL, reason TEXT NOT NULL, before TEXT, after TEXT NOT NULL
    );
    CREATE INDEX changes_by_space ON changes (space, revision);
    CREATE TABLE scores (
        space TEXT NOT NULL, guideline TEXT NOT NULL, run TEXT NOT NULL,
        shown INTEGER NOT NULL, score REAL NOT NULL, firm INTEGER NOT NULL, at REAL NOT NULL,
        PRIMARY KEY (space, guideline, run)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE evidence (
        space TEXT NOT NULL, guideline TEXT NOT NULL, used INTEGER NOT NULL, score REAL NOT NULL,
        held_out INTEGER NOT NULL, held_out_score REAL NOT NULL, helpful INTEGER NOT NULL,
        PRIMARY KEY (space, guideline)
    ) WITHOUT ROWID;
    INSERT INTO evidence (space, guideline, used, score, held_out, held_out_score, helpful)
        SELECT space, guideline, sum(shown), sum(shown * score), sum(1 - shown), sum((1 - shown) * score),
            sum(shown * (score >= 0.5))
        FROM scores GROUP BY space, guideline;
    """,
]
"""What leads from each version to the next; version 0 is an empty file. A released one is never changed."""


def check_ours(connection: sqlite3.Connection) -> None:
    """Check that a file is empty or ours, before anything is changed in it.

    Raises:
        StoreError: It is a database of something else, or of a later version of this library.
    """
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if application != APPLICATION and tables:
        raise StoreError("it is a database of something else")
    if version_of(connection) > len(MIGRATIONS):
        raise StoreError(f"it is of version {version_of(connection)}, this library knows up to {len(MIGRATIONS)}")


def migrate(connection: sqlite3.Connection) -> None:
    """Bring a file to the newest version, each version whole or not at all."""
    while (version := version_of(connection)) < len(MIGRATIONS):
        # The whole script is one transaction: another process may be at it too, so look again inside.
        connection.execute("BEGIN IMMEDIATE")
        try:
            if version_of(connection) == version:
                for statement in filter(str.strip, MIGRATIONS[version].split(";")):
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
                connection.execute(f"PRAGMA user_version = {version + 1}")
            connection.execute("COMMIT")
        except BaseException:
            connection.execute("ROLLBACK")
            raise


def version_of(connection: sqlite3.Connection) -> int:
    """The version of a file; 0 for an empty one."""
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
