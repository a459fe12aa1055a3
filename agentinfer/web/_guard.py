"""What may be fetched: the check of a URL, and the addresses its connection may go to."""

import socket
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING

from agentinfer._threads import run_in_thread
from agentinfer.errors import ToolError
from agentinfer.web._addresses import BadHost, is_inner_name, is_public, parse_host

if TYPE_CHECKING:
    import httpx

__all__ = ["Guard", "Resolver", "parse_url", "resolve"]

Resolver = Callable[[str], Awaitable[Sequence[str]]]
"""Gives the addresses of a host name, as text."""

MAX_URL = 4_000
"""Characters of a URL."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """Decides which URLs may be fetched."""

    ports: Collection[int] = (80, 443)
    allow_hosts: Collection[str] = ()
    """Hosts that are trusted: any address, any port."""
    resolver: Resolver

    async def check(self, url: "httpx.URL") -> list[str]:
        """The addresses that a connection for this URL may go to: these very ones, not the name.

        Raises:
            ToolError: It may not be fetched; the message is for the model.
        """
        if url.scheme not in ("http", "https"):
            raise ToolError(f"Only http and https URLs can be fetched, not {url.scheme or 'relative'} ones")
        if url.userinfo:
            raise ToolError("A URL with a user name or password in it is not fetched")
        shown = url.raw_host.decode("ascii", "replace")
        try:
            host = parse_host(shown)
        except BadHost:
            raise ToolError(f"{shown!r} is not a host name or address in its usual form") from None
        trusted = str(host) in self.allow_hosts
        port = url.port or (443 if url.scheme == "https" else 80)
        if not trusted and port not in self.ports:
            raise ToolError(f"Port {port} is not fetched from; allowed: {', '.join(map(str, sorted(self.ports)))}")
        if not isinstance(host, str):
            addresses: Sequence[str] = [str(host)]
        elif not trusted and is_inner_name(host):
            raise ToolError(f"{host} is not a host of the public internet, so it is not fetched")
        else:
            addresses = await self._resolve(host)
        # All must be public, not only one: an answer that mixes both is made to deceive.
        if not trusted and not all(is_public(address) for address in addresses):
            raise ToolError(f"{host} is not at an address of the public internet, so it is not fetched")
        return [str(ip_address(address)) for address in addresses]

    async def _resolve(self, name: str) -> Sequence[str]:
        try:
            addresses = await self.resolver(name)
        except (OSError, UnicodeError):
            addresses = ()
        if not addresses:
            raise ToolError(f"There is no host {name}")
        return addresses


async def resolve(name: str) -> Sequence[str]:
    """The addresses of a name, as the system resolves it; in a thread, since that may hang.

    Raises:
        OSError: There is no such name, or no answer.
    """
    found = await run_in_thread(lambda: socket.getaddrinfo(name, None, type=socket.SOCK_STREAM))
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def parse_url(text: str, base: "httpx.URL | None" = None) -> "httpx.URL":
    """A URL as a model, or a page's redirect, wrote it.

    Raises:
        ToolError: It is not one.
    """
    import httpx

    try:
        if len(text) > MAX_URL:
            raise ValueError(text)
        url = httpx.URL(text.strip())
        url = url if base is None else base.join(url)
        return url.copy_with(fragment=None)
    except (httpx.InvalidURL, ValueError):  # UnicodeError among them: a host that cannot be written in ASCII
        shown = text if len(text) <= 200 else f"{text[:200]}..."
        raise ToolError(f"{shown!r} is not a URL that can be read") from None
