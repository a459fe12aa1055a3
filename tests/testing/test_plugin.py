"""The fixtures, and what importing does not bring."""

import subprocess
import sys
from pathlib import Path

import agentinfer.testing
from agentinfer import Agent
from agentinfer.testing import say
from agentinfer.testing.pytest_plugin import MakeLoopbackServer, MakeScriptedModel, loopback_server, scripted_model

__all__ = ["loopback_server", "scripted_model"]


async def test_a_scripted_model(scripted_model: MakeScriptedModel) -> None:
    assert (await Agent(scripted_model(say("Hi"))).run("?")).answer == "Hi"


async def test_a_loopback_server(loopback_server: MakeLoopbackServer) -> None:
    from agentinfer.models import Model

    async with loopback_server(say("Hi")) as server:
        assert (await Agent(Model("m", base_url=server.base_url)).run("?")).answer == "Hi"


def test_unread_steps_fail_a_test(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text('pytest_plugins = ["agentinfer.testing.pytest_plugin"]\n')
    (tmp_path / "test_it.py").write_text(
        "from agentinfer.testing import say\ndef test_it(scripted_model): scripted_model(say('Hi'))\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_it.py"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert "StepsUnread" in done.stdout


def test_importing_brings_no_test_framework() -> None:
    code = "import agentinfer.testing, sys; print({'pytest', 'respx', 'openai'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_names_are_sorted() -> None:
    names = agentinfer.testing.__all__
    classes, functions = [n for n in names if n[0].isupper()], [n for n in names if n[0].islower()]
    assert names == sorted(classes) + sorted(functions)
    assert all(hasattr(agentinfer.testing, name) for name in names)
