"""What carries requests to a model. A backend is opened per event loop, and gives chunks."""

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["Backend", "Connection", "Timeouts"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds; `None` waits for ever."""

    connect: float | None = 10.0
    """To reach the endpoint."""
    first_token: float | None = 300.0
    """From sending the request to the first piece of a streamed reply; a long prompt takes its time."""
    between_tokens: float | None = 60.0
    """From one piece of a streamed reply to the next."""
    call: float | None = 900.0
    """For one call, its retries and their waiting included."""


class Connection(Protocol):
    """An open backend."""

    def chunks(self, body: bytes, *, stream: bool) -> AsyncGenerator[Any, None]:
        """Send a Chat Completions request; its chunks, or its one completion, as parsed JSON.

        `END` comes after the last chunk where the endpoint said that it was done.

        Raises:
            ModelError: The request failed.
        """


class Backend(Protocol):
    """A way to reach a model."""

    @property
    def endpoint(self) -> str:
        """What tells this endpoint from others, without secrets; its address where it has one."""

    def open(self, timeouts: Timeouts) -> AbstractAsyncContextManager[Connection]:
        """Get ready for requests on the running event loop."""


class _End(dict[str, Any]):
    """The endpoint's word that the reply is whole."""


END = _End()
