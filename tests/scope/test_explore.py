"""Perspectives: runs side by side with memories of their own, and one answer by a stated rule."""

import asyncio
import json
import math
from typing import Any

import pytest
from _scripted import Wrap

from agentinfer import Agent, Run, UnknownModel, UserError, tool
from agentinfer.scope import (
    EFFICIENCY,
    THOROUGHNESS,
    Add,
    MemoryStore,
    Perspective,
    Scope,
    Space,
    TrialPolicy,
    summarise_marks,
)
from agentinfer.testing import ScriptedModel, call, fail, say

from ._made import guideline

THIRD = Perspective("caution", "What counts is to be careful.")
ALL = TrialPolicy(hold_out=0.0, recheck=0.0)


@tool(bounded=True)
async def look(at: str) -> str:
    """Look at a place."""
    raise ValueError(f"403 at {at}")


async def memories() -> MemoryStore:
    store = MemoryStore()
    for name in ("efficiency", "thoroughness", "caution"):
        own = guideline(f"The guideline of {name} itself.", status="kept")
        await store.apply(Space(None, f"default/{name}"), [Add(own)], author="test")
    return store


def answering(**answers: str) -> ScriptedModel:
    """Answers by the guideline it was given."""

    def answer(body: dict[str, Any]) -> Any:
        told = body["messages"][0]["content"]
        return say(next(answer for name, answer in answers.items() if f"guideline of {name}" in told))

    return ScriptedModel(handler=answer)


async def test_each_has_its_own_memory_and_they_run_side_by_side() -> None:
    both = asyncio.Barrier(2)

    async def wait(run: Run, request: Any, handler: Any) -> Any:
        await both.wait()
        return await handler(request)

    scope = Scope(await memories(), trial=ALL)
    model = answering(efficiency="efficiency", thoroughness="thoroughness")
    async with Agent(model, plugins=[scope, Wrap(step=wait)]) as agent:
        found = await scope.explore(agent, "q")
        usage = agent.usage
    assert {name: result.answer for name, result in found.results.items()} == {
        "efficiency": "efficiency", "thoroughness": "thoroughness",
    }  # fmt: skip
    assert found.usage == usage
    assert usage.calls == 2


async def test_what_each_learns_stays_its_own() -> None:
    def teach(body: dict[str, Any]) -> Any:
        told = body["messages"][0]["content"]
        if told.startswith("Judge"):
            return say('{"scope": "strategic", "confidence": 0.9, "domain": "tools"}')
        text = "Hand over, do not retry." if "few steps" in told else "Try archives and transcripts."
        return say(json.dumps({"guideline": text, "confidence": 0.9}))

    store = MemoryStore()
    scope = Scope(store, small=ScriptedModel(handler=teach), share=100.0, best_of=1, texts=False)

    def answer(body: dict[str, Any]) -> Any:
        return say("done") if any(m["role"] == "tool" for m in body["messages"]) else call("look", at="x")

    async with Agent(ScriptedModel(handler=answer), tools=[look], plugins=[scope]) as agent:
        await scope.explore(agent, "q", (EFFICIENCY, THOROUGHNESS))
    learned = {s.memory: [g.text for g in (await store.load(s)).active] for s in await store.spaces()}
    assert learned == {
        "default/efficiency": ["Hand over, do not retry."],
        "default/thoroughness": ["Try archives and transcripts."],
    }


async def explored(choose: Any, **answers: str) -> tuple[Any, str | None, str]:
    scope = Scope(await memories(), trial=ALL)
    async with Agent(answering(**answers), plugins=[scope]) as agent:
        found = await scope.explore(agent, "q", (EFFICIENCY, THOROUGHNESS, THIRD), choose=choose)
    return found.answer, found.chosen, found.rule


async def test_the_vote() -> None:
    assert await explored("vote", efficiency="a", thoroughness="B.", caution="b") == ("B.", "thoroughness", "vote")
    assert await explored("vote", efficiency="a", thoroughness="b", caution="c") == ("a", "efficiency", "vote")


@pytest.mark.parametrize(("one", "other"), [("5", "-5"), ("C++", "C#"), ("< 3", "> 3")])
async def test_answers_that_differ_in_a_sign_are_not_the_same(one: str, other: str) -> None:
    assert (await explored("vote", efficiency=one, thoroughness=other, caution=f"{other}."))[0] == other

    async def last(question: str, answer: str) -> float:
        return float(answer == other)

    assert (await explored(last, efficiency=one, thoroughness=one, caution=other))[::2] == (other, "verifier")


@pytest.mark.parametrize("set_off", ["**Paris**", '"paris"', "*Paris.*", "“Paris”."])
async def test_how_an_answer_is_set_off_makes_no_difference(set_off: str) -> None:
    assert (await explored("vote", efficiency="Rome", thoroughness="Paris", caution=set_off))[0] == "Paris"


async def test_a_score_that_is_no_number_is_the_lowest() -> None:
    async def odd(question: str, answer: str) -> float:
        return {"a": math.nan, "b": 0.1, "c": -math.inf}[answer]

    assert await explored(odd, efficiency="a", thoroughness="b", caution="c") == ("b", "thoroughness", "verifier")
    assert await explored(odd, efficiency="a", thoroughness="c", caution="c") == ("c", "thoroughness", "verifier")


async def test_a_verifier() -> None:
    async def longest(question: str, answer: str) -> float:
        assert question == "q"
        return len(answer)

    assert await explored(longest, efficiency="a", thoroughness="bb", caution="ccc") == ("ccc", "caution", "verifier")
    assert await explored(longest, efficiency="aa", thoroughness="bb", caution="b") == ("aa", "efficiency", "verifier")


@pytest.mark.parametrize(
    ("said", "chosen"),
    [(say('{"index": 1}'), ("bb", "thoroughness", "judge")), (say("the second"), ("a", "efficiency", "vote")),
     (say('{"index": 7}'), ("a", "efficiency", "vote")),
     (fail(UnknownModel("not here")), ("a", "efficiency", "vote"))],
)  # fmt: skip
async def test_a_judge(said: Any, chosen: Any) -> None:
    with ScriptedModel(said) as judge:
        assert await explored(judge, efficiency="a", thoroughness="bb", caution="c") == chosen


async def test_no_judge_is_asked_where_all_agree() -> None:
    with ScriptedModel() as judge:
        assert (await explored(judge, efficiency="x", thoroughness="X!", caution="x"))[2] == "vote"


async def test_pass_at_1_and_the_union_are_told_apart() -> None:
    scope = Scope(await memories(), trial=ALL)
    marks = []
    for first, second in [("wrong", "right"), ("right", "wrong"), ("wrong", "wrong")]:
        async with Agent(answering(efficiency=first, thoroughness=second), plugins=[scope]) as agent:
            found = await scope.explore(agent, "q")
        marks.append(found.graded(lambda answer: float(answer == "right")))
    summed = summarise_marks(marks)
    assert (round(summed.chosen, 3), round(summed.union, 3)) == (0.333, 0.667)
    assert {name: round(mean, 3) for name, mean in summed.each.items()} == {"efficiency": 0.333, "thoroughness": 0.333}
    with pytest.raises(UserError):
        summarise_marks([])


async def test_runs_without_an_answer_have_no_say() -> None:
    model = ScriptedModel(handler=lambda body: fail(RuntimeError("gone")))
    scope = Scope(trial=ALL)
    async with Agent(model, plugins=[scope]) as agent:
        found = await scope.explore(agent, "q")
    assert (found.answer, found.chosen) == (None, None)
    assert found.graded(lambda answer: 1.0).union == 0.0


async def test_what_is_asked_for_wrongly() -> None:
    scope = Scope()
    with ScriptedModel() as model:
        for agent, arguments in [
            (Agent(model), {}),
            (Agent(model, plugins=[scope]), {"perspectives": ()}),
            (Agent(model, plugins=[scope]), {"perspectives": (EFFICIENCY, EFFICIENCY)}),
            (Agent(model, plugins=[scope]), {"session": "s"}),
            (Agent(model, plugins=[scope]), {"choose": "luck"}),
            (Agent(model, plugins=[scope]), {"limits": "none"}),
        ]:
            with pytest.raises((UserError, AttributeError)):
                await scope.explore(agent, "q", **arguments)  # type: ignore[arg-type]
    with pytest.raises(UserError):
        Perspective(" ", "x")
