"""Draft indexes on disk: one file per tenant, checked by a digest, replaced whole.

A file is the line `agentinfer-drafts 1`, a line of JSON (`tenant`, `tokenizer`, `calibrations`, and of each segment its
`id`, `session` and `bytes`, the least recently used first), the segments' texts one after the other (four bytes a
token, little-endian, the highest bit set where the model wrote it), and the SHA-256 of all before.
"""

import hashlib
import json
import os
import sys
from array import array
from pathlib import Path
from typing import Any

from agentinfer.errors import UserError
from agentinfer.local._lock import file_lock
from agentinfer.sam._automaton import Calibration
from agentinfer.sam._index import DraftIndex
from agentinfer.sam._segments import Segment

__all__ = ["IndexFileError", "load_index", "save_index"]

HEADER = b"agentinfer-drafts 1\n"
DIGEST_BYTES = hashlib.sha256().digest_size


class IndexFileError(UserError):
    """A file of a draft index is damaged, or none."""


def save_index(
    index: DraftIndex, folder: str | os.PathLike[str], *, tenant: str | None = None, tokenizer: str | None = None
) -> Path:
    """Save a tenant's earlier sessions; what another process has saved meanwhile is kept beside them.

    Of a session that was saved before, and has gone on, the longest version alone is kept.

    Args:
        index: What is saved.
        folder: Where.
        tenant: Whose sessions.
        tokenizer: Names what has made the tokens.

    Returns:
        The file.

    Raises:
        OSError: It cannot be written; the file is as it was.
        IndexFileError: What is there is damaged, or of another tokenizer; it is left for somebody to look at.
    """
    path = _path(folder, tenant)
    path.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(path.with_suffix(".lock"), waiting=lambda: None):
        segments = index.segments(tenant)
        if path.exists():
            known = {segment.id for segment in segments}
            others = [segment for segment in _read(path, tenant, tokenizer)[0] if segment.id not in known]
            segments = _latest(_longest([*others, *segments]), index.max_tokens)
        calibrations = [calibration.dump() for calibration in index.calibrations(tenant)]
        _write(path, tenant, tokenizer, segments, calibrations)
    return path


def load_index(
    index: DraftIndex, folder: str | os.PathLike[str], *, tenant: str | None = None, tokenizer: str | None = None
) -> int:
    """Add a tenant's saved sessions to an index.

    Args:
        index: Where to add them.
        folder: Where they were saved.
        tenant: Whose; nobody else's are read.
        tokenizer: Names what has made the tokens; not asked for where either side has not told.

    Returns:
        How many there were; 0 where nothing was saved.

    Raises:
        IndexFileError: The file is damaged, of another version, another tenant's, or of another tokenizer. The index is
            as it was.
    """
    path = _path(folder, tenant)
    try:
        segments, calibrations = _read(path, tenant, tokenizer)
    except FileNotFoundError:
        return 0
    try:
        loads = list(zip(index.calibrations(tenant), calibrations, strict=True))
        for _, values in loads:
            Calibration().load(values)  # all are good before one is taken over
        for calibration, values in loads:
            calibration.load(values)
    except (OverflowError, TypeError, ValueError) as error:
        raise _damaged(path, str(error)) from None
    for segment in segments:
        index.add(segment, tenant=tenant)
    return len(segments)


def _longest(segments: list[Segment]) -> list[Segment]:
    """Of each session its longest version."""
    lengths: dict[str, int] = {}
    for segment in segments:
        if segment.session is not None:
            lengths[segment.session] = max(lengths.get(segment.session, 0), len(segment))
    return [segment for segment in segments if segment.session is None or len(segment) == lengths[segment.session]]


def _latest(segments: list[Segment], room: int) -> list[Segment]:
    """The last segments, of so many tokens at most."""
    kept: list[Segment] = []
    for segment in reversed(segments):
        room -= len(segment)
        if room < 0:
            break
        kept.append(segment)
    return kept[::-1]


def _path(folder: str | os.PathLike[str], tenant: str | None) -> Path:
    """A tenant's name may be anything, so that its file is named by a digest of it."""
    name = "all" if tenant is None else f"tenant-{hashlib.sha256(tenant.encode(errors='replace')).hexdigest()[:32]}"
    return Path(folder) / f"{name}.drafts"


def _write(
    path: Path, tenant: str | None, tokenizer: str | None, segments: list[Segment], calibrations: list[list[float]]
) -> None:
    about = {
        "tenant": tenant,
        "tokenizer": tokenizer,
        "calibrations": calibrations,
        "segments": [{"id": held.id, "session": held.session, "bytes": len(held.text)} for held in segments],
    }
    digest = hashlib.sha256()
    partial = path.with_suffix(".partial")
    try:
        with partial.open("wb") as file:
            for part in (HEADER, json.dumps(about).encode() + b"\n", *(_swapped(s.text) for s in segments)):
                digest.update(part)
                file.write(part)
            file.write(digest.digest())
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def _read(path: Path, tenant: str | None, tokenizer: str | None) -> tuple[list[Segment], list[list[float]]]:
    content = path.read_bytes()
    if not content.startswith(HEADER):
        known = content.startswith(HEADER[: HEADER.index(b" ") + 1])
        raise _damaged(path, "it is of another version" if known else "it is no draft index")
    body, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    if hashlib.sha256(body).digest() != digest:
        raise _damaged(path, "it was cut or changed: its digest differs")
    line, _, texts = body[len(HEADER) :].partition(b"\n")
    try:
        about: dict[str, Any] = json.loads(line)
        if about["tenant"] != tenant:
            raise _damaged(path, "it is another tenant's")
        if len({tokenizer, about.get("tokenizer")} - {None}) > 1:
            raise IndexFileError(f"cannot use {path}: its tokens are of another tokenizer. Take another folder")
        segments, at = [], 0
        for entry in about["segments"]:
            text, session = texts[at : at + entry["bytes"]], entry.get("session")
            if len(text) != entry["bytes"] or len(text) % 4 or not isinstance(session, str | None):
                raise ValueError(f"{entry} is no segment")
            segments.append(Segment(_swapped(text), session))
            at += entry["bytes"]
        return segments, about["calibrations"]
    except (KeyError, RecursionError, TypeError, ValueError) as error:
        raise _damaged(path, repr(error)) from None


def _swapped(text: bytes) -> bytes:
    if sys.byteorder == "little":
        return text
    entries = array("I", text)
    entries.byteswap()
    return entries.tobytes()


def _damaged(path: Path, reason: str) -> IndexFileError:
    return IndexFileError(f"cannot read {path}: {reason}. Delete it to start anew")
