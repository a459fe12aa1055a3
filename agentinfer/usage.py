"""What model calls spent: tokens, calls and money. `None` means unknown, never zero."""

from dataclasses import dataclass

__all__ = ["Pricing", "Usage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pricing:
    """What a model costs, in one currency, per million tokens."""

    input: float
    """Prompt tokens the endpoint had not cached."""
    output: float
    """Completion tokens, reasoning included."""
    cached_input: float | None = None
    """Prompt tokens read from the endpoint's prefix cache; `None`: the same as `input`."""

    def cost(self, prompt_tokens: float, cached_tokens: float | None, completion_tokens: float) -> float:
        """The price of one call, in the currency of this object.

        Args:
            prompt_tokens: Tokens sent, cached ones included.
            cached_tokens: Those of them that the endpoint had cached; `None`: none.
            completion_tokens: Tokens written, reasoning included.
        """
        cached = min(cached_tokens or 0, prompt_tokens)
        cached_price = self.input if self.cached_input is None else self.cached_input
        spent = (prompt_tokens - cached) * self.input + cached * cached_price + completion_tokens * self.output
        return spent / 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one or more model calls spent. Sums with `+`; `Usage()` is nothing spent."""

    calls: int = 0
    """Model calls that got an answer, whole or in part."""
    estimated_calls: int = 0
    """Those of them whose endpoint reported no usage, so that their token counts are estimates."""
    prompt_tokens: int = 0
    """Tokens sent, cached ones included."""
    cached_tokens: int | None = None
    """Tokens of the prompts read from the endpoint's prefix cache; a lower bound where some calls do not tell."""
    completion_tokens: int = 0
    """Tokens written, reasoning included."""
    reasoning_tokens: int | None = None
    """Tokens of the completions spent on reasoning; a lower bound where some calls did not tell."""
    accepted_prediction_tokens: int | None = None
    """Tokens of a sent `prediction` that were used."""
    rejected_prediction_tokens: int | None = None
    """Tokens of a sent `prediction` that were not used, and are billed."""
    cost: float | None = 0.0
    """Money spent; `None` as soon as one call's price is unknown."""

    @property
    def total_tokens(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens

    @property
    def cached_share(self) -> float | None:
        """The share of the prompt tokens that came from the prefix cache, 0 to 1."""
        if self.cached_tokens is None or self.prompt_tokens == 0:
            return None
        return self.cached_tokens / self.prompt_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            calls=self.calls + other.calls,
            estimated_calls=self.estimated_calls + other.estimated_calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            cached_tokens=_known_sum(self.cached_tokens, other.cached_tokens),
            completion_tokens=self.completion_tokens + other.completion_tokens,
            reasoning_tokens=_known_sum(self.reasoning_tokens, other.reasoning_tokens),
            accepted_prediction_tokens=_known_sum(self.accepted_prediction_tokens, other.accepted_prediction_tokens),
            rejected_prediction_tokens=_known_sum(self.rejected_prediction_tokens, other.rejected_prediction_tokens),
            cost=None if self.cost is None or other.cost is None else self.cost + other.cost,
        )


def _known_sum(one: int | None, other: int | None) -> int | None:
    """The sum of what is known."""
    if one is None:
        return other
    return one if other is None else one + other
