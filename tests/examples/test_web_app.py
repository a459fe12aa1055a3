"""The web app, asked without a browser."""

import asyncio
import re
from typing import Any

import httpx
import pytest
from _visit import SESSION, ask, asking, site

from agentinfer.testing import call, cut, hang, http, say, wait_for


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["kind"] for event in events]


async def test_a_run_is_told_from_its_start_to_its_answer() -> None:
    async with site(call("country_facts", country="Laos"), say("Vien", "tiane")) as app:
        events = await ask(app, "The capital of Laos?")

    step = ["StepStarted", "ToolStarted", "ToolFinished", "StepFinished"]
    assert kinds(events) == [*step, "StepStarted", "ModelDelta", "ModelDelta", "StepFinished", "RunFinished"]
    assert "Vientiane" in events[2]["content"]
    assert [event["text"] for event in events if event["kind"] == "ModelDelta"] == ["Vien", "tiane"]
    assert events[-1] == {"kind": "RunFinished", "answer": "Vientiane", "stop_reason": "answered", "error": None}


async def test_what_the_model_writes_is_told_while_it_writes() -> None:
    seen = asyncio.Event()
    async with site(say("Vien") + wait_for(seen) + say("tiane")) as app, asking(app, "?") as events:
        async for event in events:
            if event["kind"] == "ModelDelta" and not seen.is_set():
                assert event["text"] == "Vien"
                seen.set()
        assert event["answer"] == "Vientiane"


async def test_a_visitor_who_leaves_cancels_the_run() -> None:
    async with site(say("Vien") + hang()) as app:
        async with asking(app, "?") as events:
            async for event in events:
                if event["kind"] == "ModelDelta":
                    break
        await app.endpoint.until(lambda: app.endpoint.disconnects == 1)


async def test_a_visitor_who_leaves_stops_no_other() -> None:
    both = asyncio.Event()

    def reply(body: dict[str, Any]) -> Any:
        if len(app.endpoint.requests) == 2:
            both.set()
        return wait_for(both) + (hang() if body["messages"][-1]["content"] == "leaves" else say("done"))

    async with site(handler=reply) as app:
        stays = asyncio.create_task(ask(app, "stays", "s" * 20))
        async with asking(app, "leaves", "l" * 20) as events:
            await anext(events)
            await both.wait()
        assert (await stays)[-1]["answer"] == "done"
        await app.endpoint.until(lambda: app.endpoint.disconnects == 1)


async def test_a_page_goes_on_where_it_was_and_sees_no_other() -> None:
    async with site(handler=lambda body: say(f"{len(body['messages'])} messages")) as app:
        answers = [(await ask(app, "?", letter * 20))[-1]["answer"] for letter in "aab"]
    assert answers == ["1 messages", "3 messages", "1 messages"]


async def test_an_attempt_that_broke_off_is_told() -> None:
    async with site(say("Wr") + cut(), say("Vientiane")) as app:
        events = await ask(app, "?")
    assert kinds(events)[1:4] == ["ModelDelta", "AttemptDiscarded", "ModelDelta"]
    assert events[-1]["answer"] == "Vientiane"


async def test_an_endpoint_that_fails_is_told() -> None:
    async with site(http(500)) as app:
        last = (await ask(app, "?"))[-1]
    assert (last["answer"], last["stop_reason"]) == (None, "error")
    assert "500" in last["error"]


@pytest.mark.parametrize(
    ("content", "content_type", "status"),
    [
        (f'{{"text": "?", "session": "{SESSION}"}}', "text/plain", 415),
        (f'{{"text": "", "session": "{SESSION}"}}', "application/json", 422),
        ('{"text": "?"}', "application/json", 422),
        ("\xff{", "application/json", 422),
    ],
)
async def test_what_is_refused(content: str, content_type: str, status: int) -> None:
    async with site() as app, httpx.AsyncClient() as client:
        headers = {"content-type": content_type}
        refused = await client.post(f"{app.url}/ask", content=content.encode("latin-1"), headers=headers)
        assert refused.status_code == status


async def test_the_page_names_no_other_host() -> None:
    async with site() as app, httpx.AsyncClient() as client:
        page = await client.get(app.url)
    assert page.headers["content-type"].startswith("text/html")
    assert not re.search("//[a-z]", page.text)
