"""Layer 1: search results ranked by title and snippet before any is opened."""

import dataclasses
import json
from collections.abc import Sequence
from typing import Any

import pytest
from _scripted import Wrap, failures
from hypothesis import given
from hypothesis import strategies as st

from agentinfer import Agent, Run, ServerFailed, Tool, ToolCall, ToolResult, UserError, tool
from agentinfer.compress import Compress, HitsFiltered, report
from agentinfer.compress._hits import by_numbers, by_words, hits_of
from agentinfer.corpus import Hit
from agentinfer.evals._retrieval import retrieved
from agentinfer.result import RunResult
from agentinfer.testing import ScriptedModel, call, fail, say
from agentinfer.web import WebHit, web_search

HITS = [
    Hit("w1", "Cheese", "The price of cheese in the capital.", 9.0),
    Hit("w2", "Niger", "The river Niger flows through Bamako, the capital of Mali.", 8.0),
    Hit("w3", "Tyres", "Capital investment in tyres.", 7.0),
    Hit("w4", "Bamako", "Bamako is the capital of Mali and lies on a river.", 6.0),
    Hit("w5", "Opera", "A capital opera.", 5.0),
]


def search_tool() -> Tool:
    def show(hits: Sequence[Hit]) -> str:
        return "\n\n".join(f"[{hit.id}] {hit.title}\n{hit.snippet}" for hit in hits)

    @tool(bounded=True, render=show)
    async def corpus_search(query: str) -> Sequence[Hit]:
        """Search."""
        return HITS

    return corpus_search


async def search_with(plugin: Compress, searcher: Tool | None = None) -> tuple[RunResult[Any], ToolResult]:
    name = (searcher or search_tool()).name
    with ScriptedModel(call(name, query="capital of Mali"), say("Bamako")) as model:
        agent = Agent(model, tools=[searcher or search_tool()], plugins=[plugin])
        result = await agent.run("On which river does the capital of Mali lie?")
    assert not failures(result)
    return result, result.steps[0].results[0]


async def test_results_that_fit_least_are_left_out_and_listed() -> None:
    result, shown = await search_with(Compress(keep_hits=2))
    assert [hit.id for hit in shown.value] == ["w4", "w2"]
    assert "[w4] Bamako\nBamako is the capital" in shown.content
    assert "price of cheese" not in shown.content
    assert shown.content.splitlines()[-1] == (
        "Left out as less fitting (all results in full: result-1): [w5] Opera; [w1] Cheese; [w3] Tyres"
    )
    assert "The price of cheese" in result.workspace.read("result-1")
    (event,) = [event for event in result.events if isinstance(event, HitsFiltered)]
    assert (event.shown, event.dropped) == (("w4", "w2"), ("w5", "w1", "w3"))
    assert report(result.run).hits_dropped == 3
    assert [document.title for document in retrieved(shown)] == ["Bamako", "Niger"], "only what the model was shown"


async def test_pages_of_the_web_alike() -> None:
    class Provider:
        async def search(self, query: str, count: int) -> Sequence[WebHit]:
            return [WebHit(url=f"https://{h.id}.org", title=h.title, snippet=h.snippet) for h in HITS]

    _, shown = await search_with(Compress(keep_hits=1), web_search(Provider()))
    assert shown.value[0].url == "https://w4.org"
    assert shown.fenced


async def test_some_are_shown_in_any_case_and_it_can_be_switched_off() -> None:
    for plugin in (Compress(keep_hits=5), Compress(rank="off"), Compress(hit_share=0.0)):
        result, shown = await search_with(plugin)
        assert len(shown.value) == 5
        assert not any(isinstance(event, HitsFiltered) for event in result.events)


async def test_a_light_model_ranks() -> None:
    with ScriptedModel(say("4, 2"), name="small") as small:
        result, shown = await search_with(Compress(small=small, rank="model", keep_hits=1))
    assert [hit.id for hit in shown.value] == ["w4", "w2"]
    assert result.run.calls.by_purpose["rank"].calls == 1
    asked = json.dumps(small.requests[0]["messages"])
    assert "On which river" in asked
    assert "5. Opera: A capital opera." in asked


@pytest.mark.parametrize("answer", [say("I cannot say"), say("17"), fail(ServerFailed("down"))])
async def test_words_rank_where_the_model_does_not(answer: Any) -> None:
    small = ScriptedModel(handler=lambda body: answer, name="small", timeouts=None)
    small.retry = type(small.retry)(attempts=1)
    _, shown = await search_with(Compress(small=small, rank="model", keep_hits=2))
    assert [hit.id for hit in shown.value] == ["w4", "w2"]


async def test_what_another_plugin_made_of_the_results_stays() -> None:
    async def redact(run: Run, call: ToolCall, handler: Any) -> ToolResult:
        result: ToolResult = await handler(call)
        return dataclasses.replace(result, content=result.content.replace("cheese", "***") + "\nSeen.")

    with ScriptedModel(call("corpus_search", query="capital of Mali"), say("Bamako")) as model:
        agent = Agent(model, tools=[search_tool()], plugins=[Compress(keep_hits=2), Wrap(tool=redact)])
        result = await agent.run("On which river does the capital of Mali lie?")
    shown = result.steps[0].results[0].content
    assert "cheese" not in shown
    assert shown.endswith("\nSeen.")


async def test_nothing_is_told_of_a_filtering_that_failed() -> None:
    def show(hits: Sequence[Hit]) -> str:
        if len(hits) < len(HITS):
            raise ValueError("not for a part of them")
        return "\n\n".join(f"[{hit.id}] {hit.title}\n{hit.snippet}" for hit in hits)

    @tool(bounded=True, render=show)
    async def corpus_search(query: str) -> Sequence[Hit]:
        """Search."""
        return HITS

    with ScriptedModel(call("corpus_search", query="capital of Mali"), say("Bamako")) as model:
        agent = Agent(model, tools=[corpus_search], plugins=[Compress(keep_hits=2)])
        result = await agent.run("On which river does the capital of Mali lie?")
    assert result.steps[0].results[0].content == show(HITS)
    assert not [event for event in result.events if isinstance(event, HitsFiltered)]
    assert report(result.run).hits_dropped == 0


async def test_words_of_a_call_count_however_they_are_written() -> None:
    hits = [Hit(f"w{n}", text, text, 1.0) for n, text in enumerate(["北京 的 历史", "茶", "北京 建城", "u5317", "纸"])]

    @tool(bounded=True, render=lambda hits: " ".join(hit.id for hit in hits))
    async def corpus_search(query: str) -> Sequence[Hit]:
        """Search."""
        return hits

    escaped = ToolCall("c1", "corpus_search", json.dumps({"query": "北京 建城"}))
    assert "\\u5317" in escaped.arguments
    with ScriptedModel(say("") + call("corpus_search", query="北京 建城"), say("x")) as model:

        async def as_written(run: Run, one: ToolCall, handler: Any) -> ToolResult:
            result: ToolResult = await handler(dataclasses.replace(one, arguments=escaped.arguments))
            return result

        agent = Agent(model, tools=[corpus_search], plugins=[Wrap(tool=as_written), Compress(keep_hits=1)])
        result = await agent.run("When?")
    (event,) = [event for event in result.events if isinstance(event, HitsFiltered)]
    assert event.shown == ("w2", "w0")


async def test_other_results_are_left_alone() -> None:
    @tool(bounded=True)
    async def corpus_search(query: str) -> list[int]:
        """Search."""
        return [1, 2, 3]

    _, shown = await search_with(Compress(keep_hits=1), corpus_search)
    assert shown.value == [1, 2, 3]
    assert hits_of("text") is hits_of(None) is hits_of([HITS[0]]) is hits_of([HITS[0], 3]) is None


hit = st.tuples(st.text(max_size=5), st.text(max_size=20), st.text(max_size=60))


@given(st.lists(hit, max_size=8), st.lists(st.text(max_size=8)), st.floats(0, 1), st.integers(1, 5))
def test_each_result_is_shown_or_listed(
    hits: list[tuple[str, str, str]], wanted: list[str], share: float, least: int
) -> None:
    ranked = by_words(hits, wanted, share=share, least=least)
    assert sorted([*ranked.kept, *ranked.dropped]) == list(range(len(hits)))
    assert len(ranked.kept) >= min(least, len(hits))


@given(st.text(), st.integers(0, 9), st.integers(1, 5))
def test_whatever_a_model_answers_each_result_is_shown_or_listed(answer: str, count: int, least: int) -> None:
    ranked = by_numbers(answer, count, least=least)
    if ranked is not None:
        assert sorted([*ranked.kept, *ranked.dropped]) == list(range(count))
        assert len(ranked.kept) >= min(least, count)


@pytest.mark.parametrize(
    "wrong",
    [{"notes": "poem"}, {"rank": "vibes"}, {"recent": -1}, {"seconds": 0}, {"hit_share": 2.0}, {"notes_tokens": 0}],
)
def test_settings_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match=next(iter(wrong))):
        Compress(**wrong)
