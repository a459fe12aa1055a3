"""The web as tools: search it through a provider of your choice, read a page of it safely."""

from agentinfer.web._fetch import fetch_page
from agentinfer.web._hits import SearchProvider, WebHit
from agentinfer.web._providers import BraveSearch, SearxngSearch, SerperSearch, TavilySearch
from agentinfer.web._search import web_search

__all__ = [
    "BraveSearch",
    "SearchProvider",
    "SearxngSearch",
    "SerperSearch",
    "TavilySearch",
    "WebHit",
    "fetch_page",
    "web_search",
]
