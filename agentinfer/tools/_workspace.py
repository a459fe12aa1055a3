"""Where a run keeps texts that are too long to show to the model."""

import itertools
import shutil
import tempfile
import threading
import weakref
from pathlib import Path

from agentinfer.errors import ToolError

__all__ = ["Workspace"]


class Workspace:
    """A run's folder of kept texts, each under a handle such as `result-1`.

    Args:
        directory: Where to keep them; made when the first text comes, and left in place. Without one a temporary
            folder is made, which goes when the workspace is no longer used.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._temporary = directory is None
        self._kept: dict[str, Path] = {}
        self._numbers = itertools.count(1)
        self._opening = threading.Lock()
        """Held while the folder is made: sync tools keep their results from threads."""

    def keep(self, content: bytes, *, suffix: str = ".txt") -> str:
        """Keep a text, and return its handle. Touches the disk: call it off the event loop.

        Raises:
            OSError: The disk is full, or the folder cannot be written.
        """
        handle = f"result-{next(self._numbers)}"
        path = self._open() / (handle + suffix)
        try:
            path.write_bytes(content)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        self._kept[handle] = path
        return handle

    def read(self, handle: str, start: int = 0, length: int = 20_000) -> str:
        """A piece of a kept text, by characters. Touches the disk: call it off the event loop.

        Raises:
            ToolError: There is no such handle, or the text is gone.
        """
        path = self._kept.get(handle)
        if path is None:
            known = ", ".join(self._kept) or "none"
            raise ToolError(f"There is no kept result {handle!r}. Kept: {known}")
        try:
            text = path.read_bytes().decode(errors="replace")  # line ends as they were
        except OSError as error:
            raise ToolError(f"{handle} cannot be read: {error.strerror}") from None
        return text[max(start, 0) : max(start, 0) + max(length, 0)]

    @property
    def handles(self) -> tuple[str, ...]:
        """The handles of all kept texts, oldest first."""
        return tuple(self._kept)

    def path(self, handle: str) -> Path:
        """The file of a kept text."""
        return self._kept[handle]

    def _open(self) -> Path:
        with self._opening:
            if self._directory is None:
                self._directory = Path(tempfile.mkdtemp(prefix="agentinfer-"))
                weakref.finalize(self, shutil.rmtree, self._directory, ignore_errors=True)
            elif not self._temporary:
                self._directory.mkdir(parents=True, exist_ok=True)
            return self._directory
