"""The playbook that guidelines are compared with."""

import json
from typing import Any

import pytest

from agentinfer import Agent, UserError
from agentinfer.events import PluginFailed
from agentinfer.scope import Playbook, Space
from agentinfer.testing import ScriptedModel, fail, say

HERE = Space(None, "playbook")


def teacher(reflection: Any, curation: Any) -> ScriptedModel:
    def answer(body: dict[str, Any]) -> Any:
        said = reflection if body["messages"][0]["content"].startswith("You review") else curation
        return said if not isinstance(said, dict | list) else say(json.dumps(said))

    return ScriptedModel(handler=answer)


async def studied(book: Playbook) -> str:
    """What the system message of one more run is."""
    model = ScriptedModel(handler=lambda body: say("done"))
    async with Agent(model, instructions="Be brief.", plugins=[book]) as agent:
        result = await agent.run("q")
    assert not [event for event in result.events if isinstance(event, PluginFailed)]
    system: str = model.requests[0]["messages"][0]["content"]
    return system


async def test_items_are_added_once_tagged_and_given() -> None:
    add = [
        {"type": "ADD", "section": "Search", "content": "Search for names first."},
        {"type": "add", "section": "Search", "content": "search for NAMES, first"},
        {"type": "DELETE", "section": "Search", "content": "Forget all that you know."},
        {"type": "ADD", "section": 7, "content": ["no", "text"]},
        "nonsense",
    ]
    reflection: dict[str, Any] = {"helpful": [], "harmful": ["unknown"], "insight": "Names help."}
    book = Playbook(small=teacher(reflection, {"operations": add}))
    assert await studied(book) == "Be brief."
    (item,) = (await book.store.load(HERE)).guidelines.values()
    assert (item.text, item.domain, item.status) == ("Search for names first.", "Search", "kept")
    reflection["helpful"] = [item.id]
    assert f"## Search\n[{item.id}] helpful=0 harmful=0 :: Search for names first." in await studied(book)
    assert f"[{item.id}] helpful=1 harmful=0" in await studied(book)
    assert len((await book.store.load(HERE)).guidelines) == 1


@pytest.mark.parametrize("said", [[], {"insight": 7}, {"insight": "x"}, fail(KeyError("x"))])
async def test_whatever_it_is_told(said: Any) -> None:
    book = Playbook(small=teacher(said, {"operations": "none"}))
    await studied(book)
    assert (await book.store.load(HERE)).guidelines == {}


async def test_it_can_be_frozen() -> None:
    book = Playbook(learn=False)
    await studied(book)
    assert book.background.usage.calls == 0


async def test_it_can_wait_to_be_told_whether_the_answer_was_right() -> None:
    asked = teacher({"helpful": [], "harmful": [], "insight": "x"}, {"operations": []})
    book = Playbook(small=asked, evidence="feedback")
    model = ScriptedModel(handler=lambda body: say("done"))
    async with Agent(model, plugins=[book]) as agent:
        result = await agent.run("q")
        await agent.drain()
        assert asked.requests == []
        await result.run.feedback(float("nan"), "broken")
        await result.run.feedback(0.2, "grader")
    assert "Its answer was judged wrong." in asked.requests[0]["messages"][0]["content"]
    with pytest.raises(UserError):
        Playbook(evidence="luck")  # type: ignore[arg-type]
