"""The file that holds a corpus: one SQLite database with a mark of its own."""

from pathlib import Path

APPLICATION_ID = 0x61696E66  # "ainf", which `file` and SQLite show
VERSION = 1

SCHEMA = f"""
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
CREATE TABLE documents (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    folded TEXT NOT NULL,
    text TEXT NOT NULL
);
CREATE VIRTUAL TABLE words USING fts5(
    title, text, content='', tokenize='porter unicode61 remove_diacritics 2'
);
"""

RANK = "bm25(4.0, 1.0)"
"""A word in the title counts four times."""


def version_of(path: Path) -> int | None:
    """Return the format version of a corpus file, or None for any other file.

    Args:
        path: An existing file.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        header = file.read(100)
    if len(header) < 100 or not header.startswith(b"SQLite format 3\0"):
        return None
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        return None
    return int.from_bytes(header[60:64], "big")
