"""Questions and agents for tests of the runner."""

from collections.abc import Callable
from typing import Any

from agentinfer import Agent, Model
from agentinfer.evals import Question
from agentinfer.testing import ScriptedModel, ScriptedReply, say

QUESTIONS = [Question(id=f"q{n}", question=f"What is {n}?", answers=(str(n),)) for n in range(6)]


def asked(body: dict[str, Any]) -> str:
    """The number that a request asks for."""
    question = next(m["content"] for m in body["messages"] if m["role"] == "user")
    return str(question).rpartition(" ")[2].rstrip("?")


def right(body: dict[str, Any]) -> ScriptedReply:
    return say(f"The {asked(body)}.")


def model_of(handler: Callable[[dict[str, Any]], Any] = right, **settings: Any) -> ScriptedModel:
    return ScriptedModel(handler=handler, **settings)


def maker(model: Model, **settings: Any) -> Callable[[], Agent]:
    return lambda: Agent(model, **settings)
