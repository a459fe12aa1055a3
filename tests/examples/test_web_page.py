"""The web app's page in headless Chromium: `./scripts/test-slow`."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from _visit import Site, site

from agentinfer import tool
from agentinfer.testing import call, cut, hang, http, say, wait_for

playwright = pytest.importorskip("playwright.async_api", reason="needs playwright")
expect = playwright.expect
expect.set_options(timeout=30_000)

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")]

HOSTILE = "<img src=x onerror=window.hacked=1><script>window.hacked=1</script>&lt;b&gt;"


@asynccontextmanager
async def browser() -> AsyncIterator[Any]:
    async with playwright.async_playwright() as started:
        chromium = await started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        try:
            yield chromium
        finally:
            await chromium.close()


@asynccontextmanager
async def visiting(app: Site) -> AsyncIterator[Any]:
    """The app's page in a browser, which must ask nobody else and complain of nothing."""
    async with browser() as chromium:
        page = await chromium.new_page()
        asked: list[str] = []
        wrong: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("console", lambda message: wrong.append(message.text))
        await page.goto(app.url)
        yield page
        assert wrong == []
        assert {url.removeprefix(app.url) for url in asked} <= {"/", "/ask"}


async def ask(page: Any, question: str) -> None:
    await page.get_by_label("Your question").fill(question)
    await page.get_by_role("button", name="Ask").click()


async def test_a_run_is_shown_as_it_happens() -> None:
    seen = asyncio.Event()
    steps = call("country_facts", country="Laos"), say("Vien") + wait_for(seen) + say("tiane")
    async with site(*steps) as app, visiting(app) as page:
        await ask(page, "The capital of Laos?")
        await expect(page.locator("h2")).to_have_text("The capital of Laos?")
        await expect(page.locator(".live")).to_have_text("Vien")
        await expect(page.locator("summary")).to_have_text('country_facts{"country": "Laos"}')
        await page.locator("summary").click()
        await expect(page.locator("pre")).to_contain_text("Vientiane")
        seen.set()
        await expect(page.locator(".answer")).to_have_text("Vientiane")
        await expect(page.locator(".note")).to_have_count(0)
        await expect(page.get_by_role("button", name="Ask")).to_be_visible()


async def test_the_next_question_goes_on_from_there() -> None:
    async with site(say("one"), say("two")) as app, visiting(app) as page:
        for question, answer in (("first", "one"), ("second", "two")):
            await ask(page, question)
            await expect(page.locator(".answer").first).to_have_text(answer)
        assert [message["content"] for message in app.endpoint.requests[1]["messages"]] == ["first", "one", "second"]


async def test_a_page_that_leaves_cancels_its_run() -> None:
    async with site(say("Vien") + hang()) as app, visiting(app) as page:
        await ask(page, "?")
        await expect(page.locator(".live")).to_have_text("Vien")
        await page.close()
        await app.endpoint.until(lambda: app.endpoint.disconnects == 1)


async def test_stop_cancels_the_run() -> None:
    async with site(say("Vien") + hang(), say("again")) as app, visiting(app) as page:
        await ask(page, "?")
        await expect(page.locator(".live")).to_have_text("Vien")
        await page.get_by_role("button", name="Stop").click()
        await app.endpoint.until(lambda: app.endpoint.disconnects == 1)
        await expect(page.locator(".note")).to_have_text("Stopped.")
        await expect(page.locator(".live")).to_have_count(0)
        await ask(page, "?")
        await expect(page.locator(".answer")).to_have_text("again")


async def test_what_models_and_tools_say_is_text() -> None:
    @tool(bounded=True)
    def look() -> str:
        """Look."""
        return HOSTILE

    script = say(HOSTILE) + call("look"), say(HOSTILE)
    async with site(*script, tools=(look,)) as app, visiting(app) as page:
        await ask(page, HOSTILE)
        await expect(page.locator(".answer")).to_have_text(HOSTILE)
        for where in ("h2", ".written:not(:empty)", "pre"):
            await expect(page.locator(where)).to_have_text(HOSTILE)
        assert await page.locator("main img, main script, main b:not(summary b)").count() == 0
        assert await page.evaluate("window.hacked") is None


async def test_browsers_do_not_disturb_each_other() -> None:
    both = asyncio.Event()

    def reply(body: dict[str, Any]) -> Any:
        if len(app.endpoint.requests) == 2:
            both.set()
        return wait_for(both) + say(f"answer to {body['messages'][-1]['content']}")

    async with site(handler=reply) as app, visiting(app) as one, visiting(app) as other:
        await ask(one, "one")
        await ask(other, "other")
        await expect(one.locator(".answer")).to_have_text("answer to one")
        await expect(other.locator(".answer")).to_have_text("answer to other")


async def test_an_attempt_that_broke_off_is_taken_back() -> None:
    seen = asyncio.Event()
    async with site(say("Wrong") + cut(), say("Right") + wait_for(seen)) as app, visiting(app) as page:
        await ask(page, "?")
        await expect(page.locator(".live")).to_have_text("Right")
        seen.set()
        await expect(page.locator(".answer")).to_have_text("Right")


async def test_an_endpoint_that_fails_is_told() -> None:
    async with site(http(500)) as app, visiting(app) as page:
        await ask(page, "?")
        await expect(page.locator(".note")).to_contain_text("500")
