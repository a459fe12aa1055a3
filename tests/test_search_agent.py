"""The ready-made agent over a corpus: its first search, and the question kept in sight."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agentinfer import Agent, Completion, Limits, Middleware, ModelRequest, Run, ToolError, tool
from agentinfer.corpus import Corpus, Document, build
from agentinfer.search import RestateQuestion, SearchFirst, search_agent
from agentinfer.step import ModelHandler
from agentinfer.testing import ScriptedModel, call, say

QUESTION = "In which town was the wife of Edwin Marrow born?"
DOCUMENTS = [
    Document("31", "Ada Linton", "Ada Linton was a painter. In 1830 she became the wife of Edwin Marrow."),
    Document("32", "Linton family", "The painter Ada Linton and her brother were born in Tólverne."),
]


@pytest.fixture
async def corpus(tmp_path: Path) -> AsyncIterator[Corpus]:
    build(DOCUMENTS, tmp_path / "corpus.db")
    async with Corpus(tmp_path / "corpus.db") as opened:
        yield opened


def told(body: dict[str, Any]) -> str:
    return str(body["messages"][-1]["content"])


async def test_begins_with_a_search_for_the_question(corpus: Corpus) -> None:
    with ScriptedModel(say("Tolverne")) as model:
        result = await search_agent(model, corpus).run(QUESTION)
    assert len(model.requests) == 1
    assert "wife of Edwin Marrow" in told(model.requests[0])
    assert [step.model for step in result.steps] == ["scripted", "scripted"]
    assert json.loads(result.steps[0].message.tool_calls[0].arguments) == {"query": QUESTION}
    assert result.usage.calls == 1
    assert result.answer == "Tolverne"


async def test_does_not_search_for_what_is_said_later_in_a_conversation(corpus: Corpus) -> None:
    with ScriptedModel(say("Tolverne"), say("Ada Linton")) as model:
        agent = search_agent(model, corpus)
        await agent.run(QUESTION, session="s")
        result = await agent.run("And what was her name?", session="s")
    assert len(result.steps) == 1
    assert told(model.requests[1]) == "And what was her name?"


async def test_needs_the_tool(corpus: Corpus) -> None:
    with ScriptedModel(say("Tolverne")) as model:
        result = await Agent(model, plugins=[SearchFirst()]).run(QUESTION)
    assert len(result.steps) == 1


async def test_an_answer_that_was_asked_for_is_no_search(corpus: Corpus) -> None:
    with ScriptedModel(say("Tolverne")) as model:
        result = await search_agent(model, corpus, limits=Limits(steps=1)).run(QUESTION)
    assert result.steps[0].answer == "Tolverne"


async def test_repeats_the_question_after_each_result(corpus: Corpus) -> None:
    with ScriptedModel(call("corpus_search", query="Ada Linton born"), say("Tolverne")) as model:
        result = await search_agent(model, corpus).run(QUESTION)
    assert [told(body).endswith(f"The question is still: {QUESTION}") for body in model.requests] == [True, True]
    assert [hit.title for hit in result.steps[1].results[0].value] == ["Linton family", "Ada Linton"]


async def test_does_not_repeat_a_long_question(corpus: Corpus) -> None:
    with ScriptedModel(say("Tolverne")) as model:
        await search_agent(model, corpus).run(QUESTION * 10)
    assert "The question is still" not in told(model.requests[0])


async def test_says_nothing_after_a_failure() -> None:
    @tool
    async def look() -> str:
        """Look."""
        raise ToolError("too dark")

    with ScriptedModel(call("look"), say("a candle")) as model:
        await Agent(model, tools=[look], plugins=[RestateQuestion()]).run("What is there?")
    assert "The question is still" not in told(model.requests[1])


async def test_other_plugins_do_not_see_the_made_call(corpus: Corpus) -> None:
    seen: list[int] = []

    class Counts(Middleware):
        async def model(self, request: ModelRequest, handler: ModelHandler) -> Completion:
            seen.append(len(request.view))
            return await handler(request)

    class Counter:
        @asynccontextmanager
        async def bind(self, run: Run) -> AsyncIterator[Middleware]:
            yield Counts()

    with ScriptedModel(say("Tolverne")) as model:
        await search_agent(model, corpus, plugins=[Counter()]).run(QUESTION)
    assert len(seen) == 1
