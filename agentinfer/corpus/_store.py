"""A corpus opened for searching."""

import asyncio
import difflib
import os
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Self, TypeVar

from agentinfer.corpus._format import RANK, VERSION, version_of
from agentinfer.corpus._snippet import snippet, term_pattern
from agentinfer.corpus._text import clean, folded, match_expression, query_terms
from agentinfer.corpus._types import Document, Hit
from agentinfer.errors import CorpusError, UserError

_T = TypeVar("_T")
_THREADS = 4
_MAX_HITS = 1_000
_SNIPPET_CHARS = 200_000
_NAMED_CHARS = 200

_SEARCH = """
SELECT d.id, d.title, substr(d.text, 1, ?), best.rank
FROM (SELECT rowid, rank FROM words WHERE words MATCH ? AND rank MATCH ? ORDER BY rank LIMIT ?) AS best
JOIN documents AS d ON d.number = best.rowid
ORDER BY best.rank, d.number
"""

_TITLES_FROM = "SELECT folded, title FROM documents WHERE folded >= ? AND folded < ? LIMIT 1000"
_TITLES_WITH = """
SELECT d.folded, d.title
FROM (SELECT rowid FROM words WHERE words MATCH ? ORDER BY rank LIMIT 50) AS best
JOIN documents AS d ON d.number = best.rowid
"""


class Corpus:
    """A read-only handle on one corpus file; use it with `async with`, or call `aclose`.

    SQLite runs in a few threads of its own, each with its own connection, so searches run side by side and
    never hold up the event loop. A search whose task is cancelled ends in its thread unnoticed. A file
    rebuilt meanwhile takes the old one's place for handles opened afterwards; this one goes on reading what
    it had opened.

    Args:
        path: A file written by `build`.

    Raises:
        CorpusError: The file is missing, not a corpus, damaged, or of another format version.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        _check(self.path)
        self._connections: SimpleQueue[sqlite3.Connection] = SimpleQueue()
        self._closed = False
        try:
            uri = f"{self.path.resolve().as_uri()}?mode=ro&immutable=1"
            for _ in range(_THREADS):
                self._connections.put(sqlite3.connect(uri, uri=True, check_same_thread=False, isolation_level=None))
            self._count = self._with_connection(_count)
        except BaseException as error:
            self._close_connections()
            if isinstance(error, sqlite3.Error):
                raise CorpusError(f"cannot read the corpus {self.path}: {error}") from error
            raise
        self._executor = ThreadPoolExecutor(_THREADS, thread_name_prefix="corpus")

    def __len__(self) -> int:
        return self._count

    async def search(self, query: str, top_k: int = 5) -> list[Hit]:
        """Find documents that have any of the query's words, best first.

        Args:
            query: Any text. Operators have no meaning; case, accents and endings of English words make no
                difference.
            top_k: How many documents to return at most; 1,000 are never exceeded.

        Returns:
            One hit per document, each with the passage that fits best. Nothing where the query has no words.

        Raises:
            CorpusError: The corpus is closed or damaged.
            UserError: `top_k` is below 1.
        """
        if top_k < 1:
            raise UserError(f"top_k must be at least 1, not {top_k}")
        terms = query_terms(query)
        if not terms:
            return []
        return await self._run(lambda connection: _search(connection, terms, min(top_k, _MAX_HITS)))

    async def open(self, id_or_title: str) -> Document:
        """Return one whole document.

        Args:
            id_or_title: Its id, or its title (case makes no difference); the first of several with the same
                title.

        Raises:
            CorpusError: There is no such document, and the message names the closest titles; or the corpus is
                closed or damaged.
        """
        return await self._run(lambda connection: _open(connection, clean(id_or_title)))

    async def aclose(self) -> None:
        """Close the file once the searches under way have ended."""
        if not self._closed:
            self._closed = True
            await asyncio.to_thread(self._shut_down)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def _run(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        if self._closed:
            raise CorpusError(f"the corpus {self.path} is closed")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, self._with_connection, work)
        except sqlite3.Error as error:
            raise CorpusError(f"cannot read the corpus {self.path}: {error}") from error

    def _with_connection(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        # There are as many connections as threads, so one is always free.
        connection = self._connections.get()
        try:
            return work(connection)
        finally:
            self._connections.put(connection)

    def _shut_down(self) -> None:
        self._executor.shutdown()
        self._close_connections()

    def _close_connections(self) -> None:
        while not self._connections.empty():
            self._connections.get().close()


def _check(path: Path) -> None:
    try:
        version = version_of(path)
    except FileNotFoundError:
        raise CorpusError(f"there is no corpus at {path}") from None
    except OSError as error:
        raise CorpusError(f"cannot read the corpus {path}: {error.strerror or error}") from error
    if version is None:
        raise CorpusError(f"{path} is not a corpus; build one from a .jsonl file or a folder of documents")
    if version != VERSION:
        raise CorpusError(f"{path} has corpus format {version}, this version reads format {VERSION}: build it again")


def _count(connection: sqlite3.Connection) -> int:
    # Documents are numbered from 1 without gaps: counting them would read an entire index.
    (highest,) = connection.execute("SELECT max(number) FROM documents").fetchone()
    return int(highest or 0)


def _search(connection: sqlite3.Connection, terms: list[str], top_k: int) -> list[Hit]:
    rows = connection.execute(_SEARCH, (_SNIPPET_CHARS, match_expression(terms), RANK, top_k)).fetchall()
    pattern = term_pattern(terms)
    return [Hit(id_, title, snippet(text, pattern, title=title), -rank) for id_, title, text, rank in rows]


def _open(connection: sqlite3.Connection, wanted: str) -> Document:
    row = connection.execute("SELECT id, title, text FROM documents WHERE id = ?", (wanted,)).fetchone()
    if row is None:
        row = connection.execute(
            "SELECT id, title, text FROM documents WHERE folded = ? ORDER BY title = ? DESC, number LIMIT 1",
            (folded(wanted), wanted),
        ).fetchone()
    if row is None:
        raise CorpusError(_miss(connection, wanted))
    return Document(*row)


def _miss(connection: sqlite3.Connection, wanted: str) -> str:
    """Say that a document is not there, and what comes closest."""
    named = repr(wanted if len(wanted) <= _NAMED_CHARS else wanted[:_NAMED_CHARS] + "…")
    key = folded(wanted[:_NAMED_CHARS])
    beginning = key[:3]
    titles = dict(connection.execute(_TITLES_FROM, (beginning, beginning + "\U0010ffff")).fetchall())
    if terms := query_terms(wanted):
        titles.update(connection.execute(_TITLES_WITH, (f"title : ({match_expression(terms)})",)).fetchall())
    closest = sorted((title for title in titles if key and key in title), key=len)
    closest += difflib.get_close_matches(key, titles.keys() - closest, n=3, cutoff=0.4)
    if not closest:
        return f"no document has the id or title {named}: search for it"
    names = ", ".join(repr(titles[title]) for title in closest[:3])
    return f"no document has the id or title {named}; the closest titles: {names}"
