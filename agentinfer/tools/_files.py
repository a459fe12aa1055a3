"""Tools over the files of one folder, which no path leads out of."""

import os
import stat
from pathlib import Path

from agentinfer.errors import ToolError, UserError
from agentinfer.tools._folder import Folder
from agentinfer.tools._tool import Tool, tool

__all__ = ["workspace_files"]

ENTRIES = 200
"""How many entries of a folder are listed."""


def workspace_files(directory: Path | str, *, max_bytes: int = 1_000_000, writable: bool = True) -> list[Tool]:
    """`read_file`, `write_file` and `list_files` over the files of one folder.

    Paths are relative to the folder. Each part is opened from the one before it and never through a link, so that
    neither `..`, a link, nor a folder that is swapped for a link at the wrong moment leads out of it. Only regular
    files are read; a file is written under another name first and then takes its place at once.

    Args:
        directory: The folder; it must exist.
        max_bytes: Of a file, read or written.
        writable: Whether there is a `write_file`.

    Raises:
        UserError: There is no such folder, or this platform cannot open files safely.
    """
    if os.open not in os.supports_dir_fd or not hasattr(os, "O_NOFOLLOW"):
        raise UserError(
            "workspace_files needs a platform that opens files relative to a folder, such as Linux or macOS"
        )
    root = Path(directory).resolve()
    if not root.is_dir():
        raise UserError(f"There is no folder {directory}")
    folder = Folder(root, max_bytes)
    resource = f"files:{root}"

    # Sync functions: each call has a thread of its own.

    @tool(resources=[resource], fenced=True)
    def read_file(path: str) -> str:
        """Read a text file of the workspace.

        Args:
            path: The path of the file within the workspace, such as notes/plan.md.
        """
        content = folder.read(path)
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise ToolError(f"{path} is not a text file ({len(content):,} bytes)") from None
        return text or "(the file is empty)"

    @tool(resources=[resource], bounded=True)
    def write_file(path: str, content: str) -> str:
        """Write a text file of the workspace; what it held before is replaced.

        Args:
            path: The path of the file within the workspace, such as notes/plan.md. Folders are made as needed.
            content: The whole text of the file.
        """
        data = content.encode(errors="replace")
        folder.write(path, data)
        return f"{path} written: {len(data):,} bytes"

    @tool(resources=[resource], bounded=True)
    def list_files(path: str = ".") -> str:
        """List what is in a folder of the workspace.

        Args:
            path: The path of the folder within the workspace.
        """
        entries = folder.entries(path)
        lines = [_describe(name, mode, size) for name, mode, size in entries[:ENTRIES]]
        if len(entries) > ENTRIES:
            lines.append(f"(and {len(entries) - ENTRIES:,} more)")
        return "\n".join(lines) or "(the folder is empty)"

    return [read_file, write_file, list_files] if writable else [read_file, list_files]


def _describe(name: str, mode: int, size: int) -> str:
    shown = name.encode(errors="replace").decode() if name.isprintable() else repr(name)
    if stat.S_ISDIR(mode):
        return f"{shown}/"
    return f"{shown} ({size:,} bytes)" if stat.S_ISREG(mode) else f"{shown} (not a file that can be read)"
