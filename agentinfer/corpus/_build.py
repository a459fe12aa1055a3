"""Writing a corpus file."""

import contextlib
import os
import secrets
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from pathlib import Path

from agentinfer.corpus._documents import read_documents
from agentinfer.corpus._format import SCHEMA, version_of
from agentinfer.corpus._text import clean, folded, index_form
from agentinfer.corpus._types import BuildReport, Document, Skip
from agentinfer.errors import CorpusError

_BATCH_DOCUMENTS = 500
_BATCH_CHARS = 4_000_000


def build(
    source: str | os.PathLike[str] | Iterable[Document],
    out: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
    on_skip: Callable[[Skip], None] | None = None,
) -> BuildReport:
    """Index documents into one file.

    The file is written beside `out` and takes its place only when it is whole: a build that fails or is
    interrupted leaves an existing corpus as it was and nothing else behind. Documents are streamed, never all
    in memory. In an async program call it by `asyncio.to_thread`.

    Args:
        source: A `.jsonl` file or a folder, read by `read_documents`, or the documents themselves.
        out: The file to write. An existing corpus is replaced.
        overwrite: Replace an existing file even where it is not a corpus.
        progress: Called with the number of documents so far, after each batch.
        on_skip: Called for each file, line or document that is left out.

    Raises:
        CorpusError: There is nothing to index, `out` cannot be written or holds something else, or the disk
            is full.
    """
    started = time.monotonic()
    target = Path(out).resolve()
    _check_target(target, overwrite=overwrite)
    skipped = 0

    def skip(what: Skip) -> None:
        nonlocal skipped
        skipped += 1
        if on_skip is not None:
            on_skip(what)

    if isinstance(source, str | os.PathLike):
        if Path(source).resolve() == target:
            raise CorpusError(f"{target} is the source itself: write the corpus to another file")
        documents = read_documents(source, on_skip=skip)
    else:
        documents = iter(source)
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(4)}.tmp")
    try:
        count = _write(_distinct(documents, skip), unfinished, target, progress or (lambda _: None))
        with _clear_errors(target):
            _flush_to_disk(unfinished)
            os.replace(unfinished, target)
    finally:
        # Gone already unless something failed.
        unfinished.unlink(missing_ok=True)
    return BuildReport(documents=count, skipped=skipped, seconds=time.monotonic() - started)


def _check_target(target: Path, *, overwrite: bool) -> None:
    if target.is_dir():
        raise CorpusError(f"{target} is a folder: name the file to write")
    if not target.parent.is_dir():
        raise CorpusError(f"the folder {target.parent} does not exist")
    try:
        foreign = target.exists() and target.stat().st_size > 0 and version_of(target) is None
    except OSError as error:
        raise CorpusError(f"cannot read {target}: {error.strerror or error}") from error
    if foreign and not overwrite:
        raise CorpusError(f"{target} exists and is not a corpus: choose another file, or overwrite it explicitly")


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(path, isolation_level=None)


def _write(documents: Iterator[Document], path: Path, target: Path, progress: Callable[[int], None]) -> int:
    """Write a whole corpus file and return how many documents it holds."""
    first = next(documents, None)
    if first is None:
        raise CorpusError("there are no documents to index")
    count = 0
    # What the source raises is left as it is: only the writing is translated.
    with contextlib.ExitStack() as stack:
        with _clear_errors(target):
            connection = stack.enter_context(contextlib.closing(_connect(path)))
            # Nobody reads the file before it is whole, so it needs no journal to roll back to.
            connection.executescript("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -65536;")
            connection.executescript(SCHEMA)
            connection.execute("BEGIN")
        for batch in _batches(chain([first], documents)):
            with _clear_errors(target):
                _insert(connection, count, batch)
            count += len(batch)
            progress(count)
        with _clear_errors(target):
            connection.execute("CREATE INDEX documents_folded ON documents (folded)")
            connection.execute("INSERT INTO words (words) VALUES ('optimize')")
            connection.execute("COMMIT")
    return count


def _insert(connection: sqlite3.Connection, before: int, batch: list[Document]) -> None:
    numbered = list(enumerate(batch, before + 1))
    connection.executemany(
        "INSERT INTO documents (number, id, title, folded, text) VALUES (?, ?, ?, ?, ?)",
        ((number, d.id, d.title, folded(d.title), d.text) for number, d in numbered),
    )
    connection.executemany(
        "INSERT INTO words (rowid, title, text) VALUES (?, ?, ?)",
        ((number, index_form(d.title), index_form(d.text)) for number, d in numbered),
    )


def _distinct(documents: Iterator[Document], skip: Callable[[Skip], None]) -> Iterator[Document]:
    """Leave out documents whose id was there before, and characters that cannot be stored."""
    seen = set()
    for document in documents:
        cleaned = Document(clean(document.id), clean(document.title), clean(document.text))
        if cleaned.id in seen:
            skip(Skip(cleaned.id, "an earlier document has this id"))
        else:
            seen.add(cleaned.id)
            yield cleaned


def _batches(documents: Iterable[Document]) -> Iterator[list[Document]]:
    batch: list[Document] = []
    chars = 0
    for document in documents:
        batch.append(document)
        chars += len(document.text)
        if len(batch) >= _BATCH_DOCUMENTS or chars >= _BATCH_CHARS:
            yield batch
            batch, chars = [], 0
    if batch:
        yield batch


def _flush_to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _clear_errors(target: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        raise CorpusError(f"cannot write {target}: {error}") from error
    except OSError as error:
        raise CorpusError(f"cannot write {target}: {error.strerror or error}") from error
