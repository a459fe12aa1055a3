"""Connections that go to an address which was checked, not to whatever a name means a moment later."""

import ssl
import threading
from collections.abc import Sequence

import httpx

from agentinfer._threads import run_in_thread

__all__ = ["dial", "tls_context", "transport"]

ADDRESSES = 4
"""How many addresses of one host are tried."""

_lock = threading.Lock()
_context: ssl.SSLContext | None = None


async def tls_context() -> ssl.SSLContext:
    """The TLS settings of all requests; made once, in a thread, since reading the certificates takes a while."""
    if (context := _context) is None:
        context = await run_in_thread(_make_context)
    return context


def _make_context() -> ssl.SSLContext:
    global _context
    with _lock:
        if (context := _context) is None:
            context = _context = httpx.create_ssl_context()
        return context


async def transport() -> httpx.AsyncHTTPTransport:
    """Carries the requests of one fetch: no proxy, no cookies, no connection kept for another host's name."""
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.AsyncHTTPTransport(verify=await tls_context(), trust_env=False, limits=limits)


async def dial(transport: httpx.AsyncBaseTransport, request: httpx.Request, addresses: Sequence[str]) -> httpx.Response:
    """Send a request to the first of these addresses that takes the connection.

    The request keeps the host's name where it belongs: in the Host header, in the TLS handshake and in the check of
    the server's certificate.

    Raises:
        httpx.TransportError: None of them did, or the exchange failed.
    """
    host = request.url.raw_host.decode("ascii").strip("[].")
    failure: httpx.TransportError = httpx.ConnectError("no address")
    for address in addresses[:ADDRESSES]:
        pinned = httpx.Request(
            request.method,
            request.url.copy_with(host=address),
            headers=request.headers,
            extensions=request.extensions | ({} if address == host else {"sni_hostname": host}),
        )
        try:
            return await transport.handle_async_request(pinned)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            failure = error
    raise failure
