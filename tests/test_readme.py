"""The README's examples run."""

import re
from pathlib import Path

import pytest

from agentinfer import Agent
from agentinfer.testing import ScriptedModel, call, say

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS: list[str] = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def block(mark: str) -> str:
    """The only code block with these words."""
    (found,) = [text for text in BLOCKS if mark in text]
    return found


def run(text: str, scope: dict[str, object]) -> dict[str, object]:
    exec(compile(text, "README.md", "exec"), scope)
    return scope


async def test_your_own_agent() -> None:
    scope = run(block("async def main").replace("asyncio.run(main())", ""), {"__name__": "readme"})
    with ScriptedModel(call("capital", country="Laos"), say("Vientiane")) as model:
        result = await Agent(model, tools=[scope["capital"]]).run("What is the capital of Laos?")  # type: ignore[list-item]
    assert result.steps[0].results[0].content == "Vientiane"


async def test_a_plugin_in_a_few_lines() -> None:
    scope = run(block("class Timer"), {})
    with ScriptedModel(say("hi")) as model:
        result = await Agent(model, plugins=[scope["Timer"]()]).run("q")  # type: ignore[operator]
    assert "StepTimed" in [event.kind for event in result.events]
    assert not [event for event in result.events if event.kind == "PluginFailed"]


async def test_testing_your_agent() -> None:
    scope = run(block("async def main").replace("asyncio.run(main())", ""), {"__name__": "readme"})
    await run(block("ScriptedModel("), scope)["test_it_looks_up_the_capital"]()  # type: ignore[operator]


@pytest.mark.parametrize("text", BLOCKS)
def test_every_block_is_python(text: str) -> None:
    compile(text, "README.md", "exec")
