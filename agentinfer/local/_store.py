"""Where model files lie on disk, and which are there."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agentinfer.local._catalogue import CATALOGUE, CatalogueEntry, entry_named

ModelState = Literal["missing", "partial", "installed", "damaged"]


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """What is on disk of one model of the catalogue."""

    entry: CatalogueEntry
    """The model."""
    state: ModelState
    """`damaged` is a file of the wrong size: `pull` replaces it."""
    path: Path
    """Where the finished file lies or will lie."""
    bytes_on_disk: int
    """Bytes of the file, or of the part fetched so far."""


def models_directory() -> Path:
    """The directory of model files: `$AGENTINFER_HOME/models`, else `agentinfer/models` in the user's cache."""
    home = os.environ.get("AGENTINFER_HOME")
    if home:
        return Path(home).expanduser() / "models"
    if sys.platform == "win32":
        cache = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    else:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "agentinfer" / "models"


def partial_path(path: Path) -> Path:
    """Where a file's bytes are kept until it is complete: always a beginning of the finished file."""
    return path.with_name(path.name + ".partial")


def model_status(model: str | CatalogueEntry, *, directory: Path | None = None) -> ModelStatus:
    """What is on disk of one model.

    Args:
        model: A name of the catalogue, or an entry of your own.
        directory: Where model files lie; by default `models_directory()`.

    Raises:
        UserError: The catalogue has no such name.
    """
    entry = entry_named(model) if isinstance(model, str) else model
    path = (directory or models_directory()) / entry.file
    if (size := _size(path)) is not None:
        return ModelStatus(entry, "installed" if size == entry.size else "damaged", path, size)
    size = _size(partial_path(path))
    return ModelStatus(entry, "missing" if size is None else "partial", path, size or 0)


def installed(*, directory: Path | None = None) -> tuple[ModelStatus, ...]:
    """The catalogue's models whose files are complete, in the catalogue's order."""
    states = (model_status(entry, directory=directory) for entry in CATALOGUE.values())
    return tuple(status for status in states if status.state == "installed")


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except (FileNotFoundError, NotADirectoryError):
        return None
