"""What a run may spend, and when it has to answer: pure functions of what was spent."""

from dataclasses import dataclass
from typing import Literal

from agentinfer.errors import UserError
from agentinfer.usage import Pricing

__all__ = ["Forecast", "LimitName", "Limits", "Spent", "Verdict", "completion_cap", "judge", "result_room"]

WORDS_TOKENS = 64
"""Tokens kept for what the runtime itself says to the model."""

LimitName = Literal["steps", "tokens", "cost", "seconds"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a run may spend. Near a limit the model is asked for its answer, with one call kept in reserve for it.

    Raises:
        UserError: A limit is not positive.
    """

    steps: int | None = 30
    """Model calls of the loop. The last one can only answer."""
    tokens: int | None = None
    """Prompt and completion tokens of all calls, the plug-ins' included."""
    cost: float | None = None
    """Money, in the currency of the model's pricing, which has to be known."""
    seconds: float | None = None
    """Time from start to end."""
    answer_tokens: int = 512
    """Completion tokens kept in reserve for the last answer."""
    answer_seconds: float | None = None
    """Seconds kept in reserve for the last answer; a fifth of `seconds`, at most 60, unless given."""

    def __post_init__(self) -> None:
        for name in ("steps", "tokens", "cost", "seconds", "answer_seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise UserError(f"Limits({name}={value}): a limit is positive, or None for no limit")

    @property
    def reserved_seconds(self) -> float:
        """Seconds kept in reserve for the last answer."""
        if self.seconds is None:
            return 0.0
        return min(self.seconds / 5, 60.0) if self.answer_seconds is None else min(self.answer_seconds, self.seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What a run has spent so far."""

    steps: int = 0
    tokens: int = 0
    """Prompt and completion tokens of all calls."""
    cost: float | None = 0.0
    """Money; `None` where a price is unknown."""
    seconds: float = 0.0
    """Since the run's start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forecast:
    """What the next step is expected to take."""

    prompt_tokens: int
    """Tokens of the next request."""
    step_tokens: int = 256
    """Tokens that a step adds to the history: what the model writes and what its tools return."""
    pricing: Pricing | None = None
    """What the model's tokens cost, where that is known."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the next step may be."""

    action: Literal["go", "answer", "stop"]
    """`answer`: it must be the answer; `stop`: there is nothing left for it."""
    limit: LimitName | None = None
    """The limit that says so."""


def judge(limits: Limits, spent: Spent, forecast: Forecast) -> Verdict:
    """Whether the next step may use tools, has to be the answer, or cannot be afforded.

    A step may use tools only if an answer can still be afforded after it.

    Args:
        limits: What the run may spend.
        spent: What it has spent.
        forecast: What the next step is expected to take.
    """
    verdicts = [
        _steps(limits, spent),
        _seconds(limits, spent),
        _tokens(limits, spent, forecast),
        _cost(limits, spent, forecast),
    ]
    for action in ("stop", "answer"):
        for verdict in verdicts:
            if verdict.action == action:
                return verdict
    return Verdict("go")


def completion_cap(limits: Limits, spent: Spent, forecast: Forecast, *, answering: bool) -> int | None:
    """Completion tokens the next call may write so that the limits hold, or `None` for no such bound; 16 at least.

    What a step writes is sent again with the answer: a token of it counts there too.
    """
    prompt, step = forecast.prompt_tokens, forecast.step_tokens
    caps = []
    if limits.tokens is not None:
        left = limits.tokens - spent.tokens - prompt
        caps.append(left if answering else (left - prompt - step - limits.answer_tokens) // 2)
    if limits.cost is not None and spent.cost is not None and forecast.pricing is not None:
        price = forecast.pricing.cost
        affordable = limits.cost - spent.cost - price(prompt, 0, 0)
        token = price(0, 0, 1)
        if not answering:
            affordable -= price(prompt + step, 0, limits.answer_tokens)
            token += price(1, 0, 0)
        if token > 0:
            caps.append(int(affordable / token))
    return max(min(caps), 16) if caps else None


def result_room(
    limits: Limits, spent: Spent, *, prompt_tokens: int, pricing: Pricing | None, window: int | None
) -> int | None:
    """Tokens that a step's tool results may have, so that an answer still fits after them; `None` for no such bound.

    Args:
        limits: What the run may spend.
        spent: What it has spent, the step's own model call included.
        prompt_tokens: Tokens of the history before the results.
        pricing: What the model's tokens cost.
        window: Tokens of prompt and completion that the model can hold.
    """
    answer = prompt_tokens + limits.answer_tokens
    rooms = []
    if limits.tokens is not None:
        rooms.append(limits.tokens - spent.tokens - answer)
    if limits.cost is not None and spent.cost is not None and pricing is not None and pricing.input > 0:
        left = limits.cost - spent.cost - pricing.cost(prompt_tokens, 0, limits.answer_tokens)
        rooms.append(int(left / pricing.cost(1, 0, 0)))
    if window is not None:
        rooms.append(window - answer)
    return max(min(rooms) - WORDS_TOKENS, 0) if rooms else None


def _steps(limits: Limits, spent: Spent) -> Verdict:
    if limits.steps is None or spent.steps + 1 < limits.steps:
        return Verdict("go")
    return Verdict("answer" if spent.steps < limits.steps else "stop", "steps")


def _seconds(limits: Limits, spent: Spent) -> Verdict:
    if limits.seconds is None or limits.seconds - spent.seconds > limits.reserved_seconds:
        return Verdict("go")
    return Verdict("answer" if spent.seconds < limits.seconds else "stop", "seconds")


def _tokens(limits: Limits, spent: Spent, forecast: Forecast) -> Verdict:
    if limits.tokens is None:
        return Verdict("go")
    answer = forecast.prompt_tokens + limits.answer_tokens
    step = forecast.prompt_tokens + forecast.step_tokens
    left = limits.tokens - spent.tokens
    if step + forecast.step_tokens + answer <= left:
        return Verdict("go")
    # A short answer may still fit where the full reserve does not.
    return Verdict("answer" if forecast.prompt_tokens + limits.answer_tokens // 4 <= left else "stop", "tokens")


def _cost(limits: Limits, spent: Spent, forecast: Forecast) -> Verdict:
    if limits.cost is None or spent.cost is None or forecast.pricing is None:
        return Verdict("go")
    price = forecast.pricing.cost
    answer = price(forecast.prompt_tokens, 0, limits.answer_tokens)
    step = price(forecast.prompt_tokens + forecast.step_tokens, 0, forecast.step_tokens)
    left = limits.cost - spent.cost
    if step + answer <= left:
        return Verdict("go")
    return Verdict("answer" if answer <= left else "stop", "cost")
