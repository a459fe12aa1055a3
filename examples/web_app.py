"""An agent inside a web app: a page shows each run as it happens.

    pip install starlette uvicorn && python examples/web_app.py

then open http://127.0.0.1:8000. The page shows what the model writes while it writes it, the tools it calls, and the
answer. Stop, or leave the page, and the run is cancelled. The model runs on this machine (needs the extra `local`),
unless --base-url or OPENAI_BASE_URL names an endpoint.
"""

import argparse
import json
import os
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Literal

import uvicorn
from pydantic import BaseModel, Field, ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from agentinfer import Agent, Limits, Model, tool
from agentinfer.events import (
    AttemptDiscarded,
    ModelDelta,
    RunFinished,
    StepFinished,
    StepStarted,
    ToolFinished,
    ToolStarted,
)

PAGE = Path(__file__).with_suffix(".html")
SHOWN = (StepStarted, ModelDelta, AttemptDiscarded, ToolStarted, ToolFinished, StepFinished)

FACTS: dict[str, dict[str, str | int]] = {
    "Bhutan": {"capital": "Thimphu", "population": 885_000, "airports": 2},
    "Laos": {"capital": "Vientiane", "population": 7_954_000, "airports": 8},
    "Nepal": {"capital": "Kathmandu", "population": 31_122_000, "airports": 51},
}


@tool(bounded=True)  # short results: the model needs no way to read on
async def country_facts(country: Literal["Bhutan", "Laos", "Nepal"]) -> dict[str, str | int]:
    """Look up the capital, the population and the number of airports of a country."""
    return FACTS[country]


class Question(BaseModel):
    """What a page sends."""

    text: str = Field(min_length=1, max_length=2_000)
    session: str = Field(min_length=20, max_length=40)
    """Drawn by the page, so that its next question goes on from here."""


def make_app(agent: Agent) -> Starlette:
    """A web app around an agent, which serves all its visitors at once."""

    async def page(_: Request) -> Response:
        return FileResponse(PAGE)

    async def ask(request: Request) -> Response:
        if request.headers.get("content-type") != "application/json":  # what other sites' pages cannot send
            return PlainTextResponse("send JSON", status_code=415)
        try:
            question = Question.model_validate_json(await request.body())
        except ValidationError as error:
            return PlainTextResponse(str(error), status_code=422)
        return StreamingResponse(run(question), media_type="text/event-stream", headers={"cache-control": "no-store"})

    async def run(question: Question) -> AsyncIterator[str]:
        # A visitor who leaves cancels this generator, and with it the run.
        async with aclosing(agent.stream(question.text, session=question.session)) as events:
            async for event in events:
                if isinstance(event, SHOWN):
                    yield server_sent(event.to_dict())
                elif isinstance(event, RunFinished):
                    error = event.result.error and str(event.result.error)
                    answer, reason = event.result.answer, event.result.stop_reason
                    yield server_sent({"kind": event.kind, "answer": answer, "stop_reason": reason, "error": error})

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with agent:
            yield

    return Starlette(routes=[Route("/", page), Route("/ask", ask, methods=["POST"])], lifespan=lifespan)


def server_sent(event: dict[str, object]) -> str:
    """One server-sent event. JSON holds no line breaks, so it is one line of data."""
    return f"data: {json.dumps(event)}\n\n"


def main() -> None:
    """Read the command line, and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--base-url", default=os.environ.get("OPENAI_BASE_URL"))
    parser.add_argument("--model", default=os.environ.get("AGENTINFER_MODEL", "qwen2.5-coder-1.5b-instruct"))
    options = parser.parse_args()
    if options.base_url:
        model = Model(options.model, base_url=options.base_url, api_key=os.environ.get("OPENAI_API_KEY"))
    else:
        model = Model.local(options.model)
    agent = Agent(model, tools=[country_facts], limits=Limits(steps=10, seconds=600))
    uvicorn.run(make_app(agent), port=options.port, log_level="warning", timeout_graceful_shutdown=1)


if __name__ == "__main__":
    main()
