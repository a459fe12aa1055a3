"""The partial file that a source writes to."""

import errno
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from agentinfer.errors import LocalModelError


@dataclass(frozen=True, slots=True)
class PullProgress:
    """How far a pull has come."""

    done: int
    """Bytes of the file that are on disk."""
    total: int
    """Bytes of the whole file."""
    message: str
    """What is going on; empty while bytes arrive."""


class SourceFailed(Exception):
    """A source cannot give the file; another one may."""


class Sink:
    """The beginning of a model file, which sources make longer.

    Args:
        path: The partial file; what is there is kept.
        total: Bytes of the finished file.
        progress: Told of every step.
    """

    def __init__(self, path: Path, total: int, progress: Callable[[PullProgress], None]) -> None:
        self.path = path
        self.total = total
        self._progress = progress
        self._file = path.open("ab")
        self.done = self._file.seek(0, 2)
        if self.done > total:
            self.cut(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def tell(self, message: str) -> None:
        """Report what is going on."""
        self._progress(PullProgress(self.done, self.total, message))

    def cut(self, length: int) -> None:
        """Keep only the first bytes."""
        self._file.flush()
        self._file.truncate(length)
        self.done = length

    def write(self, data: bytes) -> None:
        """Append.

        Raises:
            SourceFailed: The source sends more than the file's size.
            LocalModelError: The disk is full.
        """
        if self.done + len(data) > self.total:
            self.cut(0)
            raise SourceFailed(f"it sends more than the {self.total:,} bytes of the file")
        try:
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            raise disk_error(self.path, error) from error
        self.done += len(data)
        self.tell("")

    def reserve(self, extra: int = 0) -> None:
        """Check that the rest of the file fits the disk.

        Args:
            extra: Bytes that the source needs besides, for a while.

        Raises:
            LocalModelError: It does not.
        """
        need = self.total - self.done + extra
        free = shutil.disk_usage(self.path.parent).free
        if free < need:
            raise LocalModelError(
                f"not enough disk space in {self.path.parent}: {_megabytes(need)} needed, {_megabytes(free)} free; "
                "free some, or set AGENTINFER_HOME to a directory on another disk"
            )


def disk_error(path: Path, error: OSError) -> LocalModelError:
    """The error for a file that cannot be written."""
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return LocalModelError(f"the disk is full: {path} is kept and will be continued by the next pull")
    return LocalModelError(f"cannot write {path}: {error.strerror or error}")


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.0f} MB"
