"""Turning one text, Markdown or HTML file into a title and a text."""

import codecs
import os
import re
import stat
from pathlib import Path

from agentinfer.corpus._html import read_html
from agentinfer.corpus._text import clean
from agentinfer.corpus._types import Skip

SUFFIXES = (".txt", ".md", ".markdown", ".html", ".htm")
MAX_FILE_BYTES = 20_000_000

_HTML_SUFFIXES = (".html", ".htm")
# UTF-32 first: its little-endian mark begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHARSET = re.compile(rb"""<meta[^>]{0,200}charset\s*=\s*["']?([\w:.-]{1,40})""", re.IGNORECASE)
_HEADING = re.compile(r"^ {0,3}#{1,6}[ \t]+(\S.*)$|^ {0,3}(\S.*)\n={2,}[ \t]*$", re.MULTILINE)
_HEADING_CHARS = 20_000


class Unreadable(Exception):
    """A file or line is left out; the message says why."""


def files_below(root: Path) -> list[Path | Skip]:
    """List the files of a known kind in a folder, sorted by their paths within it.

    Hidden files and folders are passed over. A link to a file is followed only where it stays within the
    folder; links to folders are not followed.
    """
    inside = root.resolve()
    found: list[tuple[str, Path | Skip]] = []

    def unreadable(error: OSError) -> None:
        found.append((str(error.filename), Skip(str(error.filename), error.strerror or str(error))))

    for folder, subfolders, names in os.walk(root, onerror=unreadable):
        subfolders[:] = [name for name in subfolders if not name.startswith(".")]
        for name in names:
            path = Path(folder, name)
            if name.startswith(".") or path.suffix.lower() not in SUFFIXES:
                continue
            leaves = path.is_symlink() and not path.resolve().is_relative_to(inside)
            key = path.relative_to(root).as_posix()
            found.append((key, Skip(str(path), "a link that leads out of the folder") if leaves else path))
    return [item for _, item in sorted(found, key=lambda pair: pair[0])]


def read_file(path: Path) -> tuple[str, str]:
    """Return a file's title and text.

    Raises:
        Unreadable: The file is too large, not text, or empty.
        OSError: It cannot be read.
        MissingExtra: It is HTML, and the extra `html` is not installed.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise Unreadable("not a regular file")
    if status.st_size > MAX_FILE_BYTES:
        raise Unreadable(f"larger than {MAX_FILE_BYTES / 1e6:g} MB")
    html = path.suffix.lower() in _HTML_SUFFIXES
    text = _decode(path.read_bytes(), html=html)
    title = ""
    if html:
        title, text = read_html(text)
    elif path.suffix.lower() != ".txt":
        title = _heading(text)
    if not text.strip():
        raise Unreadable("no text in it")
    return title or path.stem, text


def _decode(data: bytes, *, html: bool) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data.decode(encoding, "replace")
    if b"\0" in data[:8192]:
        raise Unreadable("binary, not text")
    try:
        return data.decode()
    except UnicodeDecodeError:
        # Windows' superset of Latin-1, which is what such files mostly are.
        encoding = "cp1252"
    declared = _CHARSET.search(data[:2048]) if html else None
    if declared is not None:
        try:
            return clean(data.decode(declared.group(1).decode(), "replace"))
        except LookupError:
            pass
    return data.decode(encoding, "replace")


def _heading(text: str) -> str:
    found = _HEADING.search(text, 0, _HEADING_CHARS)
    if found is None:
        return ""
    return (found.group(1) or found.group(2)).rstrip().rstrip("#").rstrip()
