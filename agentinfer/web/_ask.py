"""One request to a search service."""

import json as json_module
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from agentinfer.errors import ToolError
from agentinfer.web._body import ACCEPT_ENCODING, read_body

if TYPE_CHECKING:
    import httpx

__all__ = ["ask"]

MAX_BYTES = 5_000_000
"""Of an answer, unpacked."""
SECONDS = 20.0

_WORDS = {
    401: "it refuses the key",
    402: "its credits are spent",
    403: "it refuses the key, or this use of it",
    429: "too many searches",
}


async def ask(
    service: str,
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str | int] | None = None,
    json: Any = None,
    words: Mapping[int, str],
    client: "httpx.AsyncClient | None",
) -> dict[str, Any]:
    """Send one request, and return the JSON object it is answered with.

    Args:
        service: What the service is called.
        method: `GET` or `POST`.
        url: Where to.
        headers: Beside the usual ones; never repeated in an error.
        params: Of the query.
        json: The body.
        words: What a status means at this service, where it is not what it means everywhere.
        client: Carries the request; one of its own unless given.

    Raises:
        ToolError: It failed; told in our own words, since an answer or a URL may repeat a key.
    """
    import httpx

    from agentinfer.web._pinned import tls_context

    async with AsyncExitStack() as stack:
        if client is None:
            client = await stack.enter_async_context(httpx.AsyncClient(verify=await tls_context()))
        sent = {"Accept": "application/json", "Accept-Encoding": ACCEPT_ENCODING, **(headers or {})}
        try:
            # Redirects are not followed: they would take the key elsewhere.
            async with client.stream(
                method, url, headers=sent, params=params, json=json, follow_redirects=False, timeout=SECONDS
            ) as response:
                if response.status_code != 200:
                    raise ToolError(f"{service} cannot search: {_reason(response, words)}")
                body, truncated = await read_body(response, MAX_BYTES)
        except httpx.TimeoutException:
            raise ToolError(f"{service} does not answer") from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ToolError(f"{service} cannot be reached ({type(error).__name__})") from None
    try:
        found = None if truncated else json_module.loads(body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ToolError(f"{service} answered with something other than results")
    return found


def _reason(response: "httpx.Response", words: Mapping[int, str]) -> str:
    status = response.status_code
    reason = words.get(status) or _WORDS.get(status) or ("it failed" if status >= 500 else "it refused the request")
    wait = response.headers.get("retry-after", "")
    later = f"; try again in {wait} seconds" if status == 429 and wait.isdecimal() and len(wait) < 6 else ""
    return f"{reason} (status {status}){later}"
