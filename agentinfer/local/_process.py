"""Starts and ends the process of one model."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from agentinfer.errors import LocalModelError
from agentinfer.local import _worker

_LOG_LINES = 12
_LOG_BYTES = 1 << 16
_WATCH_SECONDS = 0.5


class WorkerProcess:
    """A running worker.

    The model lives in a process of its own because llama.cpp holds the interpreter's lock while it loads, which
    would stop the event loop, and because ending a process is the one prompt way to end a generation.

    Args:
        settings: What the worker reads as its first line.
    """

    def __init__(self, settings: dict[str, Any]) -> None:
        self._log = tempfile.TemporaryFile()  # noqa: SIM115 - closed in stop()
        environment = dict(os.environ)
        # By default a thread that waits for another one spins; with any other work on the cores, as an agent's,
        # generation is then several times slower.
        environment.setdefault("OMP_WAIT_POLICY", "passive")
        # Ctrl-C is the parent's to handle: the worker must not see it.
        group = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)  # what Windows has for a session
        self._process: subprocess.Popen[str] = subprocess.Popen(  # noqa: S603 - this interpreter and a file of this library
            [sys.executable, "-P", str(Path(_worker.__file__))],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
            text=True, encoding="utf-8", env=environment, start_new_session=True, creationflags=group,
        )  # fmt: skip
        self._settings = {**settings, "parent": os.getpid()}

    async def address(self, timeout: float) -> str:
        """Wait until the model is loaded.

        Returns:
            The server's root address.

        Raises:
            LocalModelError: The worker ended, or took too long.
        """
        try:
            # Killing the worker ends its output, and with it a reading thread left behind by a time-out.
            address = await asyncio.wait_for(asyncio.to_thread(self._read_address), timeout)
        except TimeoutError:
            raise LocalModelError(f"the model was not loaded after {timeout:.0f} s{self.log()}") from None
        if address is None:
            await asyncio.to_thread(self._process.wait)
            raise LocalModelError(self.ending())
        return address

    def _read_address(self) -> str | None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps(self._settings) + "\n")
            self._process.stdin.flush()
        except OSError:
            return None
        for line in self._process.stdout:
            if line.startswith(_worker.READY):
                return line.removeprefix(_worker.READY).strip()
        return None

    async def ended(self) -> None:
        """Return once the worker has ended by itself."""
        while self._process.poll() is None:  # noqa: ASYNC110 - no event tells it on every platform
            await asyncio.sleep(_WATCH_SECONDS)

    def ending(self) -> str:
        """Why the worker ended, with the last lines of its log."""
        code = self._process.returncode
        log = self.log()
        if sys.platform != "win32" and code == -signal.SIGKILL:
            return f"the model's process was killed, most likely for want of memory: use a shorter context{log}"
        if any(sign in log for sign in ("failed to allocate", "out of memory", "bad_alloc")):
            return f"not enough memory for the model: use a shorter context, fewer slots or a smaller model{log}"
        return f"the model's process ended with status {code}{log}"

    def log(self) -> str:
        """The last lines of llama.cpp's log, to be put behind a message."""
        self._log.seek(max(0, self._log.seek(0, os.SEEK_END) - _LOG_BYTES))
        lines = self._log.read().decode(errors="replace").splitlines()[-_LOG_LINES:]
        return "".join(f"\n  | {line}" for line in lines if line.strip())

    def stop(self) -> None:
        """End the worker at once; safe to call again."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with suppress(OSError):  # settings that the worker did not live to read
                    stream.close()
        self._log.close()
