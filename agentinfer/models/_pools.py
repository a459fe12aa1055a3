"""Connections for a thousand runs.

An httpx pool walks all its connections for every request. Many small pools keep that walk short; requests go to the
first pool with room, so that few pools serve few runs and their connections stay warm.
"""

import ssl
from collections.abc import AsyncIterator
from types import TracebackType
from typing import Any, Self

import httpx

__all__ = ["PooledTransport"]

POOL_SIZE = 2
"""Connections of one pool."""


class PooledTransport(httpx.AsyncBaseTransport):
    """As many small httpx pools as the requests at work need.

    Args:
        secure: Whether requests go to an https address; pools for http have no TLS context.
        proxy: The address of an HTTP proxy.
    """

    def __init__(self, *, secure: bool, proxy: str | None = None) -> None:
        self._context: ssl.SSLContext | bool = httpx.create_ssl_context() if secure or proxy else False
        """Shared by all pools: making one takes about 20 ms."""
        self._proxy = proxy
        self._pools: list[_Pool] = []
        self._roomy: list[_Pool] = []
        """Pools with room; the last one is asked first."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request through a pool with room."""
        pool = self._take()
        try:
            response = await pool.transport.handle_async_request(request)
        except BaseException:
            self._give_back(pool)
            raise
        response.stream = _Counted(response, self, pool)
        return response

    def _take(self) -> "_Pool":
        if not self._roomy:
            pool = _Pool(self._make())
            self._pools.append(pool)
            self._roomy.append(pool)
        pool = self._roomy[-1]
        pool.busy += 1
        if pool.busy == POOL_SIZE:
            self._roomy.pop()
        return pool

    def _give_back(self, pool: "_Pool") -> None:
        if pool.busy == POOL_SIZE:
            self._roomy.append(pool)
        pool.busy -= 1

    def _make(self) -> httpx.AsyncHTTPTransport:
        limits = httpx.Limits(max_connections=POOL_SIZE, max_keepalive_connections=POOL_SIZE, keepalive_expiry=30)
        return httpx.AsyncHTTPTransport(verify=self._context, limits=limits, proxy=self._proxy)

    async def aclose(self) -> None:
        """Close all connections."""
        for pool in self._pools:
            await pool.transport.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()


class _Pool:
    __slots__ = ("busy", "transport")

    def __init__(self, transport: httpx.AsyncHTTPTransport) -> None:
        self.transport = transport
        self.busy = 0


class _Counted(httpx.AsyncByteStream):
    """A response's stream that gives its place back once it is closed."""

    def __init__(self, response: httpx.Response, transport: PooledTransport, pool: _Pool) -> None:
        assert isinstance(response.stream, httpx.AsyncByteStream)
        self._stream = response.stream
        self._network = response.extensions.get("network_stream")
        self._transport = transport
        self._pool: _Pool | None = pool

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()

    async def aclose(self) -> None:
        try:
            if self._network is not None and _has_surplus(self._stream):
                await self._network.aclose()
            await self._stream.aclose()
        finally:
            if self._pool is not None:
                self._transport._give_back(self._pool)
                self._pool = None


def _has_surplus(stream: Any) -> bool:
    """Whether more has come than the answer: httpcore would take it for the answer to the next request."""
    try:
        surplus, _ = stream._httpcore_stream._stream._connection._h11_state.trailing_data
    except AttributeError:  # another transport, another version
        return False
    return bool(surplus)
