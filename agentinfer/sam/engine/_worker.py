"""The thread in which a model computes: one call at a time, the others wait in its queue."""

import queue
import threading
from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentinfer.errors import ContextTooLong, LocalModelError, ModelError, ServerFailed
from agentinfer.sam._gain import CostTable
from agentinfer.sam._index import DraftIndex
from agentinfer.sam.engine._choose import Chooser, grammar_of
from agentinfer.sam.engine._costs import kept_costs
from agentinfer.sam.engine._follow import Follower
from agentinfer.sam.engine._loop import MOST, Engine
from agentinfer.sam.engine._native import Llama
from agentinfer.sam.engine._request import Wanted
from agentinfer.sam.engine._template import ChatTemplate
from agentinfer.sam.engine._text import TextStream

__all__ = ["Call", "Settings", "Written", "start_worker"]


ON_GPU = 32
"""Tokens of a draft at most on a GPU, where many cost about as much as one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a model is loaded and drafted for."""

    path: Path
    context: int
    threads: int | None
    gpu_layers: int
    exact: bool
    drafting: bool
    index: DraftIndex
    tables: Sequence[CostTable] | None
    """What passes cost; measured unless given."""
    sessions: int
    tenant: str | None


@dataclass(slots=True)
class Written:
    """What was written so far."""

    text: str = ""
    """What is new of it."""
    finish: str | None = None
    """Why it ended: `stop` or `length`."""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    tokens: int = 0
    accepted: int = 0
    """Drafted tokens that the model chose as well,"""
    rejected: int = 0
    """and those that were verified in vain."""


@dataclass(slots=True, eq=False)
class Call:
    """One request and where its reply goes."""

    wanted: Wanted
    tell: Callable[[Written | ModelError], None]
    """Called from the thread, with each piece of the reply, and with an error where it fails."""
    left: threading.Event = field(default_factory=threading.Event)
    """Set by the caller who wants no more of it."""


class _Worker:
    def __init__(self, settings: Settings) -> None:
        drafting = settings.drafting
        self._llama = Llama(
            settings.path,
            context=settings.context,
            threads=settings.threads,
            gpu_layers=settings.gpu_layers,
            batch=512 if settings.gpu_layers else 128,  # a caller who leaves waits for one at most
            exact=settings.exact,
        )
        try:
            self._template = ChatTemplate(self._llama)
            tables = settings.tables if drafting else ()
            if tables is None and self._llama.rewinds:
                about = {name: getattr(settings, name) for name in ("threads", "gpu_layers", "exact")}
                tables = kept_costs(self._llama, settings.path, about=about)
            self._engine = Engine(self._llama, tables=tables or (), most=ON_GPU if settings.gpu_layers else MOST)
        except BaseException:
            self._llama.close()
            raise
        self._follower = (
            Follower(settings.index, sessions=settings.sessions, tenant=settings.tenant)
            if drafting and self._llama.rewinds
            else None
        )
        self._grammars: dict[str, str] = {}

    def serve(self, calls: "queue.SimpleQueue[Call | None]") -> None:
        while (call := calls.get()) is not None:
            if call.left.is_set():
                continue
            try:
                self._answer(call)
            except ModelError as error:
                call.tell(error)
            except Exception as error:  # noqa: BLE001 - the thread outlives whatever happens in a call
                self._engine.reset()
                call.tell(ServerFailed(f"The engine failed: {error!r}"))

    def close(self) -> None:
        if self._follower is not None:
            self._follower.close()
        self._llama.close()

    def _answer(self, call: Call) -> None:
        wanted, llama = call.wanted, self._llama
        prompt = llama.tokenize(self._template.render(wanted.messages))
        room = llama.context - len(prompt)
        if room < 1:
            raise ContextTooLong(f"The prompt has {len(prompt):,} tokens, the context {llama.context:,}", status=400)
        grammar = self._grammar(wanted)
        draws = {"temperature": wanted.temperature, "top_p": wanted.top_p, "seed": wanted.seed}
        chooser = Chooser(llama, grammar=grammar, **draws)  # type: ignore[arg-type]
        try:
            self._write(call, prompt, chooser, min(wanted.max_tokens or room, room))
        finally:
            chooser.close()

    def _write(self, call: Call, prompt: list[int], chooser: Chooser, limit: int) -> None:
        engine, llama = self._engine, self._llama
        written = Written(prompt_tokens=len(prompt), cached_tokens=engine.reusable(prompt))
        followed = self._follower.follow(prompt) if self._follower else None
        stream = TextStream(call.wanted.stop)
        ended = False
        for done in engine.generate(prompt, chooser.choose, limit=limit, followed=followed):
            if call.left.is_set():
                return
            written.accepted += done.accepted
            written.rejected += done.drafted - done.accepted
            text = ""
            for token in done.written:
                written.tokens += 1
                ended = ended or llama.is_end(token)
                text += stream.add(llama.piece(token))
                if stream.stopped:
                    break
            if text:
                written.text = text
                call.tell(copy(written))
            if stream.stopped:
                break
        written.text = stream.end()
        written.finish = "stop" if ended or stream.stopped else "length"
        call.tell(copy(written))

    def _grammar(self, wanted: Wanted) -> str | None:
        if wanted.schema is None:
            return None
        key = repr(wanted.schema)
        if key not in self._grammars:
            if len(self._grammars) >= 64:
                self._grammars.clear()
            self._grammars[key] = grammar_of(wanted.schema)
        return self._grammars[key]


def start_worker(
    settings: Settings, started: Callable[[BaseException | None], None]
) -> tuple["queue.SimpleQueue[Call | None]", threading.Thread]:
    """Load a model in a thread of its own, and answer calls until a `None` comes.

    Args:
        settings: How.
        started: Called from the thread, once the model is loaded, or with why it could not be.
    """
    calls: queue.SimpleQueue[Call | None] = queue.SimpleQueue()

    def work() -> None:
        worker: Any = None
        try:
            worker = _Worker(settings)
        except BaseException as error:  # noqa: BLE001 - handed to whoever opened it
            started(error if isinstance(error, Exception) else LocalModelError(repr(error)))
            return
        started(None)
        try:
            worker.serve(calls)
        finally:
            worker.close()

    thread = threading.Thread(target=work, name="agentinfer engine", daemon=True)
    thread.start()
    return calls, thread
