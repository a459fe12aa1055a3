"""Chat Completions over asyncio and httptools: the fastest transport, for many runs at once."""

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from agentinfer.errors import CallTimeout, ConnectionFailed, MissingExtra, UserError
from agentinfer.models._address import Address
from agentinfer.models._answer import read_answer
from agentinfer.models._backend import Connection, Timeouts

try:
    import httptools
except ImportError:
    raise MissingExtra("fast", "The httptools transport") from None

__all__ = ["HttptoolsBackend"]

MAX_PIECES = 256
"""Pieces of a body that wait to be read before the endpoint is made to wait."""


class HttptoolsBackend:
    """An endpoint reached by HTTP/1.1 on plain asyncio connections.

    Args:
        address: Where it is, and what every request carries.

    Raises:
        UserError: The environment asks for a proxy.
    """

    def __init__(self, address: Address) -> None:
        if address.proxy():
            raise UserError("The httptools transport knows no proxies: use transport='httpx', or set NO_PROXY")
        self._address = address

    @property
    def endpoint(self) -> str:
        """The base URL, without secrets."""
        return self._address.shown

    @asynccontextmanager
    async def open(self, timeouts: Timeouts) -> AsyncIterator[Connection]:
        """Get ready for requests on the running event loop."""
        pool = _Pool(self._address, timeouts.connect)
        try:
            yield pool
        finally:
            pool.close()


class _Pool:
    """Connections to one endpoint; one that is free is used again."""

    def __init__(self, address: Address, patience: float | None) -> None:
        parts = urlsplit(address.url)
        self._shown = address.shown
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if address.secure else 80)
        self._ssl = ssl.create_default_context() if address.secure else None
        self._patience = patience
        path = parts.path + (f"?{parts.query}" if parts.query else "")
        lines = [f"POST {path} HTTP/1.1", f"host: {parts.netloc}", *(f"{n}: {v}" for n, v in address.headers.items())]
        self._head = "\r\n".join(lines).encode() + b"\r\ncontent-length: %d\r\n\r\n"
        self._free: list[_Wire] = []

    async def chunks(self, body: bytes, *, stream: bool) -> AsyncGenerator[Any, None]:
        """Send one request; see `Connection.chunks`."""
        wire = await self._take()
        try:
            wire.send(self._head % len(body), body)
            await wire.head()
            async with aclosing(read_answer(wire.status, wire.headers, wire, stream=stream)) as chunks:
                async for chunk in chunks:
                    yield chunk
        except (OSError, EOFError, httptools.HttpParserError) as error:
            detail = str(error) or type(error).__name__
            raise ConnectionFailed(f"The connection to {self._shown} failed: {detail}") from error
        finally:
            if wire.reusable:
                self._free.append(wire)
            else:
                wire.close()

    async def _take(self) -> "_Wire":
        while self._free:
            wire = self._free.pop()
            if wire.reusable:
                return wire
            wire.close()
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._patience):
                name = self._host if self._ssl else None
                _, wire = await loop.create_connection(
                    _Wire, self._host, self._port, ssl=self._ssl, server_hostname=name
                )
        except TimeoutError:
            raise CallTimeout(f"No connection to {self._shown} in time", phase="connect") from None
        except OSError as error:
            raise ConnectionFailed(f"The connection to {self._shown} failed: {error}") from error
        return wire

    def close(self) -> None:
        """Close the free connections; those at work are closed by who uses them."""
        for wire in self._free:
            wire.close()
        self._free.clear()


class _Wire(asyncio.Protocol):
    """One connection. httptools calls the methods whose names begin with `on_`."""

    def __init__(self) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self._transport: asyncio.Transport | None = None
        self._parser: Any = None
        self._pieces: deque[bytes] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self._has_head = False
        self._complete = True
        self._keep_alive = True

    @property
    def reusable(self) -> bool:
        """Whether the last answer was read to its end, and another request may follow."""
        return self._transport is not None and self._complete and self._keep_alive and self._error is None

    def send(self, head: bytes, body: bytes) -> None:
        """Begin a request."""
        assert self._transport is not None
        self.status, self.headers = 0, {}
        self._pieces.clear()
        self._has_head = self._complete = False
        self._parser = httptools.HttpResponseParser(self)
        self._resume()  # the last answer may have been left with pieces unread
        self._transport.writelines([head, body])

    async def head(self) -> None:
        """Wait until status and headers are in."""
        while not self._has_head:
            await self._more()

    def __aiter__(self) -> "_Wire":
        return self

    async def __anext__(self) -> bytes:
        while not self._pieces:
            if self._complete:
                raise StopAsyncIteration
            await self._more()
        self._resume()
        return self._pieces.popleft()

    def _resume(self) -> None:
        if self._transport is not None and not self._transport.is_reading():
            self._transport.resume_reading()

    async def _more(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.abort()

    # What asyncio calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._complete:  # nothing was asked
            self._keep_alive = False
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(error)
        if len(self._pieces) > MAX_PIECES and self._transport is not None:
            self._transport.pause_reading()  # whoever reads is slower than the endpoint writes
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        bounded = "content-length" in self.headers or "chunked" in self.headers.get("transfer-encoding", "")
        if self._has_head and not self._complete and not bounded and exc is None:
            self._complete = True  # such a body ends with its connection
        elif not self._complete:
            self._fail(exc or EOFError("the endpoint closed the connection"))
        self._wake()

    # What httptools calls

    def on_message_begin(self) -> None:
        if self._complete:
            raise EOFError("the answer is over")

    def on_status(self, status: bytes) -> None:
        del status
        self.headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self._has_head = self.status >= 200  # else an interim answer: the real one follows

    def on_body(self, body: bytes) -> None:
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        if self._has_head:
            self._complete = True
            self._keep_alive = self._parser.should_keep_alive()

    def _fail(self, error: BaseException) -> None:
        if self._complete:  # what follows the answer is none to the next request
            self._keep_alive = False
        else:
            self._error = self._error or error

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
