"""Guidelines written and explored by the real local model: `./scripts/test-models`."""

from pathlib import Path

import pytest

from agentinfer import Agent, Limits, Model, Sampling, ToolError
from agentinfer.corpus import Corpus, Document, build
from agentinfer.scope import EFFICIENCY, THOROUGHNESS, GuidelineLearned, GuidelineRejected, Scope, SqliteStore
from agentinfer.search import search_agent

pytestmark = pytest.mark.model

LARGE = "qwen2.5-coder-1.5b-instruct"
LIKELIEST = Sampling(temperature=0.0, max_tokens=200)


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


async def test_two_perspectives_answer_one_question(tmp_path: Path) -> None:
    documents = [
        Document("vellmar", "The Vellmar Lantern", "The Vellmar Lantern is a novel written by Orsolya Tant in 1931."),
        Document("tant", "Orsolya Tant", "Orsolya Tant was a novelist, born in the town of Brackmere."),
        *(Document(str(n), f"Ship {n}", f"Ship {n} was launched in {1800 + n} in Hull.") for n in range(30)),
    ]
    build(documents, tmp_path / "corpus.db")
    scope = Scope(tmp_path / "guidelines.db", texts=False, share=4.0, timeout=300)
    model = Model.local(LARGE, sampling=LIKELIEST)
    question = "In which town was the writer of the novel The Vellmar Lantern born?"
    async with (
        Corpus(tmp_path / "corpus.db") as corpus,
        search_agent(model, corpus, plugins=[scope], limits=Limits(steps=6)) as agent,
    ):
        found = await scope.explore(agent, question, (EFFICIENCY, THOROUGHNESS))

    assert found.rule == "vote"
    assert set(found.results) == {EFFICIENCY.name, THOROUGHNESS.name}
    assert "Brackmere" in (found.answer or ""), {name: result.to_dict() for name, result in found.results.items()}
    marks = found.graded(lambda answer: float("Brackmere" in answer))
    assert marks.chosen == marks.union == 1.0
    store = SqliteStore(tmp_path / "guidelines.db")
    try:
        spaces = await store.spaces()
    finally:
        await store.aclose()
    assert {space.memory for space in spaces} <= {f"default/{name}" for name in found.results}
