"""The tool that reads a page of the web."""

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from importlib.util import find_spec
from typing import TYPE_CHECKING

from agentinfer._threads import run_in_thread
from agentinfer.errors import MissingExtra, ToolError, UserError
from agentinfer.tools import Tool, tool
from agentinfer.web._addresses import BadHost, parse_host
from agentinfer.web._body import ACCEPT_ENCODING, decode, read_body
from agentinfer.web._guard import Guard, Resolver, parse_url, resolve
from agentinfer.web._page import Reader, readable

if TYPE_CHECKING:
    import httpx

__all__ = ["Fetcher", "Page", "fetch_page"]

REDIRECTS = 5
"""How many redirects are followed."""
CONNECT_SECONDS = 5.0
"""For one address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """What was fetched."""

    url: str
    """Where it was found in the end."""
    title: str
    text: str
    truncated: bool = False
    """Whether the page goes on after what was read of it."""


def fetch_page(
    *,
    max_bytes: int = 2_000_000,
    max_chars: int = 12_000,
    seconds: float = 20.0,
    ports: Collection[int] = (80, 443),
    allow_hosts: Collection[str] = (),
    reader: Reader = "auto",
    user_agent: str = "agentinfer",
    resolver: Resolver = resolve,
) -> Tool:
    """`fetch_page`: the readable text of a page on the public internet, and its links.

    Names are resolved first, and the connection goes to the very address that was checked, after each redirect anew.
    Addresses that are not public are refused in every notation. No cookies, credentials or proxies are used: a proxy
    would resolve names itself. Needs the extra `web`.

    Args:
        max_bytes: Of a page, unpacked; what comes after is left out.
        max_chars: Characters of the text that the model is shown at once; it can read on.
        seconds: The whole fetch may take, redirects and reading included.
        ports: The ports that may be fetched from.
        allow_hosts: Hosts that are trusted whatever their address and port, by name or address: `{"127.0.0.1"}`. For
            tests and intranets.
        reader: How the text is found: trafilatura where it is installed, unless told otherwise.
        user_agent: What servers are told is asking.
        resolver: How names become addresses; the system's way unless given.

    Raises:
        MissingExtra: The extra `web` is not installed, or `trafilatura` where it is asked for.
        UserError: Something in `allow_hosts` is not a host.
    """
    if find_spec("selectolax") is None:
        raise MissingExtra("web", "Reading web pages")
    if reader == "trafilatura" and find_spec("trafilatura") is None:
        raise MissingExtra("trafilatura", "Reading pages with trafilatura")
    try:
        hosts = frozenset(str(parse_host(host)) for host in allow_hosts)
    except BadHost as error:
        raise UserError(f"allow_hosts takes host names and addresses, without scheme and port, not {error}") from None
    guard = Guard(ports=frozenset(ports), allow_hosts=hosts, resolver=resolver)
    fetcher = Fetcher(guard, max_bytes=max_bytes, seconds=seconds, reader=reader, user_agent=user_agent)

    async def fetch_page(url: str) -> Page:
        """Read a web page: its text, and its links with their numbers.

        Args:
            url: The full address of the page, as a search or a link showed it.
        """
        return await fetcher.fetch(url)

    return tool(timeout=seconds + 5, max_chars=max_chars, fenced=True, render=_show)(fetch_page)


def _show(page: Page) -> str:
    head = f"{page.title}\n{page.url}" if page.title else page.url
    end = "\n[the page goes on, but is too long to be read whole]" if page.truncated else ""
    return f"{head}\n\n{page.text or '(no text)'}{end}"


class Fetcher:
    """Fetches pages within bounds.

    Args:
        guard: Decides which URLs may be fetched.
        max_bytes: Of a page, unpacked.
        seconds: For one fetch.
        reader: How the text of a page is found.
        user_agent: What servers are told is asking.
        transport: Carries the requests, each to a checked address; real connections unless given.
    """

    def __init__(
        self,
        guard: Guard,
        *,
        max_bytes: int,
        seconds: float,
        reader: Reader,
        user_agent: str,
        transport: "httpx.AsyncBaseTransport | None" = None,
    ) -> None:
        self._guard = guard
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._reader = reader
        self._headers = {
            "user-agent": user_agent,
            "accept": "text/html, text/plain, application/json, */*;q=0.1",
            "accept-encoding": ACCEPT_ENCODING,
            "connection": "close",
        }
        self._transport = transport

    async def fetch(self, url: str) -> Page:
        """The page at a URL.

        Raises:
            ToolError: There is none, it may not be fetched, or it cannot be read.
        """
        import httpx

        from agentinfer.web._pinned import transport

        watch = asyncio.timeout(self._seconds)
        try:
            async with watch, self._transport or await transport() as carrier:
                return await self._follow(carrier, parse_url(url))
        except TimeoutError:
            if not watch.expired():
                raise
            raise ToolError(f"The page did not arrive within {self._seconds:g} seconds") from None
        except httpx.TimeoutException:
            raise ToolError("The server does not answer") from None
        except httpx.TransportError as error:
            raise ToolError(f"The page could not be fetched: {_what(error)}") from None

    async def _follow(self, carrier: "httpx.AsyncBaseTransport", url: "httpx.URL") -> Page:
        import httpx

        from agentinfer.web._pinned import dial

        timeout = httpx.Timeout(self._seconds, connect=CONNECT_SECONDS).as_dict()
        for _ in range(REDIRECTS + 1):
            addresses: Sequence[str] = await self._guard.check(url)
            request = httpx.Request("GET", url, headers=self._headers, extensions={"timeout": timeout})
            response = await dial(carrier, request, addresses)
            try:
                if not response.has_redirect_location:
                    return await self._read(url, response)
                url = parse_url(response.headers["location"], url)
            finally:
                await response.aclose()
        raise ToolError(f"The page redirects more than {REDIRECTS} times")

    async def _read(self, url: "httpx.URL", response: "httpx.Response") -> Page:
        status = response.status_code
        if not 200 <= status < 300:
            known = status in HTTPStatus._value2member_map_
            raise ToolError(f"The server answered {status}{f' {HTTPStatus(status).phrase}' if known else ''}")
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if not _is_readable(kind):
            raise ToolError(f"It is {_name_of(kind)}; only HTML, text and JSON can be read")
        body, truncated = await read_body(response, self._max_bytes)
        return await run_in_thread(
            lambda: self._make_page(str(url), kind, body, response.charset_encoding, truncated=truncated)
        )

    def _make_page(self, url: str, kind: str, body: bytes, charset: str | None, *, truncated: bool) -> Page:
        start = body[:1024].lstrip().lower()
        if start.startswith(b"%pdf-"):
            raise ToolError("It is a PDF; only HTML, text and JSON can be read")
        text = decode(body, charset)
        if "\0" in text[:1024]:
            raise ToolError("It is binary data; only HTML, text and JSON can be read")
        title = ""
        if kind in ("text/html", "application/xhtml+xml") or (
            not kind and start.startswith((b"<!doctype h", b"<html"))
        ):
            title, text = readable(text, url, self._reader, self._seconds)
        return Page(url=url, title=title, text=text.strip(), truncated=truncated)


def _is_readable(kind: str) -> bool:
    return (
        not kind
        or kind.startswith("text/")
        or kind.endswith(("+json", "+xml"))
        or kind in ("application/json", "application/xml", "application/x-ndjson")
    ) and kind != "image/svg+xml"


def _name_of(kind: str) -> str:
    return "a PDF" if kind == "application/pdf" else kind[:80]


def _what(error: "httpx.TransportError") -> str:
    """A failure in words that carry nothing of the server's or of this machine's."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "its certificate is not valid"
    return type(error).__name__
