"""Agents on the real local models: `./scripts/test-models`."""

import asyncio
from pathlib import Path

import pytest
from pydantic import BaseModel

from agentinfer import Agent, Limits, Model, Sampling, ToolError
from agentinfer.corpus import Corpus, Document, build
from agentinfer.events import ModelDelta, PrefixBreak, RunFinished
from agentinfer.scope import EFFICIENCY, THOROUGHNESS, GuidelineLearned, GuidelineRejected, Scope
from agentinfer.search import search_agent

pytestmark = pytest.mark.model

SMALL, LARGE = "qwen2.5-coder-0.5b-instruct", "qwen2.5-coder-1.5b-instruct"
LIKELIEST = Sampling(temperature=0.0, max_tokens=200)
TWO_SEARCHES = "In which town was the writer of the novel The Vellmar Lantern born?"


@pytest.fixture
def db(tmp_path: Path) -> Path:
    filler = [Document(str(n), f"Ship {n}", f"Ship {n} was launched in {1800 + n} in Hull.") for n in range(30)]
    documents = [
        Document("vellmar", "The Vellmar Lantern", "The Vellmar Lantern is a novel written by Orsolya Tant in 1931."),
        Document("tant", "Orsolya Tant", "Orsolya Tant was a novelist, born in the town of Brackmere."),
    ]
    path = tmp_path / "corpus.db"
    build([*documents, *filler], path)
    return path


async def test_two_searches_over_a_corpus_of_invented_facts(db: Path) -> None:
    """Nobody can know these facts: the answer is in the second document, whose name is in the first."""
    async with Model.local(LARGE) as model, Corpus(db) as corpus:
        result = await search_agent(model, corpus, limits=Limits(steps=8)).run(TWO_SEARCHES)

    assert result.error is None
    assert "Brackmere" in (result.answer or ""), result.to_dict()
    assert result.usage.estimated_calls == 0
    assert result.usage.cached_tokens, "the server reads the common prefix from its cache"
    assert not [event for event in result.events if isinstance(event, PrefixBreak)]


async def test_an_answer_of_a_type() -> None:
    class Sum(BaseModel):
        total: int

    async with Model.local(SMALL) as model:
        result = await Agent(model).run("What is 2 + 3?", output_type=Sum)

    assert isinstance(result.answer, Sum)


async def test_a_tool_is_called_by_json() -> None:
    asked = []

    def look_up(country: str) -> str:
        """Look up the secret code of a country. country: its name."""
        asked.append(country)
        return "The code is 7341."

    async with Model.local(LARGE) as model:
        agent = Agent(model, tools=[look_up], instructions="Use your tools.", limits=Limits(steps=5))
        result = await agent.run("What is the secret code of France?")

    assert asked
    assert "7341" in (result.answer or ""), result.to_dict()


async def test_tagged_text_is_understood() -> None:
    """Given tools, this model answers from nowhere under tags, so there are none here."""
    async with Model.local(LARGE, protocol="tagged") as model:
        result = await Agent(model).run("What is the capital of France?")

    assert (result.stop_reason, len(result.steps)) == ("answered", 1)
    assert "Paris" in (result.answer or "")
    assert "<answer>" not in (result.answer or "")


async def test_leaving_a_stream_stops_the_model() -> None:
    async with Model.local(SMALL, sampling=Sampling(max_tokens=2000)) as model:
        agent = Agent(model)
        events = agent.stream("Count from 1 to 1000 in words, one number per line.")
        async for event in events:
            if isinstance(event, ModelDelta):
                break
        async with asyncio.timeout(5):
            await events.aclose()
        async with asyncio.timeout(60):  # the server is free again: it had stopped writing
            finished = [event async for event in agent.stream("Say hello.") if isinstance(event, RunFinished)]
    assert finished[0].result.answer


async def test_a_failed_call_is_written_about_within_its_share(tmp_path: Path) -> None:
    def opening_hours(shop: str) -> str:
        """Look up when a shop is open. shop: its name."""
        raise ToolError("the register is closed")

    share = 20.0  # of a run of two short calls: drafts, their choice and their classification
    scope = Scope(tmp_path / "guidelines.db", texts=False, share=share, timeout=300)
    model = Model.local(LARGE, sampling=LIKELIEST)
    limits = Limits(steps=3)
    async with Agent(
        model, tools=[opening_hours], instructions="Use your tools.", plugins=[scope], limits=limits
    ) as agent:
        result = await agent.run("When does the bakery in Mill Lane open?")

    assert any(call.outcome == "failed" for step in result.steps for call in step.results), result.to_dict()
    events = [*result.events, *scope.background.events]
    decided = [event for event in events if isinstance(event, GuidelineLearned | GuidelineRejected)]
    assert decided, events
    assert all(event.text for event in decided)
    assert 0 < scope.background.usage.total_tokens <= share * result.usage.total_tokens


async def test_two_perspectives_answer_one_question(db: Path, tmp_path: Path) -> None:
    scope = Scope(tmp_path / "guidelines.db", texts=False, share=4.0, timeout=300)
    model = Model.local(LARGE, sampling=LIKELIEST)
    async with (
        Corpus(db) as corpus,
        search_agent(model, corpus, plugins=[scope], limits=Limits(steps=6)) as agent,
    ):
        found = await scope.explore(agent, TWO_SEARCHES, (EFFICIENCY, THOROUGHNESS))

    assert found.rule == "vote"
    assert set(found.results) == {EFFICIENCY.name, THOROUGHNESS.name}
    assert "Brackmere" in (found.answer or ""), {name: result.to_dict() for name, result in found.results.items()}
    marks = found.graded(lambda answer: float("Brackmere" in answer))
    assert marks.chosen == marks.union == 1.0
    spaces = await scope.store.spaces()
    await scope.store.aclose()
    assert {space.memory for space in spaces} <= {f"default/{name}" for name in found.results}
