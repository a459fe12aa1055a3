"""The examples that are scripts, started as their first lines say."""

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import search_agent
import tour
from _start import ROOT, start

from agentinfer import Model
from agentinfer.corpus import Document, build
from agentinfer.testing import LoopbackServer, ScriptedModel, call, http, say

SCRIPTS = ["fallback.py", "search_agent.py", "tour.py", "web_app.py"]


@pytest.mark.parametrize("script", SCRIPTS)
def test_help_tells_what_one_sees(
    script: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [script, "--help"])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(ROOT / "examples" / script), run_name="__main__")
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert f"python examples/{script}" in text
    assert "--base-url" in text


def test_the_list_of_examples_is_whole() -> None:
    listed = re.findall(r"python (?:-m pytest )?examples/(\w+(?:\.py)?)", (ROOT / "examples/README.md").read_text())
    assert sorted(listed) == sorted([*SCRIPTS, "tested_app"])


async def test_search_agent_over_a_folder(tmp_path: Path) -> None:
    (tmp_path / "laos.md").write_text("# Laos\n\nVientiane is the capital.\n")
    async with LoopbackServer(call("corpus_search", query="capital of Laos"), say("Vientiane")) as server:
        endpoint = {"OPENAI_BASE_URL": server.base_url, "AGENTINFER_MODEL": "m"}
        out = await start("examples/search_agent.py", str(tmp_path), "The capital of Laos?", **endpoint)
    assert '  corpus_search {"query": "capital of Laos"}' in out
    assert "laos.md" in out
    assert out.endswith("answer: Vientiane\n")


async def test_search_agent_without_an_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    build([Document("laos", "Laos", "Vientiane is the capital.")], tmp_path / "laos.db")
    async with LoopbackServer(http(401)) as server:
        await search_agent.ask(Model("m", base_url=server.base_url), tmp_path / "laos.db", "?")
    out = capsys.readouterr().out
    assert "\nno answer: " in out
    assert "401" in out


async def test_fallback() -> None:
    async with LoopbackServer(call("airports", country="Bhutan"), say("Two.")) as server:
        out = await start("examples/fallback.py", "--base-url", server.base_url, "--model", "second")
    lines = [re.sub(r"after .*|failed: .*", "", line) for line in out.splitlines()]
    step = ["nobody-home ", "second replied "]
    assert lines == [*step, '  airports {"country": "Bhutan"}: 2', *step, "answer: Two."]


async def test_the_tour() -> None:
    out = await start("examples/tour.py")
    assert re.findall(r"^== (.*) ==$", out, re.MULTILINE) == [
        "tools",
        "streaming",
        "answers of a type",
        "limits",
        "sessions",
        "a plugin and feedback",
        "a resumed run",
    ]
    for seen in [
        'capital {"country": "Lao"} -> Only known: Bhutan, Laos',
        "[One, ][two, ][three.] answered",
        "City(name='Thimphu', country='Bhutan') after 2 steps",
        "Vientiane and Thimphu (steps)",
        "user: In which country is that?\nassistant: Bhutan.",
        "a user gives 1.0 to the answer",
    ]:
        assert seen in out
    assert out.endswith("Vientiane (answered)\n")


async def test_the_tour_with_a_model_that_goes_its_own_way(capsys: pytest.CaptureFixture[str]) -> None:
    await tour.visit(ScriptedModel(handler=lambda _: say("No idea.")))
    out = capsys.readouterr().out
    assert out.count("== ") == 7
    assert "None after 3 steps" in out


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """The tested app in a project of its own, without this one's settings."""
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return shutil.copytree(ROOT / "examples/tested_app", tmp_path / "app", ignore=shutil.ignore_patterns("__pycache__"))


def pytest_of(app: Path, *words: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(app), *words]
    return subprocess.run(command, cwd=app, capture_output=True, text=True, check=False).stdout


@pytest.mark.timeout(180)
def test_the_tested_app(app: Path) -> None:
    assert "5 passed" in pytest_of(app)


@pytest.mark.timeout(180)
def test_the_tested_app_once_it_is_broken(app: Path) -> None:
    module = app / "helpdesk.py"
    module.write_text(module.read_text().replace("return ORDERS[number]", 'return ""'))
    assert "1 failed" in pytest_of(app, "-k", "looks_the_order_up")
