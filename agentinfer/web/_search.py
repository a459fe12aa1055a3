"""The tool that searches the web."""

from collections.abc import Sequence

from agentinfer.errors import ToolError
from agentinfer.tools import Tool, tool
from agentinfer.web._hits import SearchProvider, WebHit

__all__ = ["web_search"]

QUERY_CHARS = 1_000


def web_search(provider: SearchProvider, *, top_k: int = 5) -> Tool:
    """`web_search`: pages of the web that fit a query, each with its URL, title and a passage.

    Args:
        provider: Who searches: `SearxngSearch`, `TavilySearch`, `BraveSearch`, `SerperSearch`, or your own.
        top_k: How many pages a search gives. The model does not choose: small ones ask for too few.
    """

    async def web_search(query: str) -> Sequence[WebHit]:
        """Search the web by keywords.

        Args:
            query: A few words: the names and the facts to look for.
        """
        query = " ".join(query.split())[:QUERY_CHARS]
        if not query:
            raise ToolError("The query is empty")
        return (await provider.search(query, top_k))[:top_k]

    return tool(bounded=True, fenced=True, timeout=30, render=_show_hits)(web_search)


def _show_hits(hits: Sequence[WebHit]) -> str:
    """One paragraph per hit, for the model."""
    if not hits:
        return "Nothing found. Try other words."
    return "\n\n".join(f"[{hit.url}] {hit.title}\n{hit.snippet}".rstrip() for hit in hits)
