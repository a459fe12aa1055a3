"""The plug-in."""

import weakref
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

from agentinfer._threads import run_in_thread
from agentinfer.background import Background
from agentinfer.compress._course import Courses
from agentinfer.compress._run import Compression
from agentinfer.compress._settings import Settings
from agentinfer.compress._stubs import missing_texts
from agentinfer.compress._work import Work
from agentinfer.compress._writer import Call
from agentinfer.models import Model
from agentinfer.run import Run
from agentinfer.step import Middleware
from agentinfer.tools import ToolSet, read_result

__all__ = ["Compress"]

WAITING = 1000
"""Sessions for which work is kept between two runs."""


class Compress:
    """AgentCompress: forget beside the loop, and only when it pays (arXiv 2512.18337, section 3.3).

    Search results are filtered before any is opened. Later, what tools returned is distilled into notes while the agent
    goes on; the notes take its place at the end of a step, with what the agent thought, the task and the most recent
    results left as they are. The full texts stay in the run's workspace, and the model can read them there.

    Args:
        small: Writes the notes; the agent's own model does unless given, behind its own history, which is cached.
        start_tokens: Of the prompt, below which nothing is thought about.
        recent: Steps, the last ones, whose results stay as they are.
        least: Characters of a result below which it stays as it is.
        notes: Who writes them: `model`; `extract`, which takes sentences of the results without any model; or `none`.
        notes_tokens: Of the notes of one compression.
        reasoning: Whether what the agent thought stays. Without it steps go altogether: for comparison only.
        rank: How search results are ranked: by their `words`; by the `model` given as `small`, which the tool call
            waits for; or `off`.
        keep_hits: Search results that are shown in any case.
        hit_share: Of the best result's score: results below it are left out.
        prewarm: Whether a new prefix is sent once before it is used, where the endpoint caches prefixes.
        turns: Turns a run is expected to go on for; estimated unless given.
        reserve: Tokens of the window kept free for a reply and for the notes.
        seconds: After which notes are too late.
        tokens: That work for sessions, which may outlive a run, may take in all.
        cost: Money that it may take.

    Raises:
        UserError: A setting is out of its range.
    """

    def __init__(
        self,
        *,
        small: Model | None = None,
        start_tokens: int = 5_000,
        recent: int = 2,
        least: int = 400,
        notes: Literal["model", "extract", "none"] = "model",
        notes_tokens: int = 500,
        reasoning: bool = True,
        rank: Literal["words", "model", "off"] = "words",
        keep_hits: int = 3,
        hit_share: float = 0.3,
        prewarm: bool = True,
        turns: float | None = None,
        reserve: int = 1_500,
        seconds: float = 120.0,
        tokens: int | None = None,
        cost: float | None = None,
    ) -> None:
        self.settings = Settings(
            start_tokens=start_tokens,
            recent=recent,
            least=least,
            notes=notes,
            notes_tokens=notes_tokens,
            reasoning=reasoning,
            rank=rank,
            keep_hits=keep_hits,
            hit_share=hit_share,
            prewarm=prewarm,
            turns=turns,
            reserve=reserve,
            seconds=seconds,
        )
        self.small = small
        self.background = Background("compress", tokens=tokens, cost=cost)
        """Work for sessions, which goes on between two runs of one."""
        self.courses = Courses()
        self.lag = 2.0
        """Turns from the start of work until it takes effect, a moving average."""
        self.refusing: set[str] = set()
        """Models whose endpoints refuse notes as messages of their own: chat templates that want roles to alternate."""
        self._waiting: OrderedDict[tuple[str | None, str], Work] = OrderedDict()
        self._tools: weakref.WeakKeyDictionary[ToolSet, ToolSet] = weakref.WeakKeyDictionary()

    @asynccontextmanager
    async def bind(self, run: Run) -> AsyncIterator[Middleware]:
        """Take part in a run."""
        run.tools = self._with_reader(run.tools)
        await _restore(run)
        call: Call = run.make if run.session is None else self.background.calls.make
        compression = Compression(self, run, call)
        self._adopt(run, compression)
        try:
            yield compression
        finally:
            self.courses.keep(run, compression.course)
            self._leave(run, compression)

    def spawn(self, run: Run, work: Work) -> None:
        """Start work beside the loop; for a session it may outlive the run."""
        owner = run if run.session is None else self.background
        owner.spawn(work.prepare(), name="compress")

    def learn_lag(self, turns: int) -> None:
        """Learn from work that took effect after so many turns."""
        self.lag = 0.7 * self.lag + 0.3 * turns

    def _with_reader(self, tools: ToolSet) -> ToolSet:
        """The tools, and one that brings back what was put away; the same set for the same tools, for the cache."""
        if not tools or "read_result" in tools:
            return tools
        found = self._tools.get(tools)
        if found is None:
            found = self._tools[tools] = ToolSet([*tools.values(), read_result()])
        return found

    def _adopt(self, run: Run, compression: Compression) -> None:
        """Take over what the session's last run left behind."""
        work = self._waiting.pop((run.tenant, run.session), None) if run.session is not None else None
        if work is not None:
            work.run, work.tell = run, run.emit
            for event in work.told:
                run.emit(event)
            work.told.clear()
            compression.work = work
            compression.take()

    def _leave(self, run: Run, compression: Compression) -> None:
        work = compression.work
        if work is None:
            return
        if run.session is None:
            compression.note_spent(work)
            return
        work.tell = work.told.append
        self._waiting[run.tenant, run.session] = work
        while len(self._waiting) > WAITING:
            self._waiting.popitem(last=False)[1].give_up()


async def _restore(run: Run) -> None:
    """Keep again what a resumed run's view names and its workspace does not hold: a temporary one is gone."""
    missing = missing_texts(run.view, run.transcript, run.workspace.handles)
    if missing:
        await run_in_thread(lambda: [run.workspace.keep(text, handle=name) for name, text in missing.items()])
