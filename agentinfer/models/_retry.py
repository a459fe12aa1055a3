"""When a failed call is sent again: a pure policy, and the one owner of retries."""

import random
from dataclasses import dataclass

from agentinfer.errors import ModelError

__all__ = ["RetryPolicy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with jitter. What an endpoint asks for in `Retry-After` is a floor."""

    attempts: int = 4
    """How often one request is sent at most."""
    first_delay: float = 0.5
    """Seconds before the second attempt, on average; doubles from there."""
    max_delay: float = 30.0
    """Seconds that backoff alone may wait."""
    max_retry_after: float = 120.0
    """Seconds; an endpoint that asks for more is not waited for."""
    restarts: int = 2
    """How often the loop asks anew for a reply that broke off after some of it had been delivered."""

    def delay(
        self, error: ModelError, attempt: int, *, remaining: float | None = None, jitter: float | None = None
    ) -> float | None:
        """Seconds to wait before the next attempt, or `None` to give up.

        Args:
            error: What the attempt ended with.
            attempt: How many attempts there were.
            remaining: Seconds left until the call's deadline.
            jitter: 0 to 1; random unless given.
        """
        if not error.retryable or error.delivered or attempt >= self.attempts:
            return None
        if error.retry_after is not None and error.retry_after > self.max_retry_after:
            return None
        share = random.random() if jitter is None else jitter
        backoff = min(self.first_delay * 2.0 ** min(attempt - 1, 60), self.max_delay) * (0.5 + share)
        delay = max(backoff, error.retry_after or 0.0)
        return None if remaining is not None and delay >= remaining else delay
