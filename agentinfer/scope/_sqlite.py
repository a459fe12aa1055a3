"""Guidelines in a SQLite file (WAL): many processes may write it at once."""

import asyncio
import contextlib
import logging
import os
import sqlite3
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from agentinfer.errors import UserError
from agentinfer.local._lock import file_lock
from agentinfer.scope import _rows
from agentinfer.scope._deltas import Change, Delta, Snapshot
from agentinfer.scope._guideline import Space
from agentinfer.scope._schema import check_ours, migrate
from agentinfer.scope._store import Outcome, StoreError

__all__ = ["SqliteStore"]

T = TypeVar("T")

_log = logging.getLogger(__name__)
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class SqliteStore:
    """Keeps guidelines in a file.

    SQLite runs in a thread of its own, never on the event loop. Writers of all processes wait for each other; what
    `apply` and `record` report as written has been synchronised to the disk. A damaged file is set aside beside its
    place, with a warning in the log of this module, and a new one is begun; it is never written to.

    Args:
        path: The file; made where there is none. Tenants and memories are rows in it, never names of files.
        create: Whether to begin a new file where there is none, or a damaged one; else that is an error.
        patience: Seconds to wait for other writers.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True, patience: float = 60.0) -> None:
        self.path = Path(path)
        self.set_aside: list[Path] = []
        """Damaged files that this store has moved out of the way."""
        self._create = create
        self._patience = patience
        self._held: list[sqlite3.Connection] = []
        """The connection, where there is one."""
        weakref.finalize(self, _close_all, self._held)
        self._opened: tuple[int, int] | None = None
        self._executor = _one_thread()
        """One for the store's life: what closes the file waits its turn behind what still uses it."""
        self._process = os.getpid()
        self._inherited: list[sqlite3.Connection] = []
        """Connections of the process that forked this one, which must be neither used nor closed here."""

    def __repr__(self) -> str:
        return f"SqliteStore({str(self.path)!r})"

    async def load(self, space: Space) -> Snapshot:
        """The guidelines of a space, and what is known of their worth.

        Raises:
            StoreError: The file cannot be read.
        """
        return await self._run(lambda connection: _rows.load(connection, space))

    async def apply(self, space: Space, deltas: Sequence[Delta], *, author: str, reason: str = "") -> list[Change]:
        """Apply deltas in order, all of them or none; what has changed, on disk when this returns.

        Raises:
            StoreError: They could not be written; nothing of them was.
        """
        return await self._run(lambda connection: _rows.apply(connection, space, deltas, author, reason))

    async def record(self, space: Space, outcome: Outcome) -> None:
        """Note what a run scored.

        Raises:
            StoreError: It could not be written.
        """
        await self._run(lambda connection: _rows.record(connection, space, outcome))

    async def history(self, space: Space) -> list[Change]:
        """Every change of a space, oldest first.

        Raises:
            StoreError: The file cannot be read.
        """
        return await self._run(lambda connection: _rows.history(connection, space))

    async def spaces(self) -> list[Space]:
        """The spaces that hold guidelines.

        Raises:
            StoreError: The file cannot be read.
        """
        return await self._run(_rows.spaces)

    async def aclose(self) -> None:
        """Close the file. The store opens it again when it is used again."""
        if self._process == os.getpid():
            await asyncio.get_running_loop().run_in_executor(self._executor, self._close)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._process != os.getpid():
            self._inherited += self._held
            self._held.clear()
            self._process, self._executor = os.getpid(), _one_thread()
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._attempt, work)

    # In the store's own thread

    def _attempt(self, work: Callable[[sqlite3.Connection], T]) -> T:
        try:
            try:
                return work(self._open())
            except sqlite3.Error as error:
                self._close()
                if not self._create or not _tells_damage(error):
                    raise
                self._move_aside(error)
            return work(self._open())
        except sqlite3.Error as error:
            self._close()
            told = "is damaged" if _tells_damage(error) else "cannot be used"
            raise StoreError(f"the guidelines in {self.path}: the file {told} ({error})") from error
        except OSError as error:
            self._close()
            raise StoreError(f"the guidelines in {self.path}: {error.strerror or error}") from error
        except UnicodeEncodeError as error:
            raise StoreError(f"the guidelines in {self.path}: a text cannot be written as UTF-8: {error}") from error
        except UserError as error:
            raise StoreError(f"the guidelines in {self.path}: a row is broken: {error}") from error

    def _open(self) -> sqlite3.Connection:
        """The connection to the file that is there now."""
        if self._held and self._opened == self._there():
            return self._held[0]
        self._close()
        if not self._create and not self.path.exists():
            raise StoreError(f"there are no guidelines at {self.path}")
        with self._opening():
            connection = sqlite3.connect(
                self.path, timeout=self._patience, isolation_level=None, check_same_thread=False
            )
            try:
                if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                    raise _damage()
                check_ours(connection)
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = FULL")
                migrate(connection)
            except StoreError as error:
                connection.close()
                raise StoreError(f"the guidelines in {self.path}: {error}") from None
            except BaseException:
                connection.close()
                raise
        self._held.append(connection)
        self._opened = self._there()
        return connection

    @contextmanager
    def _opening(self) -> Iterator[None]:
        """One process at a time opens, makes, migrates or sets aside."""
        if self._create:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(self.path.with_name(f"{self.path.name}.lock"), lambda: None, patience=self._patience):
            yield

    def _move_aside(self, error: sqlite3.Error) -> None:
        """Move a damaged file out of the way, unless another process has done so."""
        with self._opening():
            if _is_whole(self.path):
                return
            aside = self.path.with_name(f"{self.path.name}.damaged-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")
            for suffix in ("-wal", "-shm", ""):
                with contextlib.suppress(FileNotFoundError):
                    self.path.with_name(self.path.name + suffix).rename(aside.with_name(aside.name + suffix))
            self.set_aside.append(aside)
        _log.warning("%s is damaged (%s): it was moved to %s, and a new one is begun", self.path, error, aside)

    def _there(self) -> tuple[int, int] | None:
        """What tells the file that is there now from others."""
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_dev, found.st_ino

    def _close(self) -> None:
        _close_all(self._held)


def _one_thread() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix="scope-store")


def _close_all(connections: list[sqlite3.Connection]) -> None:
    while connections:
        with contextlib.suppress(sqlite3.Error):
            connections.pop().close()


def _tells_damage(error: sqlite3.Error) -> bool:
    code = getattr(error, "sqlite_errorcode", None)
    return code is not None and code & 0xFF in _DAMAGED


def _damage() -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError("database disk image is malformed")
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _is_whole(path: Path) -> bool:
    """Whether a file can be read through."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.Error:
        return False
