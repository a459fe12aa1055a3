"""Which models of a run are lost, and who stands in for them."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from agentinfer.collab._events import ModelFellOver
from agentinfer.collab._seats import Seat
from agentinfer.collab._tiers import Outage, nearest, outage_of
from agentinfer.errors import AgentInferError
from agentinfer.models import ModelRequest
from agentinfer.run import Run
from agentinfer.transcript import View

__all__ = ["Failover"]


class Failover:
    """The models of one run: opened when they are first used, left out while they are lost.

    Args:
        run: The run.
        seats: Its tiers, from the weakest to the strongest.
        stack: What closes the models at the end of the run.
    """

    def __init__(self, run: Run, seats: Sequence[Seat], stack: AsyncExitStack) -> None:
        self._run = run
        self._seats = seats
        self._stack = stack
        self._opened: set[str] = set()
        self._outages: dict[str, Outage] = {}
        """By the key of a model."""
        self._told_of: dict[str, Outage] = {}
        """The outages that events have told of."""
        if run.limits.cost is not None:
            for seat in seats:
                if seat.model.pricing is None:
                    self._outages[seat.key] = Outage(cause="unusable", error="its price is not known")

    async def open(self, seat: Seat) -> None:
        """Keep a seat's model open from its first use to the end of the run.

        Raises:
            AgentInferError: It cannot be opened.
        """
        if seat.key not in self._opened:
            await self._stack.enter_async_context(seat.model)
            self._opened.add(seat.key)

    def instead_of(self, seat: Seat, step: int, view: View) -> tuple[Seat, Outage] | None:
        """Who makes a step instead of a seat that is lost, and why; `None` where it is not, or nobody can.

        Args:
            seat: Who is meant to make the step.
            step: The step.
            view: Its prompt.
        """
        outage = self._outage(seat, step, self._run.price(view, model=seat.model).prompt_tokens)
        other = None if outage is None else self._stand_in(seat, step, view)
        if outage is None or other is None:
            return None
        self._tell(seat, other, outage, step)
        return other, outage

    def after_failure(self, seat: Seat, step: int, request: ModelRequest, error: AgentInferError) -> Seat | None:
        """Who makes a call that failed; nobody, where another model would fare no better.

        Args:
            seat: Whose call it was.
            step: The step it belongs to.
            request: The call.
            error: How it failed.
        """
        late = request.deadline is not None and asyncio.get_running_loop().time() >= request.deadline
        outage = None if late else outage_of(error, step, request.tokens)
        if outage is None:
            return None
        self._outages[seat.key] = outage
        other = self._stand_in(seat, step, request.view)
        if other is not None:
            self._tell(seat, other, outage, step)
        return other

    def _outage(self, seat: Seat, step: int, tokens: int) -> Outage | None:
        """Why a seat cannot make a step."""
        known = self._outages.get(seat.key)
        if known is not None and known.holds(step, tokens):
            return known
        window = seat.model.context_window
        if window is not None and tokens + min(self._run.limits.answer_tokens, window // 4) > window:
            error = f"its window of {window} tokens is too small"
            return Outage(cause="context_too_small", error=error)
        return None

    def _stand_in(self, lost: Seat, step: int, view: View) -> Seat | None:
        """The nearest seat of another model that is not lost."""
        place = self._seats.index(lost)
        prices = {n: self._run.price(view, model=s.model) for n, s in enumerate(self._seats) if n != place}
        usable = [
            number
            for number, price in prices.items()
            if self._outage(self._seats[number], step, price.prompt_tokens) is None
            and self._seats[number].key != lost.key
        ]
        chosen = nearest(place, usable, {number: price.uncached_tokens for number, price in prices.items()})
        return None if chosen is None else self._seats[chosen]

    def _tell(self, seat: Seat, other: Seat, outage: Outage, step: int) -> None:
        if self._told_of.get(seat.key) == outage:
            return
        self._told_of[seat.key] = outage
        self._run.emit(
            ModelFellOver(step=step, model=seat.model.name, to=other.model.name, cause=outage.cause, error=outage.error)
        )
