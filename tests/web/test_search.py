"""What is asked of each search service, and what is made of its answers."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
import respx

from agentinfer.errors import ToolError
from agentinfer.web import (
    BraveSearch,
    SearchProvider,
    SearxngSearch,
    SerperSearch,
    TavilySearch,
    WebHit,
    web_search,
)

KEY = "key-5d41402abc"
SEARXNG = "http://127.0.0.1:8888/search"
TAVILY = "https://api.tavily.com/search"
BRAVE = "https://api.search.brave.com/res/v1/web/search"
SERPER = "https://google.serper.dev/search"

ENTRY = {"title": "A <strong>page</strong> &amp; more", "url": "https://a.org/", "snippet": "Some\n <b>text</b>."}
HIT = WebHit(url="https://a.org/", title="A page & more", snippet="Some text.")


def plain(entry: dict[str, Any], snippet: str) -> dict[str, Any]:
    return {"title": entry["title"], "url": entry["url"], snippet: entry["snippet"]}


ALL = [
    pytest.param(
        SearxngSearch("http://127.0.0.1:8888/"), SEARXNG, lambda e: {"results": [plain(x, "content") for x in e]},
        id="searxng",
    ),
    pytest.param(TavilySearch(KEY), TAVILY, lambda e: {"results": [plain(x, "content") for x in e]}, id="tavily"),
    pytest.param(
        BraveSearch(KEY), BRAVE, lambda e: {"web": {"results": [plain(x, "description") for x in e]}}, id="brave"
    ),
    pytest.param(
        SerperSearch(KEY), SERPER,
        lambda e: {"organic": [{"title": x["title"], "link": x["url"], "snippet": x["snippet"]} for x in e]},
        id="serper",
    ),
]  # fmt: skip
Body = Callable[[list[dict[str, Any]]], dict[str, Any]]
each = pytest.mark.parametrize(("provider", "url", "body"), ALL)


@each
async def test_hits(respx_mock: respx.MockRouter, provider: SearchProvider, url: str, body: Body) -> None:
    others = [{**ENTRY, "url": f"https://a.org/{n}"} for n in range(9)]
    respx_mock.route(url__startswith=url).respond(json=body([ENTRY, ENTRY, *others]))
    hits = await provider.search("some words", 3)
    assert [hit.url for hit in hits] == ["https://a.org/", "https://a.org/0", "https://a.org/1"]
    assert hits[0] == HIT


@each
async def test_nothing_found(respx_mock: respx.MockRouter, provider: SearchProvider, url: str, body: Body) -> None:
    respx_mock.route(url__startswith=url).respond(json={})
    assert list(await provider.search("some words", 3)) == []
    respx_mock.route(url__startswith=url).respond(json=body([]))
    tool = web_search(provider)
    assert tool.render
    assert tool.render(await tool("some words")) == "Nothing found. Try other words."


@each
@pytest.mark.parametrize("status", [301, 400, 401, 402, 403, 404, 418, 422, 429, 432, 500, 503])
async def test_refusals(
    respx_mock: respx.MockRouter, provider: SearchProvider, url: str, body: Body, status: int
) -> None:
    headers = {"location": "https://elsewhere.example/", "retry-after": "7"}
    respx_mock.route(url__startswith=url).respond(status, text=f"the key {KEY} is bad", headers=headers)
    with pytest.raises(ToolError, match=f"status {status}") as caught:
        await provider.search("some words", 3)
    assert KEY not in str(caught.value)
    assert ("try again in 7 seconds" in str(caught.value)) == (status == 429)
    assert len(respx_mock.calls) == 1


@each
@pytest.mark.parametrize(
    "text", ["<html>", "[]", "null", '{"results": 3, "web": {"results": 3}, "organic": 3}', "[" * 99_999]
)
async def test_answers_that_are_none(
    respx_mock: respx.MockRouter, provider: SearchProvider, url: str, body: Body, text: str
) -> None:
    respx_mock.route(url__startswith=url).respond(text=text)
    with pytest.raises(ToolError, match="something other than results"):
        await provider.search("some words", 3)


@each
async def test_odd_results_are_left_out(
    respx_mock: respx.MockRouter, provider: SearchProvider, url: str, body: Body
) -> None:
    odd = [
        {**ENTRY, "url": url} for url in (None, 3, "", "javascript:alert(1)", "https://a b/", "https://" + "x" * 3_000)
    ]
    respx_mock.route(url__startswith=url).respond(json=body([*odd, {**ENTRY, "title": None, "snippet": ["x"]}]))
    assert list(await provider.search("x", 5)) == [WebHit(url="https://a.org/", title="https://a.org/", snippet="")]


@each
@pytest.mark.parametrize("error", [httpx.ConnectError(KEY), httpx.ReadTimeout(KEY), httpx.ReadError(KEY)])
async def test_failures(
    respx_mock: respx.MockRouter, provider: SearchProvider, url: str, body: Body, error: Exception
) -> None:
    respx_mock.route(url__startswith=url).mock(side_effect=error)
    with pytest.raises(ToolError, match=r"does not answer|cannot be reached") as caught:
        await provider.search("some words", 3)
    assert KEY not in str(caught.value)


async def test_what_searxng_is_asked(respx_mock: respx.MockRouter) -> None:
    route = respx_mock.get(SEARXNG, params={"q": "a b", "format": "json", "language": "en", "engines": "wikipedia"})
    route.respond(json={"results": []})
    await SearxngSearch("http://127.0.0.1:8888", language="en", engines="wikipedia").search("a b", 5)
    assert "categories" not in route.calls[0].request.url.params


async def test_searxng_without_json_and_with_silent_engines(respx_mock: respx.MockRouter) -> None:
    route = respx_mock.get(SEARXNG)
    provider = SearxngSearch("http://127.0.0.1:8888")
    route.respond(403)
    with pytest.raises(ToolError, match=r"search\.formats"):
        await provider.search("a", 5)
    route.respond(json={"results": [], "unresponsive_engines": [["brave", "timeout"], ["google", "CAPTCHA"]]})
    with pytest.raises(ToolError, match="do not answer: brave, google"):
        await provider.search("a", 5)


async def test_what_tavily_is_asked(respx_mock: respx.MockRouter) -> None:
    route = respx_mock.post(TAVILY).respond(json={"results": []})
    await TavilySearch(KEY).search("a b", 50)
    request = route.calls[0].request
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(request.content) == {"query": "a b", "max_results": 20}


async def test_what_brave_is_asked(respx_mock: respx.MockRouter) -> None:
    route = respx_mock.get(url__startswith=BRAVE).respond(json={"type": "search"})
    await BraveSearch(KEY).search("word " * 60, 50)
    request = route.calls[0].request
    assert request.headers["x-subscription-token"] == KEY
    assert KEY not in str(request.url)
    assert dict(request.url.params) == {
        "q": " ".join(["word"] * 50),
        "count": "20",
        "text_decorations": "false",
    }


async def test_what_serper_is_asked(respx_mock: respx.MockRouter) -> None:
    route = respx_mock.post(SERPER).respond(json={"organic": []})
    await SerperSearch(KEY).search("a b", 5)
    request = route.calls[0].request
    assert request.headers["x-api-key"] == KEY
    assert json.loads(request.content) == {"q": "a b", "num": 5}


@pytest.mark.parametrize("provider", [TavilySearch(KEY), BraveSearch(KEY), SerperSearch(KEY)])
def test_keys_are_not_shown(provider: object) -> None:
    assert KEY not in repr(provider)


async def test_a_client_of_ones_own() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={"results": [plain(ENTRY, "content")]})

    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        assert await SearxngSearch("http://search.example", client=client).search("a", 5) == [HIT]
        assert not client.is_closed


async def test_the_tool() -> None:
    class Own:
        async def search(self, query: str, count: int) -> list[WebHit]:
            assert (query, count) == ("a b", 2)
            return [HIT, WebHit(url="https://b.org/", title="B", snippet=""), HIT]

    tool = web_search(Own(), top_k=2)
    assert (tool.name, tool.trust, tool.bounded, list(tool.parameters["properties"])) == (
        "web_search",
        "data",
        True,
        ["query"],
    )
    assert tool.render
    assert tool.render(await tool(" a\n b ")) == "[https://a.org/] A page & more\nSome text.\n\n[https://b.org/] B"
    with pytest.raises(ToolError, match="empty"):
        await tool("  ")
