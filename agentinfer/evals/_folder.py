"""Writing a folder of results, so that an interruption at any moment leaves one that can be gone on with."""

import io
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from agentinfer.evals._errors import EvalError
from agentinfer.evals._record import RESULTS_VERSION, Record
from agentinfer.evals._results import CONFIG, RESULTS, TRAJECTORIES, load_settings, parse_results, trajectory_path
from agentinfer.local._lock import file_lock

__all__ = ["Results"]

BROKEN = "results.broken"
OTHER = "other_usage.jsonl"


class Results:
    """A folder of results, open for more. Made by `Results.open`.

    Args:
        directory: The folder.
        file: Its `results.jsonl`, open for appending.
        records: What it held when it was opened.
        notes: What the user should be told of how it was found.
    """

    def __init__(self, directory: Path, file: io.FileIO, records: list[Record], notes: list[str]) -> None:
        self.directory = directory
        self.records = {record.id: record for record in records}
        self.notes = notes
        self._file = file

    @classmethod
    @contextmanager
    def open(
        cls, directory: str | os.PathLike[str], settings: Mapping[str, Any], about: Mapping[str, Any], *, change: bool
    ) -> Iterator["Results"]:
        """Make a folder, or go on in one.

        Args:
            directory: The folder.
            settings: What tells the configuration from others, as JSON-able data.
            about: What else is worth keeping of it.
            change: Whether to go on where the folder was made with other settings.

        Raises:
            EvalError: It was made with other settings, is broken, in use, or cannot be written.
        """
        folder = Path(directory)
        with ExitStack() as stack:
            try:
                (folder / TRAJECTORIES).mkdir(parents=True, exist_ok=True)
                stack.enter_context(file_lock(folder / ".lock", waiting=lambda: _in_use(folder)))
                notes = _settle(folder, settings, about, change=change)
                path = folder / RESULTS
                content = path.read_bytes() if path.exists() else b""
                records, rest = parse_results(path, content)
                file = stack.enter_context(path.open("ab", buffering=0))
                notes += _mend(file, folder, content, rest)
            except OSError as error:
                raise _unwritable(Path(error.filename or folder), error) from error
            yield cls(folder, file, records, notes)

    def add(self, record: Record, trajectory: Mapping[str, Any]) -> None:
        """Keep a finished question: first its trajectory, then its line, so that each line has one.

        Raises:
            EvalError: It cannot be written; the folder is as it was before.
        """
        path = trajectory_path(self.directory, record.id)
        size = os.fstat(self._file.fileno()).st_size
        try:
            _write(path, json.dumps(trajectory, ensure_ascii=False))
            path = self.directory / RESULTS
            line = memoryview(record.to_line().encode(errors="replace") + b"\n")
            while line:  # a disk that is nearly full takes a part
                line = line[self._file.write(line) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            os.truncate(self.directory / RESULTS, size)
            raise _unwritable(path, error) from error
        self.records[record.id] = record

    def add_other(self, usage: Mapping[str, Any]) -> None:
        """Keep what a session spent beside its finished questions: on interrupted ones, and in the background."""
        if not usage["calls"]:
            return
        path = self.directory / OTHER
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"time": time.time(), **usage}) + "\n")
        except OSError as error:
            raise _unwritable(path, error) from error


def _in_use(folder: Path) -> None:
    raise EvalError(f"another evaluation is at work in {folder}: wait for it, or give another folder")


def _unwritable(path: Path, error: OSError) -> EvalError:
    return EvalError(
        f"cannot write {path}: {error.strerror or error}. What was finished before is kept; "
        "when that is put right, the same command goes on"
    )


def _settle(folder: Path, settings: Mapping[str, Any], about: Mapping[str, Any], *, change: bool) -> list[str]:
    """Note the settings in a new folder; compare them with those of an old one."""
    path = folder / CONFIG
    plain = json.loads(json.dumps(settings))
    content = json.dumps({"version": RESULTS_VERSION, "settings": plain, "about": about}, indent=2, ensure_ascii=False)
    if not path.exists():
        if (folder / RESULTS).exists():
            raise EvalError(f"{folder} holds results and no {CONFIG}, which says what made them: give another folder")
        _write(path, content)
        return []
    differences = _differences(load_settings(folder)["settings"], plain)
    if not differences:
        return []
    told = "; ".join(differences)
    if not change:
        raise EvalError(f"{folder} was made with another configuration ({told}): give another folder")
    number = sum(1 for _ in folder.glob("config.*.json")) + 1
    path.rename(folder / f"config.{number}.json")
    _write(path, content)
    return [f"the configuration has changed ({told}); the earlier one is kept in config.{number}.json"]


def _differences(old: Any, new: Any, where: str = "") -> list[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        names = list(dict.fromkeys([*old, *new]))
        prefix = f"{where}." if where else ""
        return [d for name in names for d in _differences(old.get(name), new.get(name), f"{prefix}{name}")]
    if old == new:
        return []
    return [f"{where}: {_short(old)} became {_short(new)}"]


def _short(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."


def _mend(file: io.FileIO, folder: Path, content: bytes, rest: bytes) -> list[str]:
    """Move half a last line aside."""
    if not rest:
        return []
    with (folder / BROKEN).open("ab") as aside:
        aside.write(rest + b"\n")
        aside.flush()
        os.fsync(aside.fileno())
    file.truncate(len(content) - len(rest))
    return [f"half a line at the end of {RESULTS} was moved to {BROKEN}; its question is asked again"]


def _write(path: Path, text: str) -> None:
    """Write a file whole or not at all."""
    partial = path.with_suffix(".partial")
    try:
        partial.write_text(text, encoding="utf-8", errors="replace")
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise
