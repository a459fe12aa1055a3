"""Chat Completions over HTTP, on an `httpx.AsyncClient` of our own."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

import httpx

from agentinfer.errors import CallTimeout, ConnectionFailed, InvalidResponse
from agentinfer.models._address import Address
from agentinfer.models._backend import END, Connection, Timeouts
from agentinfer.models._faults import error_of_status, not_json
from agentinfer.models._pools import PooledTransport
from agentinfer.models._sse import EventParser, parse_event

__all__ = ["HttpBackend"]

MAX_BODY_BYTES = 64 * 1024 * 1024
"""A longer answer is a broken server."""
END_SECONDS = 0.1
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
        client = httpx.AsyncClient(
            headers=address.headers,
            timeout=httpx.Timeout(None, connect=timeouts.connect),
            transport=self._transport or PooledTransport(secure=address.secure, proxy=address.proxy()),
            follow_redirects=False,
        )
        async with client:
            yield _HttpConnection(client, address)


class _HttpConnection:
    def __init__(self, client: httpx.AsyncClient, address: Address) -> None:
        self._client = client
        self._url = address.url
        self._endpoint = address.shown

    async def chunks(self, body: bytes, *, stream: bool) -> AsyncGenerator[Any, None]:
        """Send one request; see `Connection.chunks`."""
        try:
            async with self._client.stream("POST", self._url, content=body) as response:
                content_type = response.headers.get("content-type", "")
                if response.status_code != 200:
                    raise error_of_status(response.status_code, response.headers, await _read(response, limit=65_536))
                if stream and "text/event-stream" in content_type:
                    async with aclosing(_events(response)) as events:
                        async for event in events:
                            yield event
                else:
                    answer = await _read(response)
                    try:
                        completion = json.loads(answer)
                    except ValueError:
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
