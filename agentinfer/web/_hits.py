"""What a search of the web finds, and who searches."""

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["SearchProvider", "WebHit", "hits_from"]

_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>")
_URL = re.compile(r"https?://[^\s\[\]<>]+")

TITLE_CHARS = 200
SNIPPET_CHARS = 500
URL_CHARS = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class WebHit:
    """One page that a search found."""

    url: str
    """Where it is, `http` or `https`."""
    title: str
    """As plain text, at most 200 characters; the URL where there is none."""
    snippet: str
    """A passage of it as plain text, at most 500 characters."""


class SearchProvider(Protocol):
    """Searches the web. Any object of this shape will do."""

    async def search(self, query: str, count: int) -> Sequence[WebHit]:
        """The best pages for a query, best first.

        Args:
            query: A few words, at most 1,000 characters.
            count: How many pages at most.

        Raises:
            ToolError: The search failed; the message is for the model and holds no secret.
        """


def hits_from(entries: Iterable[Any], snippet: str, url: str = "url") -> list[WebHit]:
    """Hits of a provider's results, each page once, in plain text; results without a usable URL are left out.

    Args:
        entries: The results, as JSON gave them.
        snippet: The field that holds the passage.
        url: The field that holds the URL.
    """
    hits: dict[str, WebHit] = {}
    for entry in entries:
        address = entry.get(url) if isinstance(entry, dict) else None
        if isinstance(address, str) and len(address) <= URL_CHARS and _URL.fullmatch(address):
            title = _plain(entry.get("title"), TITLE_CHARS) or address
            hits.setdefault(
                address, WebHit(url=address, title=title, snippet=_plain(entry.get(snippet), SNIPPET_CHARS))
            )
    return list(hits.values())


def _plain(text: object, limit: int) -> str:
    """A text without tags, entities and line breaks."""
    if not isinstance(text, str):
        return ""
    text = " ".join(html.unescape(_TAG.sub("", text[: limit * 8])).split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"
