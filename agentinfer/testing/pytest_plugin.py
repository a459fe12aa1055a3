"""Fixtures for pytest. In a `conftest.py`: `pytest_plugins = ["agentinfer.testing.pytest_plugin"]`."""

from collections.abc import Iterator
from typing import Any, Protocol

import pytest

from agentinfer.testing._model import ScriptedModel
from agentinfer.testing._server import LoopbackServer
from agentinfer.testing._steps import Step

__all__ = ["MakeLoopbackServer", "MakeScriptedModel", "loopback_server", "scripted_model"]


class MakeScriptedModel(Protocol):
    """Makes a `ScriptedModel`; the arguments are its own."""

    def __call__(self, *steps: Step, **settings: Any) -> ScriptedModel:
        """The model."""


class MakeLoopbackServer(Protocol):
    """Makes a `LoopbackServer`, to be entered with `async with`; the arguments are its own."""

    def __call__(self, *steps: Step, **settings: Any) -> LoopbackServer:
        """The server."""


@pytest.fixture
def scripted_model() -> Iterator[MakeScriptedModel]:
    """Makes scripted models; at the test's end each must have been asked for all its steps."""
    made: list[ScriptedModel] = []

    def make(*steps: Step, **settings: Any) -> ScriptedModel:
        made.append(ScriptedModel(*steps, **settings))
        return made[-1]

    yield make
    for model in made:
        model.assert_complete()


@pytest.fixture
def loopback_server() -> Iterator[MakeLoopbackServer]:
    """Makes loopback servers; at the test's end each must have been asked for all its steps."""
    made: list[LoopbackServer] = []

    def make(*steps: Step, **settings: Any) -> LoopbackServer:
        made.append(LoopbackServer(*steps, **settings))
        return made[-1]

    yield make
    for server in made:
        server.assert_complete()
