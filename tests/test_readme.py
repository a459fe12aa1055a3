"""What the README's code blocks come to; that they run at all is checked in test_docs.py."""

from pathlib import Path
from typing import Any

import pytest
from _docs import ROOT, run_page

from agentinfer import Agent
from agentinfer.testing import ScriptedModel, call, say


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names that the README's blocks make."""
    return run_page(ROOT / "README.md", tmp_path, monkeypatch)


async def test_your_own_agent(made: dict[str, Any]) -> None:
    with ScriptedModel(call("capital", country="Laos"), say("Vientiane")) as model:
        result = await Agent(model, tools=[made["capital"]]).run("What is the capital of Laos?")
    assert result.steps[0].results[0].content == "Vientiane"


async def test_a_plugin_in_a_few_lines(made: dict[str, Any]) -> None:
    with ScriptedModel(say("hi")) as model:
        result = await Agent(model, plugins=[made["Timer"]()]).run("q")
    assert "StepTimed" in [event.kind for event in result.events]
    assert not [event for event in result.events if event.kind == "PluginFailed"]


async def test_testing_your_agent(made: dict[str, Any]) -> None:
    await made["test_it_looks_up_the_capital"]()
