"""Chat Completions over HTTP, on httpx transports."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import httpx

from agentinfer._version import __version__
from agentinfer.errors import CallTimeout, ConnectionFailed
from agentinfer.models._address import Address
from agentinfer.models._answer import read_answer
from agentinfer.models._backend import Connection, Timeouts
from agentinfer.models._pools import PooledTransport

__all__ = ["HttpBackend"]

USER_AGENT = f"agentinfer/{__version__} python-httpx/{httpx.__version__}"


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
            async with (
                self._sent(body) as response,
                aclosing(
                    read_answer(response.status_code, response.headers, response.aiter_bytes(), stream=stream)
                ) as chunks,
            ):
                async for chunk in chunks:
                    yield chunk
        except httpx.ConnectTimeout:
            raise CallTimeout(f"No connection to {self._endpoint} in time", phase="connect") from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            detail = str(error) or type(error).__name__
            raise ConnectionFailed(f"The connection to {self._endpoint} failed: {detail}") from error
