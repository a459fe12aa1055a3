"""Model calls on somebody's account: priced, limited, counted and told of. A run has one, so has background work."""

import asyncio
from collections.abc import Callable

from agentinfer.errors import BudgetSpent, ModelError
from agentinfer.events import Event, ModelCallFailed, ModelCallFinished, ModelCallStarted, PrefixBreak
from agentinfer.ledger import Lane, Ledger, PrefixLoss, Price
from agentinfer.models import Completion, Delta, ModelRequest
from agentinfer.usage import Usage

__all__ = ["Calls"]


class Calls:
    """An account of model calls.

    Args:
        ledger: What the endpoints have cached.
        trunk: Whose calls these are: calls of one trunk and purpose are expected to continue each other.
        emit: Told of every event.
        tokens: Tokens that all calls together may take.
        cost: Money that they may take.
        priced: Whether every model needs a price, since somebody counts the cost.
    """

    def __init__(
        self,
        ledger: Ledger,
        *,
        trunk: str,
        emit: Callable[[Event], None],
        tokens: int | None = None,
        cost: float | None = None,
        priced: bool = False,
    ) -> None:
        self.ledger = ledger
        self.usage = Usage()
        self.by_purpose: dict[str, Usage] = {}
        """What was spent on what: `step` is the loop's own purpose."""
        self.model_seconds = 0.0
        self.tokens = tokens
        self.cost = cost
        self._priced = priced or cost is not None
        self._trunk = trunk
        self._emit = emit
        self._causes: list[str] = []
        """Why what is sent has changed for good, oldest first."""
        self._told: dict[tuple[Lane, str], tuple[int, str | None]] = {}
        """Per lane and purpose: how many causes its last request knew of, and the cause that held for it alone."""

    @property
    def spent(self) -> Usage:
        """What was spent here, without what a resumed run brought with it."""
        return sum(self.by_purpose.values(), Usage())

    def note_cause(self, cause: str) -> None:
        """Note why the coming requests will not continue those before."""
        self._causes.append(cause)

    async def make(self, request: ModelRequest, *, on_delta: Callable[[Delta], None] | None = None) -> Completion:
        """Make one call.

        Raises:
            BudgetSpent: It would not fit what may still be spent.
            ModelError: It failed.
        """
        price = self.ledger.price(request)
        self._check(request, price)
        loss = self.ledger.sent(request, f"{self._trunk}/{request.purpose}")
        self._tell(request, loss)
        name, purpose = request.model.name, request.purpose
        self._emit(ModelCallStarted(model=name, purpose=purpose, price=price))
        try:
            completion = await request.model.complete(request, on_delta=on_delta)
        except (ModelError, asyncio.CancelledError) as error:
            self._emit(ModelCallFailed(model=name, purpose=purpose, error=str(error) or type(error).__name__))
            if isinstance(error, ModelError) and error.delivered:  # what broke off was paid for all the same
                self._add(purpose, _estimate(request, price, error.partial))
            raise
        self._add(purpose, completion.usage)
        self.model_seconds += completion.seconds
        self.ledger.answered(request, completion, price)
        self._emit(
            ModelCallFinished(
                model=name,
                purpose=purpose,
                usage=completion.usage,
                seconds=completion.seconds,
                first_token_seconds=completion.first_token_seconds,
                attempts=completion.attempts,
                finish_reason=completion.finish_reason,
            )
        )
        return completion

    def _check(self, request: ModelRequest, price: Price) -> None:
        if self._priced and request.model.pricing is None:
            raise BudgetSpent(f"{request.purpose}: there is a limit on cost, and {request.model.name} has no price")
        if self.tokens is not None and self.usage.total_tokens + price.prompt_tokens > self.tokens:
            raise BudgetSpent(
                f"{request.purpose}: {price.prompt_tokens} tokens of prompt, with "
                f"{self.usage.total_tokens} of {self.tokens} spent"
            )
        if self.cost is not None and (self.usage.cost or 0.0) + (price.cost or 0.0) > self.cost:
            raise BudgetSpent(
                f"{request.purpose}: the prompt costs {price.cost}, with {self.usage.cost} of {self.cost} spent"
            )

    def _add(self, purpose: str, usage: Usage) -> None:
        self.usage += usage
        self.by_purpose[purpose] = self.by_purpose.get(purpose, Usage()) + usage

    def _tell(self, request: ModelRequest, loss: PrefixLoss | None) -> None:
        """Say why a prefix was lost, as far as anyone has said."""
        lane = (self.ledger.lane(request), request.purpose)
        known, passing = self._told.get(lane, (0, None))
        self._told[lane] = (len(self._causes), request.cause)
        if loss is None:
            return
        committed = self._causes[known:] if request.purpose == "step" else []
        causes = list(filter(None, [request.cause, *committed]))
        if not causes and passing:
            causes = [f"no longer: {passing}"]
        if not causes and loss.reason:
            causes = [loss.reason]
        if not causes and request.purpose != "step":  # such calls stand alone and need not continue each other
            return
        self._emit(
            PrefixBreak(
                model=request.model.name,
                purpose=request.purpose,
                cause="; ".join(causes) or None,
                lost_tokens=loss.lost_tokens,
            )
        )


def _estimate(request: ModelRequest, price: Price, written: str) -> Usage:
    model = request.model
    completion = round(model.counter.count(written.encode(errors="replace")))
    return Usage(
        calls=1,
        estimated_calls=1,
        prompt_tokens=price.prompt_tokens,
        completion_tokens=completion,
        cost=model.pricing.cost(price.prompt_tokens, 0, completion) if model.pricing else None,
    )
