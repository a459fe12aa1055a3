"""One local model on an OpenAI-compatible port of this machine."""

import importlib.util
import os
import socket
from pathlib import Path
from types import TracebackType
from typing import Self

from agentinfer.errors import LocalModelError, MissingExtra, UserError
from agentinfer.local._catalogue import CATALOGUE
from agentinfer.local._process import WorkerProcess
from agentinfer.local._store import model_status

_HOST = "127.0.0.1"
_GGUF_MAGIC = b"GGUF"


class LocalServer:
    """Serves a GGUF file while its block is open.

    Example:
        ```python
        async with LocalServer("qwen2.5-coder-1.5b-instruct") as server:
            print(server.base_url, server.model)
        ```

    Args:
        model: A name of the catalogue, or the path of a GGUF file.
        port: The port to open; 0 takes a free one.
        context: Tokens that one request may hold, prompt and answer together.
        slots: Requests served at a time; each holds its own context in memory.
        threads: Threads to compute with; by default one per core.
        cache_mb: Memory for the states of earlier prompts that no slot holds any more, in MB.
        directory: Where model files lie; by default `models_directory()`.
        start_timeout: Seconds to wait for the model to load.
    """

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        port: int = 0,
        context: int = 8192,
        slots: int = 1,
        threads: int | None = None,
        cache_mb: int = 2048,
        directory: Path | None = None,
        start_timeout: float = 300.0,
    ) -> None:
        if context < 1 or slots < 1 or (threads is not None and threads < 1):
            raise UserError("context, slots and threads must be at least 1")
        self.path = _find(model, directory)
        """The file that is served."""
        self.model = model.lower() if isinstance(model, str) and model.lower() in CATALOGUE else self.path.stem
        """The model's name in requests and answers."""
        self._settings = {
            "path": str(self.path),
            "model": self.model,
            "port": port,
            "context": context,
            "slots": slots,
            "threads": threads or _default_threads(),
            "cache_mb": cache_mb,
        }
        self._port = port
        self._start_timeout = start_timeout
        self._worker: WorkerProcess | None = None
        self._address = ""

    @property
    def base_url(self) -> str:
        """The address to give to a client, as `http://127.0.0.1:8080/v1`."""
        return f"{self.address}/v1"

    @property
    def address(self) -> str:
        """The server's root address.

        Raises:
            UserError: The server is not running.
        """
        if not self._address:
            raise UserError("the server is not running: enter it with `async with` first")
        return self._address

    async def __aenter__(self) -> Self:
        """Load the model and open the port.

        Raises:
            LocalModelError: The file is no GGUF file, the port is taken, or memory is short.
            MissingExtra: xllamacpp is not installed.
        """
        if self._worker is not None:
            raise UserError("the server is already running")
        if importlib.util.find_spec("xllamacpp") is None:
            raise MissingExtra("local", "Serving a local model")
        _check_file(self.path)
        _check_port(self._port)
        self._worker = WorkerProcess(self._settings)
        try:
            self._address = await self._worker.address(self._start_timeout)
        except BaseException as error:
            self._stop()
            if isinstance(error, LocalModelError):
                raise LocalModelError(f"cannot serve {self.path}: {error}") from error
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    async def watch(self) -> None:
        """Wait for the model's process to end by itself, which it should not.

        Raises:
            LocalModelError: It has ended.
        """
        if self._worker is None:
            raise UserError("the server is not running: enter it with `async with` first")
        await self._worker.ended()
        raise LocalModelError(f"{self.model}: {self._worker.ending()}")

    def _stop(self) -> None:
        # A killed process is gone within milliseconds: not worth a thread, whose await could be cancelled.
        worker, self._worker, self._address = self._worker, None, ""
        if worker is not None:
            worker.stop()


def _find(model: str | os.PathLike[str], directory: Path | None) -> Path:
    if isinstance(model, str) and model.lower() in CATALOGUE:
        status = model_status(model, directory=directory)
        if status.state != "installed":
            raise LocalModelError(
                f"{status.entry.name} is {status.state} at {status.path}: agentinfer models pull {status.entry.name}"
            )
        return status.path
    path = Path(model).expanduser()
    if not path.is_file():
        names = ", ".join(sorted(CATALOGUE))
        raise LocalModelError(f"{str(model)!r} is neither a GGUF file nor a known model's name ({names})")
    return path.absolute()


def _check_file(path: Path) -> None:
    try:
        with path.open("rb") as file:
            magic = file.read(len(_GGUF_MAGIC))
    except OSError as error:
        raise LocalModelError(f"cannot read {path}: {error.strerror}") from error
    if magic != _GGUF_MAGIC:
        raise LocalModelError(f"{path} is not a GGUF file")


def _check_port(port: int) -> None:
    try:
        socket.create_server((_HOST, port)).close()
    except (OSError, OverflowError) as error:
        raise LocalModelError(
            f"cannot open port {port} of {_HOST}: {error}; another port, or 0 for a free one"
        ) from error


def _default_threads() -> int:
    # llama.cpp counts the machine's cores (-1), also where this process may use only some of them.
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    return available if 0 < available < (os.cpu_count() or 1) else -1
