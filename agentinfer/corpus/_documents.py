"""Reading documents from a `.jsonl` file or a folder."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from agentinfer.corpus._files import SUFFIXES, Unreadable, files_below, read_file
from agentinfer.corpus._text import clean
from agentinfer.corpus._types import Document, Skip
from agentinfer.errors import CorpusError

_JSONL_SUFFIXES = (".jsonl", ".ndjson")


def read_documents(
    path: str | os.PathLike[str], *, on_skip: Callable[[Skip], None] | None = None
) -> Iterator[Document]:
    """Read documents one by one from a file or a folder.

    A `.jsonl` file holds one object a line: `{"id": ..., "title": ..., "text": ...}`. The id may be a number
    and defaults to the line's number; the title defaults to the id. A folder is searched, hidden entries
    aside, for `.txt`, `.md`, `.markdown`, `.html` and `.htm` files; a document's id is its path within the
    folder, its title the first heading, the HTML title or the file's name. A single such file is one
    document. What cannot be read is left out and reported.

    Args:
        path: The file or folder.
        on_skip: Called for each line or file that is left out.

    Raises:
        CorpusError: The path is missing or of another kind, or no document in it can be read.
        MissingExtra: There is an HTML file, and the extra `html` is not installed.
    """
    source = Path(path)
    yield from _distinct(source, _found(source), on_skip or (lambda _: None))


def _found(source: Path) -> Iterator[tuple[str, Document] | Skip]:
    try:
        is_folder, exists = source.is_dir(), source.exists()
    except OSError as error:
        raise CorpusError(f"cannot read {source}: {error.strerror or error}") from error
    if is_folder:
        return _from_files(source, files_below(source))
    if not exists:
        raise CorpusError(f"there is no file or folder {source}")
    if source.suffix.lower() in _JSONL_SUFFIXES:
        return _from_lines(source)
    if source.suffix.lower() in SUFFIXES:
        return _from_files(source.parent, [source])
    raise CorpusError(f"{source} is neither a folder nor a {', '.join((*_JSONL_SUFFIXES, *SUFFIXES))} file")


def _distinct(
    source: Path, found: Iterator[tuple[str, Document] | Skip], on_skip: Callable[[Skip], None]
) -> Iterator[Document]:
    """Yield each document once, report the rest, and fail if nothing remains."""
    seen: dict[str, str] = {}
    first_skip: Skip | None = None
    for item in found:
        if isinstance(item, Skip):
            skip = item
        else:
            where, document = item
            if document.id not in seen:
                seen[document.id] = where
                yield document
                continue
            skip = Skip(where, f"the id {document.id[:200]!r} was used before, at {seen[document.id]}")
        first_skip = first_skip or skip
        on_skip(skip)
    if not seen:
        reason = f"the first problem: {first_skip}" if first_skip else "it is empty or holds no file of a known kind"
        raise CorpusError(f"no document in {source} can be read; {reason}")


def _from_files(root: Path, paths: list[Path | Skip]) -> Iterator[tuple[str, Document] | Skip]:
    for path in paths:
        if isinstance(path, Skip):
            yield path
            continue
        try:
            title, text = read_file(path)
        except Unreadable as error:
            yield Skip(str(path), str(error))
        except OSError as error:
            yield Skip(str(path), error.strerror or str(error))
        else:
            yield str(path), Document(clean(path.relative_to(root).as_posix()), clean(title), text)


def _from_lines(path: Path) -> Iterator[tuple[str, Document] | Skip]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                raw = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
                if raw.strip():
                    yield _from_line(raw, number, f"{path}:{number}")
    except OSError as error:
        raise CorpusError(f"cannot read {path}: {error.strerror or error}") from error


def _from_line(line: bytes, number: int, where: str) -> tuple[str, Document] | Skip:
    try:
        return where, _parse(line, number)
    except Unreadable as error:
        return Skip(where, str(error))


def _parse(line: bytes, number: int) -> Document:
    try:
        record = json.loads(line.decode())
    except UnicodeDecodeError:
        raise Unreadable("not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"not JSON: {error}") from None
    if not isinstance(record, dict):
        raise Unreadable(f"not a JSON object but {type(record).__name__}")
    text = _text(record, "text")
    if text is None:
        raise Unreadable('no "text"')
    id_ = record.get("id")
    if id_ is None:
        id_ = number
    if isinstance(id_, bool) or not isinstance(id_, str | int):
        raise Unreadable('"id" is neither text nor a whole number')
    title = _text(record, "title") or ""
    if not text.strip() and not title.strip():
        raise Unreadable('"title" and "text" are empty')
    return Document(clean(str(id_)), clean(title) if title.strip() else clean(str(id_)), clean(text))


def _text(record: dict[str, Any], field: str) -> str | None:
    value = record.get(field)
    if value is not None and not isinstance(value, str):
        raise Unreadable(f'"{field}" is not text')
    return value
