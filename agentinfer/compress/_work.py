"""One compression under way: from the snapshot (T0) to notes that are written, checked and warmed up (T1)."""

import asyncio
import dataclasses
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Literal

from agentinfer._json import load_json
from agentinfer._threads import run_in_thread
from agentinfer.compress._cut import Cut, Step, is_notes, is_whole
from agentinfer.compress._events import NotesReady
from agentinfer.compress._notes import (
    HEADING,
    MATERIAL_TOKENS,
    Note,
    Read,
    notes_request,
    read_notes,
    same_prefix_request,
)
from agentinfer.compress._put_away import CHARS_PER_TOKEN, cut_now, extracted, task_of, thoughts_of
from agentinfer.compress._settings import Settings
from agentinfer.compress._sources import Source, sources_of
from agentinfer.errors import ModelError
from agentinfer.events import Event
from agentinfer.models import Completion, Model, ModelRequest
from agentinfer.protocol import PROTOCOLS
from agentinfer.run import Run
from agentinfer.step import StepRequest
from agentinfer.tools import ToolSet
from agentinfer.transcript import Message, View
from agentinfer.usage import Usage

__all__ = ["Ask", "Work", "earlier_notes", "request_of"]

PROMPT_TOKENS = 1_000
"""Kept free in that window for what is said beside the material."""
LEAST_NOTES = 100
"""Tokens that each of several calls may write in any case."""

Ask = Callable[[ModelRequest], Awaitable[Completion]]
"""Makes a model call on somebody's account: a run's, or that of work for its session."""


class Work:
    """Prepares a cut beside the loop.

    Args:
        run: The run; one that takes the work over from an earlier run of its session puts itself here.
        request: The step it begins beside: what its prefix is.
        steps: The steps that lose results.
        settings: How.
        small: Who writes the notes, unless the agent's own model does.
        ask: Makes the calls.
        reason: Why it was begun.
        at_step: How many turns the run had made.
        warm: Whether the new prefix is sent once.
        joined: Whether the endpoint refuses notes as messages of their own.
        tell: Told of what happens.
    """

    def __init__(
        self,
        run: Run,
        request: StepRequest,
        steps: Sequence[Step],
        settings: Settings,
        small: Model | None,
        ask: Ask,
        *,
        reason: str,
        at_step: int,
        warm: bool,
        joined: bool,
        tell: Callable[[Event], None],
    ) -> None:
        self.run = run
        self.reason = reason
        self.at_step = at_step
        self.tell = tell
        self.state: Literal["working", "ready", "failed"] = "working"
        self.error = ""
        self.cut: Cut | None = None
        self.causes: tuple[str, ...] = ()
        """Of the pending changes that the warmed prefix holds."""
        self.read = Read(notes=(), struck=())
        """What a model wrote."""
        self.notes: Sequence[Note] = ()
        """What the agent is shown."""
        self.extracted = False
        """Whether that is sentences of the results."""
        self.usage = Usage()
        """Of the calls made for it."""
        self.told: list[Event] = []
        """What happened between two runs of a session."""
        self.given_up = False
        """Whether nobody wants it any more: no further call is made then."""
        self.request = request
        self._steps = steps
        self._settings = settings
        self._small = small
        self._ask = ask
        self._warm = warm
        self._joined = joined
        self._account: Callable[[Work], None] | None = None

    async def prepare(self) -> None:
        """Do the work. What goes wrong is in `error`."""
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._settings.seconds):
                prewarmed = await self._prepare()
        except TimeoutError:
            self._fail("late")
        except Exception as error:  # noqa: BLE001 - whatever it was, the history stays as it is
            self._fail(f"{type(error).__name__}: {error}")
        else:
            self.state = "ready"
            self.tell(
                NotesReady(
                    notes=len(self.notes),
                    extracted=self.extracted,
                    struck=self.read.struck,
                    prompt_tokens=self.usage.prompt_tokens,
                    completion_tokens=self.usage.completion_tokens,
                    cost=self.usage.cost,
                    prewarmed=prewarmed,
                    seconds=time.perf_counter() - started,
                )
            )
        finally:
            if self.state == "working":
                self._fail("cancelled")
            if self._account is not None:
                self._account(self)

    def give_up(self, account: "Callable[[Work], None] | None" = None) -> None:
        """Make no further call.

        Args:
            account: Told once no call is at work any more.
        """
        self.given_up = True
        if account is not None and self.state != "working":
            account(self)
        else:
            self._account = account

    def _fail(self, why: str) -> None:
        self.state, self.error = "failed", why

    async def _prepare(self) -> bool:
        settings = self._settings
        if settings.notes != "none":
            self.notes = await self._noted()
        cut = await cut_now(self.run, self._steps, settings, notes=self.notes, must_keep=True)
        self.cut = cut.joined() if self._joined else cut
        before = request_of(self.request, self.run.view).tokens
        self.causes = tuple(self.run.pending)
        view = self.cut.apply(self.run.view)
        if view is None:
            raise ValueError("stale")
        if request_of(self.request, view).tokens >= before:
            raise ValueError("the notes are no shorter than what they stand for")
        return self._warm and await self._prewarm(view)

    # The notes

    async def _noted(self) -> Sequence[Note]:
        """What a model writes; sentences of the results where it writes none that are good, or is not to be asked."""
        if self._settings.notes == "model":
            self.read = await self._written(self.request.view)
            if self.read.good:
                return self.read.notes
        self.extracted = True
        found = await run_in_thread(lambda: extracted(self.run, self._steps, self._settings))
        if self.read.bad_lines and not found:
            raise ValueError("nothing in the notes stands in their sources")
        return found

    async def _written(self, view: View) -> Read:
        """The notes as a model writes them, checked."""
        names = [r.tool_call_id or "" for step in self._steps for r in step.results if is_whole(r, 0)]
        sources = sources_of(self._steps, names)
        earlier = earlier_notes(view)
        task = task_of(view, self._steps, self.run.question)
        if self._small is None and self.request.output is None and self._fits_behind(view):
            text = await self._ask_behind(view, sources)
        else:
            text = await self._ask_apart(view, sources, task, earlier)
        return await run_in_thread(lambda: read_notes(text, sources, task, earlier))

    def _fits_behind(self, view: View) -> bool:
        window = self.request.model.context_window
        room = PROMPT_TOKENS + self._settings.notes_tokens
        return window is None or request_of(self.request, view).tokens + room <= window

    async def _ask_behind(self, view: View, sources: Sequence[Source]) -> str:
        """Ask the agent's own model behind its own history: the endpoint has that cached."""
        asked = View([*view, Message.user(same_prefix_request(sources))])
        request = self.request
        return await self._call(asked, model=request.model, tools=request.tools, output=None)

    async def _ask_apart(self, view: View, sources: Sequence[Source], task: str, earlier: Sequence[str]) -> str:
        """Ask a model that has not seen the history, in calls side by side."""
        model = (self._small or self.request.model).speaking(PROTOCOLS["native"])  # plain text
        room = (model.context_window or 10**9) - PROMPT_TOKENS - self._settings.notes_tokens
        limit = max(min(room, MATERIAL_TOKENS), 200) * CHARS_PER_TOKEN
        told = "\n".join(earlier)[-limit // 4 :]
        batches = _batches(sources, limit)
        most = self._settings.notes_tokens
        most = max(most // max(len(batches), 1), min(most, LEAST_NOTES))

        async def ask(batch: Sequence[Source]) -> str:
            asked = notes_request(batch, task, thoughts_of(view), told, self.run.nonce)
            return await self._call(asked, model=model, most=most)

        texts = await asyncio.gather(*map(ask, batches), return_exceptions=True)
        for error in texts:
            if isinstance(error, BaseException):
                raise error
        return "\n".join(map(str, texts))

    async def _call(
        self, view: View, *, model: Model, most: int = 0, tools: ToolSet | None = None, output: Any = None
    ) -> str:
        if self.given_up:
            raise ValueError("stale")
        sampling = dataclasses.replace(model.sampling, max_tokens=most or self._settings.notes_tokens)
        completion = await self._ask(
            ModelRequest(
                model=model,
                view=view,
                tools=tools or ToolSet(),
                output=output,
                choice="none",
                sampling=sampling,
                purpose="notes",
            )
        )
        self.usage += completion.usage
        text = completion.text
        if completion.reply.problem and text.lstrip().startswith("{"):  # cut off in the middle of its JSON
            found = load_json(text)
            given = found.get("input") if isinstance(found, dict) else None
            text = str(given.get("answer", "")) if isinstance(given, dict) else ""
        if completion.finish_reason == "length":
            text = text.rpartition("\n")[0]  # a line that was cut off says something else
        return text

    # The prefix

    async def _prewarm(self, view: View) -> bool:
        """Send the new prefix once, so that the step that uses it first need not wait for it."""
        request = self.request
        view, tools = self.run.with_pending(view, self.causes)
        sampling = dataclasses.replace(request.sampling or request.model.sampling, max_tokens=1)
        warm = ModelRequest(
            model=request.model,
            view=view,
            tools=tools,
            output=request.output,
            sampling=sampling,
            purpose="prewarm",
        )
        try:
            completion = await self._ask(warm)
        except ModelError:
            return False  # the notes are good all the same
        self.run.calls.ledger.sent(warm, "prewarm")  # work for a session is on another account
        self.usage += completion.usage
        return True


def _batches(sources: Sequence[Source], limit: int) -> list[list[Source]]:
    """Sources together as long as they fit; one that is too long alone is shown in part."""
    batches: list[list[Source]] = [[]]
    taken = 0
    for source in sources:
        if len(source.text) > limit:
            source = dataclasses.replace(source, text=source.text[:limit])  # noqa: PLW2901
        if batches[-1] and taken + len(source.text) > limit:
            batches.append([])
            taken = 0
        batches[-1].append(source)
        taken += len(source.text)
    return [batch for batch in batches if batch]


def earlier_notes(view: Sequence[Message]) -> list[str]:
    """The lines of the notes that a view has."""
    texts = (m.content for m in view if is_notes(m) or (m.role == "tool" and m.stands_for))
    noted = (text.partition(HEADING)[2] for text in texts)
    return [line for text in noted for line in text.splitlines() if line.startswith("- ")]


def request_of(request: StepRequest, view: View) -> ModelRequest:
    """What a step like this one would send of a view."""
    return ModelRequest(model=request.model, view=view, tools=request.tools, output=request.output)
