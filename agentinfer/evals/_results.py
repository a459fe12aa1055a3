"""Reading a folder of results: `config.json`, `results.jsonl`, `trajectories/`."""

import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

from agentinfer.evals._errors import EvalError
from agentinfer.evals._record import RESULTS_VERSION, Record

__all__ = ["CONFIG", "RESULTS", "TRAJECTORIES", "load_records", "load_settings", "parse_results", "trajectory_path"]

CONFIG = "config.json"
RESULTS = "results.jsonl"
TRAJECTORIES = "trajectories"


def load_records(directory: str | os.PathLike[str]) -> list[Record]:
    """Read the records of a folder, in the order in which they were finished.

    Half a last line, as an interruption leaves it, is passed over.

    Raises:
        EvalError: There is no such folder, or a line is broken.
    """
    path = Path(directory) / RESULTS
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise EvalError(f"{directory} holds no results: there is no {path}") from None
    except OSError as error:
        raise EvalError(f"cannot read {path}: {error.strerror or error}") from None
    return parse_results(path, content)[0]


def load_settings(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Read what a folder of results was made with: its `config.json`.

    Raises:
        EvalError: It is missing or broken.
    """
    path = Path(directory) / CONFIG
    try:
        data = json.loads(path.read_bytes())
    except OSError as error:
        raise EvalError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise EvalError(f"{path} is broken: {error}") from None
    version = data.get("version") if isinstance(data, dict) else None
    if version != RESULTS_VERSION:
        raise EvalError(f"{path} is of version {version!r}, this library reads version {RESULTS_VERSION}")
    return dict(data)


def trajectory_path(directory: str | os.PathLike[str], id: str) -> Path:  # noqa: A002 - the field's own name
    """Where the trajectory of a question is kept."""
    safe = re.sub(r"[^a-z0-9._-]", "_", id)[:80]
    if safe != id or safe.startswith("."):
        safe = f"{safe.lstrip('.')}-{hashlib.sha256(id.encode()).hexdigest()[:10]}"
    return Path(directory) / TRAJECTORIES / f"{safe}.json"


def parse_results(path: Path, content: bytes) -> tuple[list[Record], bytes]:
    """The records of a file, and what follows its last whole one.

    Raises:
        EvalError: A line before the last is broken, or two are of one question.
    """
    *lines, rest = content.split(b"\n")
    records: dict[str, Record] = {}
    for number, line in enumerate(lines, 1):
        try:
            record = Record.from_line(line.decode())
        except ValueError as error:
            raise EvalError(f"{path}:{number} is broken ({error}): take the line out, or give another folder") from None
        if record.id in records:
            raise EvalError(f"{path}:{number}: there is a result of {record.id!r} before: take one of them out")
        records[record.id] = record
    return list(records.values()), rest
