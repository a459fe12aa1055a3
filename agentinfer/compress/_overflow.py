"""Prompts that an endpoint refuses: too long for its window, or with notes that its chat template has no place for."""

from collections.abc import Callable

from agentinfer.compress._cut import join_notes
from agentinfer.compress._put_away import cut_now
from agentinfer.compress._settings import Settings
from agentinfer.compress._swap import Swaps
from agentinfer.compress._work import Work
from agentinfer.compress._writer import request_of
from agentinfer.errors import ContextTooLong, RequestRefused
from agentinfer.models import Completion, ModelRequest
from agentinfer.run import Run
from agentinfer.step import ModelHandler, StepRequest

__all__ = ["Overflow"]

SQUEEZES = 2
"""How often a prompt that does not fit is shortened and sent again: without old results, then with recent ones cut."""
LEAST_REPLY = 64
"""Tokens of the window that a prompt leaves for its reply."""
NOTES_JOINED = "compressed: notes joined with results"


class Overflow:
    """Makes the model calls of one run, and sends what was refused again in a form that is taken.

    Args:
        run: The run.
        settings: How results are put away.
        swaps: Puts shorter views into effect.
        refusing: The models whose endpoints refuse notes as messages of their own; what is found out is added.
        at_work: The work beside the loop, whose cut is used where it is ready.
        give_up: Gives that work up: what it would have put away is gone.
    """

    def __init__(
        self,
        run: Run,
        settings: Settings,
        swaps: Swaps,
        refusing: set[str],
        at_work: Callable[[], Work | None],
        give_up: Callable[[], None],
    ) -> None:
        self._run = run
        self._settings = settings
        self._swaps = swaps
        self._refusing = refusing
        self._at_work = at_work
        self._give_up = give_up
        self._windows: dict[str, int] = {}
        """What refusals have taught of the windows of models, by name."""

    def window_of(self, request: ModelRequest) -> int | None:
        """The window a request has to fit, as far as it is known."""
        known = (request.model.context_window, self._windows.get(request.model.name))
        return min((window for window in known if window), default=None)

    async def model(self, request: ModelRequest, handler: ModelHandler) -> Completion:
        """Make a call, the notes joined with the results before them where the endpoint refuses them otherwise."""
        try:
            return await self._fitting(request, handler)
        except ContextTooLong:
            raise
        except RequestRefused:
            joined = join_notes(request.view)
            if joined is request.view:
                raise
            completion = await self._fitting(request.replace(view=joined, cause=NOTES_JOINED), handler)
            self._refusing.add(request.model.name)
            self._run.commit(join_notes(self._run.view), NOTES_JOINED)
            return completion

    async def _fitting(self, request: ModelRequest, handler: ModelHandler) -> Completion:
        """Shorten a prompt that does not fit, and send it again: at most twice, each time by more."""
        squeeze = 0
        while True:
            window = request.model.context_window
            refused: ContextTooLong | None = None
            if window is None or request.tokens + LEAST_REPLY < window:
                try:
                    return await handler(request)
                except ContextTooLong as error:
                    if error.delivered:
                        raise
                    refused = error
                    name, known = request.model.name, self._windows.get(request.model.name, request.tokens)
                    self._windows[name] = min(known, request.tokens)
            shorter = None
            while shorter is None and squeeze < SQUEEZES:
                shorter = await self._squeeze(request, squeeze)
                squeeze += 1
            if shorter is not None:
                request = shorter
            elif refused is not None:
                raise refused
            else:  # the estimate may be wrong: let the endpoint say
                return await handler(request)

    async def _squeeze(self, request: ModelRequest, squeeze: int) -> ModelRequest | None:
        """The request with a shorter view, which is put into effect; nothing where there is nothing left to cut."""
        run, swaps, work = self._run, self._swaps, self._at_work()
        cut, reason = None, "overflow"
        if squeeze == 0 and work is not None and work.state == "ready":
            cut, reason = work.cut, work.reason
        if cut is None or cut.apply(run.view) is None:
            steps = swaps.steps()
            recent = min(self._settings.recent, len(steps))
            old, late = steps[: len(steps) - recent], steps[len(steps) - recent :]
            cut = await cut_now(run, old, self._settings, clipped=late if squeeze else ())
            cut = cut.joined() if request.model.name in self._refusing else cut
        view = cut.apply(run.view)
        if view is None:
            return None
        step = StepRequest(
            index=swaps.step, model=request.model, view=run.view, tools=request.tools, output=request.output
        )
        if request_of(step, view).tokens >= request_of(step, run.view).tokens:
            return None
        self._give_up()
        swaps.report.overflows += 1
        own = request.view == run.view
        there = None if own else cut.apply(request.view)
        # A view that holds for this call only comes back without them, and nobody would have said why.
        causes = tuple(run.pending) if own else ()
        swaps.swap(step, view, cut, reason, swaps.step, causes)
        return request.replace(view=run.view if there is None else there)
