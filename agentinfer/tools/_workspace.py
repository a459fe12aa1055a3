"""Where a run keeps texts that are too long to show to the model."""

import itertools
import re
import shutil
import tempfile
import threading
import weakref
from pathlib import Path

from agentinfer.errors import ToolError

__all__ = ["Workspace"]

_NAME = re.compile(r"result-(\d+)\.(txt|bin)$")


class Workspace:
    """A run's folder of kept texts, each under a handle such as `result-1`.

    Args:
        directory: Where to keep them; made when the first text comes, and left in place. Texts that an earlier
            workspace kept there are found again. Without one a temporary folder is made, which goes when the
            workspace is no longer used.
    """

    def __init__(self, directory: Path | None = None) -> None:
        self._directory = directory
        self._kept: dict[str, Path] = {}
        self._numbers = itertools.count(1)
        self._opened = False
        self._opening = threading.Lock()
        """Held while the folder is opened: texts come from several threads."""

    def keep(self, content: bytes, *, suffix: str = ".txt", handle: str | None = None) -> str:
        """Keep a text, and return its handle. Touches the disk: call it off the event loop.

        Args:
            content: The text, as UTF-8, or binary data.
            suffix: `.txt` or `.bin`.
            handle: The handle it has had in an earlier workspace; nothing is kept where there is one of that name.

        Raises:
            OSError: The disk is full, or the folder cannot be written.
        """
        directory = self._open()
        if handle is None:
            handle = f"result-{next(self._numbers)}"
        elif handle in self._kept or not (found := _NAME.match(handle + suffix)):
            return handle
        else:
            self._numbers = itertools.count(max(int(found[1]) + 1, next(self._numbers)))
        path = directory / (handle + suffix)
        try:
            path.write_bytes(content)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        self._kept[handle] = path
        return handle

    def read(self, handle: str, start: int = 0, length: int = 20_000) -> str:
        """A piece of a kept text, by characters. Touches the disk: call it off the event loop.

        Args:
            handle: As `keep` gave it.
            start: The first character, counted from 0.
            length: How many characters at most.

        Raises:
            ToolError: There is no such handle, or the text is gone.
        """
        if self._directory is not None and self._directory.is_dir():
            self._open()
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
        """The file of a kept text.

        Raises:
            KeyError: There is no such handle.
        """
        return self._kept[handle]

    def _open(self) -> Path:
        with self._opening:
            if self._directory is None:
                self._directory = Path(tempfile.mkdtemp(prefix="agentinfer-"))
                weakref.finalize(self, shutil.rmtree, self._directory, ignore_errors=True)
            elif not self._opened:
                self._directory.mkdir(parents=True, exist_ok=True)
                self._find_kept(self._directory)
            self._opened = True
            return self._directory

    def _find_kept(self, directory: Path) -> None:
        """Know the texts of an earlier workspace, and give no handle twice."""
        found = {int(name[1]): path for path in directory.iterdir() if (name := _NAME.match(path.name))}
        self._kept = {f"result-{number}": found[number] for number in sorted(found)}
        self._numbers = itertools.count(max(found, default=0) + 1)
