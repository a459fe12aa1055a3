"""Exchanges with an endpoint, kept and answered from: runs that repeat without a model."""

import asyncio
import itertools
import json
import threading
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agentinfer._threads import run_in_thread
from agentinfer.errors import ModelError, NotRecorded, StreamCut, UserError
from agentinfer.models._backend import END, Backend, Connection, Timeouts
from agentinfer.models._exchange import (
    Exchange,
    digest_of,
    keep,
    read_answer,
    read_header,
    requests_in,
    write_header,
)
from agentinfer.models._nearest import describe_miss

if TYPE_CHECKING:
    from agentinfer.models._model import Model

__all__ = ["RecordingBackend", "ReplayBackend", "record"]


def record(model: "Model", directory: Path | str) -> None:
    """Keep every exchange of a model from now on, without its key. Call it before the model is opened.

    Args:
        model: Whose exchanges to keep.
        directory: Where; several models may share one.

    Raises:
        UserError: The directory holds something else, or a recording of another version.
    """
    model.backend = RecordingBackend(model.backend, directory, secrets=model._secrets)


class RecordingBackend:
    """Keeps every exchange of another backend, in files that `ReplayBackend` answers from.

    The same request may be answered several times; all answers are kept, in the order in which they ended. Headers
    are never kept.

    Args:
        backend: What carries the requests.
        directory: Where to keep them: a new or empty directory, or a recording to go on with.
        secrets: Texts to leave out of what the endpoint says of its failures.

    Raises:
        UserError: The directory holds something else, or a recording of another version.
    """

    def __init__(self, backend: Backend, directory: Path | str, *, secrets: Sequence[str] = ()) -> None:
        self._backend = backend
        self._directory = Path(directory)
        self._secrets = tuple(secrets)
        read_header(self._directory)

    @property
    def endpoint(self) -> str:
        """The endpoint of the backend that is recorded."""
        return self._backend.endpoint

    @asynccontextmanager
    async def open(self, timeouts: Timeouts) -> AsyncIterator[Connection]:
        """Open the backend that is recorded."""
        try:
            await run_in_thread(lambda: write_header(self._directory, self.endpoint))
        except OSError as error:
            raise UserError(f"Nothing can be recorded in {self._directory}: {error}") from None
        async with self._backend.open(timeouts) as connection:
            yield _RecordingConnection(connection, self.endpoint, self._directory, self._secrets)


class _RecordingConnection:
    def __init__(self, connection: Connection, endpoint: str, directory: Path, secrets: Sequence[str]) -> None:
        self._connection = connection
        self._endpoint = endpoint
        self._directory = directory
        self._secrets = secrets

    async def chunks(self, body: bytes, *, stream: bool) -> AsyncGenerator[Any, None]:
        """Send one request and keep what comes; see `Connection.chunks`."""
        seen: list[Any] = []
        end: Literal["whole", "cut", "left"] = "cut"
        try:
            async with aclosing(self._connection.chunks(body, stream=stream)) as chunks:
                async for chunk in chunks:
                    if chunk is END:
                        end = "whole"
                        break
                    seen.append(chunk)
                    yield chunk
        except ModelError as error:
            await self._keep(body, stream, seen, "error", error)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            with suppress(UserError):
                await self._keep(body, stream, seen, "left")
            raise
        await self._keep(body, stream, seen, end)
        if end == "whole":
            yield END

    async def _keep(
        self,
        body: bytes,
        stream: bool,
        chunks: list[Any],
        end: Literal["whole", "cut", "left", "error"],
        error: ModelError | None = None,
    ) -> None:
        def write() -> None:
            exchange = Exchange(
                endpoint=self._endpoint, request=json.loads(body), stream=stream, chunks=chunks, end=end, error=error
            )
            keep(self._directory, exchange, self._secrets)

        try:
            await run_in_thread(write)
        except OSError as failure:
            raise UserError(f"The exchange cannot be kept in {self._directory}: {failure}") from None


class ReplayBackend:
    """Answers from a recording, without any network: the same chunks and errors, without the waiting.

    Several answers to the very same request come in the order in which they were recorded; after the last one it
    comes again, since runs that share a question, or retries, need not ask as often as they did. An answer that its
    caller left before the end is used only where no other is; it breaks off where it was left.

    Args:
        directory: What `RecordingBackend` kept.
        endpoint: The endpoint to pass for; the one recorded first unless given.

    Raises:
        UserError: The directory holds no recording, or one of another version.
    """

    def __init__(self, directory: Path | str, *, endpoint: str | None = None) -> None:
        self._directory = Path(directory)
        recorded = read_header(self._directory)
        if recorded is None:
            raise UserError(f"{directory} holds no recording")
        self._endpoint = recorded if endpoint is None else endpoint
        self._turns: defaultdict[str, Iterator[int]] = defaultdict(lambda: itertools.count(1))
        self._requests: list[tuple[str, Any]] | None = None
        self._reading = threading.Lock()

    @property
    def endpoint(self) -> str:
        """The endpoint it passes for."""
        return self._endpoint

    @asynccontextmanager
    async def open(self, timeouts: Timeouts) -> AsyncIterator[Connection]:
        """Nothing to open."""
        del timeouts
        yield self

    async def chunks(self, body: bytes, *, stream: bool) -> AsyncGenerator[Any, None]:
        """The recorded answer to this request; see `Connection.chunks`.

        Raises:
            NotRecorded: There is none.
        """
        del stream  # the body says so
        request = json.loads(body)
        digest = digest_of(request)
        turn = next(self._turns[digest])
        exchange = await run_in_thread(lambda: read_answer(self._directory, digest, turn))
        if exchange is None:
            raise NotRecorded(await run_in_thread(lambda: self._miss(request)))
        for chunk in exchange.chunks:
            yield chunk
            await asyncio.sleep(0)  # a caller may want to be cancelled here
        if exchange.error is not None:
            raise exchange.error
        if exchange.end == "left":
            error = StreamCut("The recorded call was left here by its caller")
            error.retryable = False
            raise error
        if exchange.end == "whole":
            yield END

    def _miss(self, request: Any) -> str:
        with self._reading:
            if self._requests is None:
                self._requests = requests_in(self._directory)
        return describe_miss(self._directory, request, self._requests)
