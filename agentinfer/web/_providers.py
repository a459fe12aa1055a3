"""The services that can search the web."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agentinfer.errors import ToolError
from agentinfer.web._ask import ask
from agentinfer.web._hits import WebHit, hits_from

if TYPE_CHECKING:
    import httpx

__all__ = ["BraveSearch", "SearxngSearch", "SerperSearch", "TavilySearch"]


@dataclass(frozen=True, slots=True)
class SearxngSearch:
    """A SearXNG server, your own or another; it must have `json` among its `search.formats`."""

    base_url: str
    """Where the server is, such as `http://127.0.0.1:8888`."""
    language: str | None = None
    """Such as `en`; the server's own choice unless given."""
    categories: str | None = None
    """Such as `general,science`."""
    engines: str | None = None
    """Such as `wikipedia,duckduckgo`."""
    client: "httpx.AsyncClient | None" = field(default=None, repr=False)
    """Carries the requests; one of its own per request unless given."""

    async def search(self, query: str, count: int) -> list[WebHit]:
        """The best pages for a query; see `SearchProvider`."""
        settings = {"language": self.language, "categories": self.categories, "engines": self.engines}
        found = await ask(
            "SearXNG",
            "GET",
            f"{self.base_url.rstrip('/')}/search",
            params={"q": query, "format": "json", **{k: v for k, v in settings.items() if v is not None}},
            words={403: "it does not give results as JSON: its settings must list json in search.formats"},
            client=self.client,
        )
        hits = hits_from(_list(found, "results"), "content")[:count]
        if not hits and (silent := _list(found, "unresponsive_engines")):
            names = ", ".join(sorted({str(entry[0])[:40] for entry in silent if isinstance(entry, list) and entry}))
            raise ToolError(f"The search found nothing, since engines do not answer: {names}")
        return hits


@dataclass(frozen=True, slots=True)
class TavilySearch:
    """Tavily's search API."""

    api_key: str = field(repr=False)
    base_url: str = "https://api.tavily.com"
    client: "httpx.AsyncClient | None" = field(default=None, repr=False)
    """Carries the requests; one of its own per request unless given."""

    async def search(self, query: str, count: int) -> list[WebHit]:
        """The best pages for a query; see `SearchProvider`."""
        found = await ask(
            "Tavily",
            "POST",
            f"{self.base_url}/search",
            headers={"Authorization": f"Bearer {self.api_key}"},
            json={"query": query, "max_results": min(count, 20)},
            words={432: "the plan's limit is reached", 433: "the pay-as-you-go limit is reached"},
            client=self.client,
        )
        return hits_from(_list(found, "results"), "content")[:count]


@dataclass(frozen=True, slots=True)
class BraveSearch:
    """Brave's search API."""

    api_key: str = field(repr=False)
    base_url: str = "https://api.search.brave.com"
    client: "httpx.AsyncClient | None" = field(default=None, repr=False)
    """Carries the requests; one of its own per request unless given."""

    async def search(self, query: str, count: int) -> list[WebHit]:
        """The best pages for a query; see `SearchProvider`."""
        found = await ask(
            "Brave Search",
            "GET",
            f"{self.base_url}/res/v1/web/search",
            headers={"X-Subscription-Token": self.api_key},
            # It refuses queries of more than 400 characters or 50 words.
            params={"q": " ".join(query.split()[:50])[:400], "count": min(count, 20), "text_decorations": "false"},
            words={422: "it does not take this query, or the key"},
            client=self.client,
        )
        return hits_from(_list(found.get("web"), "results"), "description")[:count]


@dataclass(frozen=True, slots=True)
class SerperSearch:
    """Serper's API for Google's results."""

    api_key: str = field(repr=False)
    base_url: str = "https://google.serper.dev"
    client: "httpx.AsyncClient | None" = field(default=None, repr=False)
    """Carries the requests; one of its own per request unless given."""

    async def search(self, query: str, count: int) -> list[WebHit]:
        """The best pages for a query; see `SearchProvider`."""
        found = await ask(
            "Serper",
            "POST",
            f"{self.base_url}/search",
            headers={"X-API-KEY": self.api_key},
            json={"q": query, "num": count},
            words={400: "it does not take this query, or its credits are spent"},
            client=self.client,
        )
        return hits_from(_list(found, "organic"), "snippet", "link")[:count]


def _list(found: Any, name: str) -> list[Any]:
    """A list of an answer; none where it is left out."""
    entries = found.get(name) if isinstance(found, dict) else None
    if entries is None:
        return []
    if not isinstance(entries, list):
        raise ToolError("The search service answered with something other than results")
    return entries
