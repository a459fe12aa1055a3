"""The engine as a backend of `Model`."""

import asyncio
import os
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from agentinfer._threads import run_in_thread
from agentinfer.errors import ConnectionFailed, ModelError, UserError
from agentinfer.local import LocalServer
from agentinfer.models import END, Connection, Model, Sampling, Timeouts
from agentinfer.sam._gain import CostTable
from agentinfer.sam._index import DraftIndex
from agentinfer.sam.engine._costs import read_costs
from agentinfer.sam.engine._request import parse_request
from agentinfer.sam.engine._worker import Call, Settings, Written, start_worker

__all__ = ["EngineBackend", "local_model"]


def local_model(
    model: str | os.PathLike[str],
    *,
    context: int = 8192,
    threads: int | None = None,
    gpu_layers: int = 0,
    exact: bool = False,
    drafting: bool = True,
    index: DraftIndex | None = None,
    costs: Sequence[CostTable] | str | os.PathLike[str] | None = None,
    sessions: int = 1,
    tenant: str | None = None,
    **settings: Any,
) -> Model:
    """A model that computes in this process, with drafts: loaded when opened, freed when closed.

    It answers one call at a time. All that its calls say is drafted from in later ones: give each tenant its own.

    Args:
        model: A name of the catalogue (`agentinfer models list`), or the path of a GGUF file.
        context: Tokens of prompt and reply together.
        threads: Threads to compute with; one per core unless given.
        gpu_layers: Layers computed on a GPU, where llama.cpp was built for one.
        exact: Whether texts are the same with drafts and without, to the last token; on a CPU alone. Prompts are then
            read more slowly: twice as slowly at 1,000 tokens, and ever more as they grow.
        drafting: Whether to draft.
        index: Where what was said is kept; one of its own unless given.
        costs: What passes cost on this machine, or a file that `measure_costs` filled; measured at the first start of
            a model, which takes seconds, and kept beside the model files, unless given.
        sessions: How many conversations take turns, at most; more become earlier ones, and are drafted from as such.
        tenant: Whose conversations in `index` these are.
        settings: Further arguments of `Model`.

    Raises:
        LocalModelError: There is no such model.
        UserError: The arguments do not go together.
    """
    backend = EngineBackend(
        model,
        context=context,
        threads=threads,
        gpu_layers=gpu_layers,
        exact=exact,
        drafting=drafting,
        index=index,
        costs=costs,
        sessions=sessions,
        tenant=tenant,
    )
    sampling = Sampling(temperature=0.0)
    defaults = {"backend": backend, "profile": "local", "context_window": context, "sampling": sampling}
    return Model(str(model), **{**defaults, **settings})


class EngineBackend:
    """A GGUF model in this process. The arguments are those of `local_model`."""

    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        context: int = 8192,
        threads: int | None = None,
        gpu_layers: int = 0,
        exact: bool = False,
        drafting: bool = True,
        index: DraftIndex | None = None,
        costs: Sequence[CostTable] | str | os.PathLike[str] | None = None,
        sessions: int = 1,
        tenant: str | None = None,
    ) -> None:
        if min(context, sessions, 1 if threads is None else threads) < 1 or gpu_layers < 0:
            raise UserError("context, threads and sessions must be at least 1, gpu_layers must not be negative")
        if exact and gpu_layers:
            raise UserError("exact=True is for CPUs: a GPU rounds passes of every size in its own way")
        found = LocalServer(model)  # finds the file; it is not started
        self.endpoint = f"engine:{found.model}"
        self._name = found.model
        self._drafting = drafting
        self._settings = Settings(
            path=found.path,
            context=context,
            threads=threads or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
            gpu_layers=gpu_layers,
            exact=exact,
            drafting=drafting,
            index=index or DraftIndex(),
            tables=read_costs(Path(costs)) if isinstance(costs, str | os.PathLike) else costs,
            sessions=sessions,
            tenant=tenant,
        )
        self._lock = threading.Lock()
        self._running: _Running | None = None

    @asynccontextmanager
    async def open(self, timeouts: Timeouts) -> AsyncIterator[Connection]:
        """Load the model, which takes seconds; event loops that have it open together share it.

        Raises:
            LocalModelError: It cannot be loaded.
            MissingExtra: llama-cpp-python is not installed.
        """
        del timeouts
        with self._lock:
            if self._running is None:
                self._running = _Running(self._settings)
            running = self._running
            running.users += 1
        try:
            await run_in_thread(running.loaded)
            yield _EngineConnection(running, self._name, drafting=self._drafting)
        finally:
            with self._lock:
                running.users -= 1
                last = not running.users
                if last:
                    self._running = None
            if last:
                await run_in_thread(running.stop)


class _Running:
    """A worker, and who uses it."""

    def __init__(self, settings: Settings) -> None:
        self.users = 0
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._calls: set[Call] = set()
        self._queue, self._thread = start_worker(settings, self._on_start)

    def _on_start(self, error: BaseException | None) -> None:
        self._error = error
        self._started.set()

    def loaded(self) -> None:
        self._started.wait()
        if self._error is not None:
            raise self._error

    def ask(self, call: Call) -> None:
        if not self._thread.is_alive():
            raise ConnectionFailed("The engine has ended")
        self._calls.add(call)
        self._queue.put(call)

    def leave(self, call: Call) -> None:
        call.left.set()
        self._calls.discard(call)

    def stop(self) -> None:
        for call in tuple(self._calls):
            call.left.set()
            call.tell(ConnectionFailed("The engine was closed"))
        self._queue.put(None)
        self._thread.join()


class _EngineConnection:
    def __init__(self, running: _Running, name: str, *, drafting: bool) -> None:
        self._running = running
        self._name = name
        self._drafting = drafting

    async def chunks(self, body: bytes, *, stream: bool) -> AsyncGenerator[Any, None]:
        """Answer one request; see `Connection.chunks`."""
        loop = asyncio.get_running_loop()
        pieces: asyncio.Queue[Written | ModelError] = asyncio.Queue()

        def tell(piece: Written | ModelError) -> None:
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
                loop.call_soon_threadsafe(pieces.put_nowait, piece)

        call = Call(parse_request(body), tell)
        self._running.ask(call)
        whole: list[str] = []
        try:
            while True:
                piece = await pieces.get()
                if isinstance(piece, ModelError):
                    raise piece
                whole.append(piece.text)
                if stream and piece.text:
                    yield self._chunk("delta", piece.text, None)
                if piece.finish:
                    text = "" if stream else "".join(whole)
                    last = self._chunk("delta" if stream else "message", text, piece.finish)
                    yield {**last, "usage": _usage(piece, drafting=self._drafting)}
                    yield END
                    return
        finally:
            self._running.leave(call)

    def _chunk(self, field: str, text: str, finish: str | None) -> dict[str, Any]:
        choice = {"index": 0, field: {"role": "assistant", "content": text}, "finish_reason": finish}
        return {"model": self._name, "choices": [choice]}


def _usage(written: Written, *, drafting: bool) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "prompt_tokens": written.prompt_tokens,
        "completion_tokens": written.tokens,
        "prompt_tokens_details": {"cached_tokens": written.cached_tokens},
    }
    if drafting:
        usage["completion_tokens_details"] = {
            "accepted_prediction_tokens": written.accepted,
            "rejected_prediction_tokens": written.rejected,
        }
    return usage
