"""A folder that no path leads out of: every part is opened from the one before it, and never through a link."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from agentinfer.errors import ToolError

__all__ = ["Folder"]

DEPTH = 32
"""How many parts a path may have."""


class Folder:
    """The files of one folder. Its methods touch the disk: call them off the event loop.

    Args:
        root: The folder.
        max_bytes: Of a file.
    """

    def __init__(self, root: Path, max_bytes: int) -> None:
        self._root = root
        self._max_bytes = max_bytes

    def read(self, path: str) -> bytes:
        """What a file holds.

        Raises:
            ToolError: The path leads nowhere, out of the folder, or to something else than a file of usual size.
        """
        *parents, name = _parts(path)
        with _told(path), self._open(parents) as parent:
            _check_file(os.stat(name, dir_fd=parent, follow_symlinks=False), path)
            # Not to wait for the other end of a pipe that took the file's place just now.
            file = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
            with os.fdopen(file, "rb") as stream:
                _check_file(os.fstat(file), path)
                content = stream.read(self._max_bytes + 1)
        if len(content) > self._max_bytes:
            raise ToolError(f"{path} is larger than the {self._max_bytes:,} bytes that can be read")
        return content

    def write(self, path: str, content: bytes) -> None:
        """Replace what a file holds, in one go; missing folders are made.

        Raises:
            ToolError: The path leads out of the folder or to something else than a file, or there is too much to write.
        """
        *parents, name = _parts(path)
        if len(content) > self._max_bytes:
            raise ToolError(f"{len(content):,} bytes are more than the {self._max_bytes:,} a file may have")
        with _told(path), self._open(parents, make=True) as parent:
            mode = None
            with suppress(FileNotFoundError):
                before = os.stat(name, dir_fd=parent, follow_symlinks=False)
                _check_file(before, path)
                mode = stat.S_IMODE(before.st_mode) & 0o777
            temporary = f".{secrets.token_hex(8)}.tmp"
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(temporary, flags, 0o666, dir_fd=parent)
            try:
                with os.fdopen(file, "wb") as stream:
                    if mode is not None:
                        os.fchmod(file, mode)
                    stream.write(content)
                os.replace(temporary, name, src_dir_fd=parent, dst_dir_fd=parent)
            except BaseException:
                with suppress(OSError):
                    os.unlink(temporary, dir_fd=parent)
                raise

    def entries(self, path: str) -> list[tuple[str, int, int]]:
        """The name, mode and size of each entry of a folder, by name.

        Raises:
            ToolError: The path leads nowhere, out of the folder, or to something else than a folder.
        """
        found = []
        with _told(path), self._open(_parts(path, folder=True)) as here, os.scandir(here) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):  # gone since
                    about = entry.stat(follow_symlinks=False)
                    found.append((entry.name, about.st_mode, about.st_size))
        return sorted(found)

    @contextmanager
    def _open(self, parents: list[str], *, make: bool = False) -> Iterator[int]:
        """The folder at the end of these parts, as a file descriptor."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        here = os.open(self._root, flags)
        try:
            for part in parents:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(part, dir_fd=here)
                inner = os.open(part, flags, dir_fd=here)
                os.close(here)
                here = inner
            yield here
        finally:
            os.close(here)


def _parts(path: str, *, folder: bool = False) -> list[str]:
    """The names that a path is made of; none only for the folder itself.

    Raises:
        ToolError: It does not stay in the folder, or has an odd name in it.
    """
    if path.startswith(("/", "\\")) or path[1:3] in (":\\", ":/"):
        raise ToolError(f"{path!r} is an absolute path: give one within the workspace, such as notes/plan.md")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise ToolError(f"{path!r} leads out of the workspace: '..' is not allowed")
    if not folder and (not parts or path.endswith("/")):
        raise ToolError(f"{path!r} names a folder, not a file")
    if len(parts) > DEPTH:
        raise ToolError(f"The path has more than {DEPTH} parts")
    for part in parts:
        if not part.isprintable() or "\\" in part or len(part.encode(errors="replace")) > 255:
            raise ToolError(
                f"{part[:80]!r} is not a name for a file: use printable characters, no \\, at most 255 bytes"
            )
    return parts


def _check_file(about: os.stat_result, path: str) -> None:
    if stat.S_ISLNK(about.st_mode):
        raise ToolError(f"{path} is a link, and links are not followed")
    if stat.S_ISDIR(about.st_mode):
        raise ToolError(f"{path} is a folder, not a file")
    if not stat.S_ISREG(about.st_mode):
        raise ToolError(f"{path} is not a regular file")
    if about.st_nlink > 1:
        raise ToolError(f"{path} has another name elsewhere (a hard link), so it is left alone")


@contextmanager
def _told(path: str) -> Iterator[None]:
    """What the system complains of, in words for the model."""
    try:
        yield
    except FileNotFoundError:
        raise ToolError(f"There is no {path}; list_files shows what there is") from None
    except NotADirectoryError:
        raise ToolError(f"A part of {path} is not a folder, or is a link, and links are not followed") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise ToolError(f"A part of {path} is a link, and links are not followed") from None
        raise ToolError(f"{path} cannot be used: {error.strerror or type(error).__name__}") from None
