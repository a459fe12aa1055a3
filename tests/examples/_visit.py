"""The web app on a port of this machine, and a visitor without a browser."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
import web_app

from agentinfer import Agent, Model, RetryPolicy
from agentinfer.testing import Handler, LoopbackServer, Step
from agentinfer.tools import Tool

SESSION = "session-of-20-letters"


@dataclass(frozen=True)
class Site:
    """The web app, and the endpoint its model is at."""

    url: str
    endpoint: LoopbackServer


@asynccontextmanager
async def site(*steps: Step, handler: Handler | None = None, tools: tuple[Tool, ...] = ()) -> AsyncIterator[Site]:
    """The web app while the block runs; its model replies from a script."""
    async with LoopbackServer(*steps, handler=handler) as endpoint:
        model = Model("m", base_url=endpoint.base_url, retry=RetryPolicy(attempts=1))
        app = web_app.make_app(Agent(model, tools=tools or [web_app.country_facts]))
        with socket.create_server(("127.0.0.1", 0)) as listening:
            config = uvicorn.Config(app, log_config=None, ws="none", timeout_graceful_shutdown=1)
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve(sockets=[listening]))
            try:
                yield Site(f"http://127.0.0.1:{listening.getsockname()[1]}", endpoint)
            finally:
                server.should_exit = True
                await serving


@asynccontextmanager
async def asking(where: Site, text: str, session: str = SESSION) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """The events that answer a question, as they come."""
    async with (
        httpx.AsyncClient(timeout=30) as client,
        client.stream("POST", f"{where.url}/ask", json={"text": text, "session": session}) as response,
    ):
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        yield (json.loads(line.removeprefix("data: ")) async for line in response.aiter_lines() if line)


async def ask(where: Site, text: str, session: str = SESSION) -> list[dict[str, Any]]:
    """All events that answer a question."""
    async with asking(where, text, session) as events:
        return [event async for event in events]
