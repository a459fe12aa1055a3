"""Chat Completions over HTTP, on httpx transports."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import httpx

from agentinfer._version import __version__
from agentinfer.errors import CallTimeout, ConnectionFailed, InvalidResponse
from agentinfer.models._address import Address
from agentinfer.models._backend import END, Connection, Timeouts
from agentinfer.models._faults import error_of_status, not_json
from agentinfer.models._pools import PooledTransport
from agentinfer.models._sse import EventParser, parse_event

__all__ = ["HttpBackend"]

MAX_BODY_BYTES = 64 * 1024 * 1024
"""A longer answer is a broken server."""
USER_AGENT = f"agentinfer/{__version__} python-httpx/{httpx.__version__}"
END_SECONDS = 0.5
"""How long to wait, after the last event of a stream, for the end of its body; then its connection is given up."""


class HttpBackend:
    """An endpoint reached through httpx.

    Args:
        address: Where it is, and what every request carries.
        transport: Another way to carry requests than pools of our own.
    """

    def __init__(self, address: Address, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._address = address
        self._transport = transport

    @property
    def endpoint(self) -> str:
        """The base URL, without secrets."""
        return self._address.shown

    @asynccontextmanager
    async def open(self, timeouts: Timeouts) -> AsyncIterator[Connection]:
        """Get ready for requests on the running event loop."""
        address = self._address
        transport = self._transport or PooledTransport(secure=address.secure, proxy=address.proxy())
        async with transport:
            yield _HttpConnection(transport, address, timeouts)


class _HttpConnection:
    """Requests that go to the transport itself: the client around it costs as much again, and adds nothing here."""

    def __init__(self, transport: httpx.AsyncBaseTransport, address: Address, timeouts: Timeouts) -> None:
        self._transport = transport
        self._url = httpx.URL(address.url)
        self._headers = httpx.Headers({"accept-encoding": "gzip, deflate", "user-agent": USER_AGENT, **address.headers})
        self._extensions = {"timeout": httpx.Timeout(None, connect=timeouts.connect).as_dict()}
        self._endpoint = address.shown

    @asynccontextmanager
    async def _sent(self, body: bytes) -> AsyncIterator[httpx.Response]:
        request = httpx.Request("POST", self._url, headers=self._headers, content=body, extensions=self._extensions)
        response = await self._transport.handle_async_request(request)
        try:
            yield response
        finally:
            await response.aclose()

    async def chunks(self, body: bytes, *, stream: bool) -> AsyncGenerator[Any, None]:
        """Send one request; see `Connection.chunks`."""
        try:
            async with self._sent(body) as response:
                content_type = response.headers.get("content-type", "")
                if response.status_code != 200:
                    raise error_of_status(response.status_code, response.headers, await _read(response, limit=65_536))
                if stream and "text/event-stream" in content_type.lower():
                    async with aclosing(_events(response)) as events:
                        async for event in events:
                            yield event
                else:
                    answer = await _read(response)
                    try:
                        completion = json.loads(answer)
                    except (ValueError, RecursionError):
                        raise not_json(content_type, answer) from None
                    yield completion
                    yield END
        except httpx.ConnectTimeout:
            raise CallTimeout(f"No connection to {self._endpoint} in time", phase="connect") from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            detail = str(error) or type(error).__name__
            raise ConnectionFailed(f"The connection to {self._endpoint} failed: {detail}") from error


async def _events(response: httpx.Response) -> AsyncGenerator[Any, None]:
    parser = EventParser()
    pieces = response.aiter_bytes()
    async for piece in pieces:
        for data in parser.feed(piece):
            event = parse_event(data)
            if event is END:
                await _read_to_end(pieces)
                yield END
                return
            yield event
    for data in parser.flush():
        yield parse_event(data)


async def _read_to_end(pieces: AsyncIterator[bytes]) -> None:
    """Read what follows the last event, usually nothing: only a body read to its end leaves its connection usable."""
    with suppress(TimeoutError, httpx.HTTPError):
        async with asyncio.timeout(END_SECONDS):
            async for _ in pieces:
                pass


async def _read(response: httpx.Response, limit: int = MAX_BODY_BYTES) -> bytes:
    """The body, up to a limit; of a refusal, the beginning is enough."""
    pieces, size = [], 0
    async for piece in response.aiter_bytes():
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            if limit == MAX_BODY_BYTES:
                raise InvalidResponse("The endpoint's answer does not end")
            break
    return b"".join(pieces)
