"""One compression under way: from the snapshot (T0) to notes that are written, checked and warmed up (T1)."""

import asyncio
import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Literal

from agentinfer._threads import run_in_thread
from agentinfer.compress._cut import Cut, Step
from agentinfer.compress._events import NotesReady
from agentinfer.compress._notes import Note, Read
from agentinfer.compress._put_away import cut_now, extracted
from agentinfer.compress._settings import Settings
from agentinfer.compress._writer import Call, Writer, request_of
from agentinfer.errors import ModelError
from agentinfer.events import Event
from agentinfer.models import Completion, Model, ModelRequest
from agentinfer.run import Run
from agentinfer.step import StepRequest
from agentinfer.transcript import View
from agentinfer.usage import Usage

__all__ = ["Work"]


class Work:
    """Prepares a cut beside the loop.

    Args:
        run: The run; one that takes the work over from an earlier run of its session puts itself here.
        request: The step it begins beside: what its prefix is.
        steps: The steps that lose results.
        settings: How.
        small: Who writes the notes, unless the agent's own model does.
        call: Makes the calls.
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
        call: Call,
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
        self._writer = Writer(run, request, settings, small, self._made)
        self._call = call
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

    async def _made(self, request: ModelRequest) -> Completion:
        """Make a call, unless nobody wants the work any more."""
        if self.given_up:
            raise ValueError("stale")
        completion = await self._call(request)
        self.usage += completion.usage
        return completion

    async def _noted(self) -> Sequence[Note]:
        """What a model writes; sentences of the results where it writes none that are good, or is not to be asked."""
        if self._settings.notes == "model":
            self.read = await self._writer.write(self._steps)
            if self.read.good:
                return self.read.notes
        self.extracted = True
        found = await run_in_thread(lambda: extracted(self.run, self._steps, self._settings))
        if self.read.bad_lines and not found:
            raise ValueError("nothing in the notes stands in their sources")
        return found

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
            await self._made(warm)
        except ModelError:
            return False  # the notes are good all the same
        self.run.calls.ledger.sent(warm, "prewarm")  # work for a session is on another account
        return True
