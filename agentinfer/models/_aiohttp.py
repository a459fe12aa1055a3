"""Chat Completions over aiohttp: the fastest transport, for many runs at once."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any

from agentinfer.errors import CallTimeout, ConnectionFailed, InvalidResponse, MissingExtra
from agentinfer.models._address import Address
from agentinfer.models._backend import END, Connection, Timeouts
from agentinfer.models._faults import error_of_status, not_json
from agentinfer.models._http import END_SECONDS, MAX_BODY_BYTES
from agentinfer.models._sse import EventParser, parse_event

try:
    import aiohttp
except ImportError:
    raise MissingExtra("fast", "The aiohttp transport") from None

__all__ = ["AiohttpBackend"]


class AiohttpBackend:
    """An endpoint reached through aiohttp.

    Args:
        address: Where it is, and what every request carries.
    """

    def __init__(self, address: Address) -> None:
        self._address = address

    @property
    def endpoint(self) -> str:
        """The base URL, without secrets."""
        return self._address.shown

    @asynccontextmanager
    async def open(self, timeouts: Timeouts) -> AsyncIterator[Connection]:
        """Get ready for requests on the running event loop."""
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            headers=self._address.headers,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=timeouts.connect),
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        async with session:
            yield _AiohttpConnection(session, self._address)


class _AiohttpConnection:
    def __init__(self, session: aiohttp.ClientSession, address: Address) -> None:
        self._session = session
        self._url = address.url
        self._proxy = address.proxy()
        self._endpoint = address.shown

    async def chunks(self, body: bytes, *, stream: bool) -> AsyncGenerator[Any, None]:
        """Send one request; see `Connection.chunks`."""
        try:
            async with self._session.post(self._url, data=body, proxy=self._proxy, allow_redirects=False) as response:
                content_type = response.headers.get("content-type", "")
                if response.status != 200:
                    raise error_of_status(response.status, response.headers, await _read(response, limit=65_536))
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
        except aiohttp.ConnectionTimeoutError:
            raise CallTimeout(f"No connection to {self._endpoint} in time", phase="connect") from None
        except (aiohttp.ClientError, OSError) as error:
            detail = str(error) or type(error).__name__
            raise ConnectionFailed(f"The connection to {self._endpoint} failed: {detail}") from error


async def _events(response: aiohttp.ClientResponse) -> AsyncGenerator[Any, None]:
    parser = EventParser()
    async for piece in response.content.iter_any():
        for data in parser.feed(piece):
            event = parse_event(data)
            if event is END:
                await _read_to_end(response)
                yield END
                return
            yield event
    for data in parser.flush():
        yield parse_event(data)


async def _read_to_end(response: aiohttp.ClientResponse) -> None:
    """Read what follows the last event, usually nothing: only a body read to its end leaves its connection usable."""
    with suppress(TimeoutError, aiohttp.ClientError):
        async with asyncio.timeout(END_SECONDS):
            async for _ in response.content.iter_any():
                pass


async def _read(response: aiohttp.ClientResponse, limit: int = MAX_BODY_BYTES) -> bytes:
    """The body, up to a limit; of a refusal, the beginning is enough."""
    pieces, size = [], 0
    async for piece in response.content.iter_any():
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            if limit == MAX_BODY_BYTES:
                raise InvalidResponse("The endpoint's answer does not end")
            break
    return b"".join(pieces)
