"""Replies that break off under an agent: asked for anew, and said so."""

import pytest

from agentinfer import Agent
from agentinfer.errors import RequestRefused, StreamCut
from agentinfer.events import AttemptDiscarded, Event, ModelDelta
from agentinfer.models import RetryPolicy
from agentinfer.testing import LoopbackServer, ScriptedModel, call, cut, fail, http, say

from ._ask import TRANSPORTS, Transport, ask, model_at


def told(events: list[Event]) -> list[tuple[str, int]]:
    """What a listener is told of a reply's text."""
    kept: list[tuple[str, int]] = []
    for event in events:
        if isinstance(event, ModelDelta):
            kept.append((event.text, event.attempt))
        elif isinstance(event, AttemptDiscarded):
            kept.append(("discarded", event.attempt))
    return kept


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_cut_reply_is_asked_for_anew(transport: Transport) -> None:
    events: list[Event] = []
    async with LoopbackServer(say("Hel") + cut(), http(503, "busy"), say("He", "llo") + cut(), say("Hello")) as server:
        model = model_at(server, transport=transport, retry=RetryPolicy(first_delay=0.0))
        result = await Agent(model).run("?", on_event=events.append)
    assert (result.answer, result.stop_reason) == ("Hello", "answered")
    assert told(events) == [("Hel", 1), ("discarded", 1), ("He", 2), ("llo", 2), ("discarded", 2), ("Hello", 3)]
    assert result.usage.calls == 3  # what broke off was paid for all the same
    assert result.usage.estimated_calls == 2
    assert len(result.messages) == 2
    assert len({bytes(body) for body in server.bodies}) == 1


async def test_a_model_called_directly_does_not_restart() -> None:
    with ScriptedModel(say("Hel") + cut()) as model, pytest.raises(StreamCut) as caught:
        await ask(model)
    assert (caught.value.partial, caught.value.attempts) == ("Hel", 1)


async def test_restarts_are_bounded() -> None:
    with ScriptedModel(*[say("Hel") + cut()] * 3) as model:
        result = await Agent(model).run("?")
    assert (result.stop_reason, result.answer) == ("error", None)
    assert isinstance(result.error, StreamCut)
    assert sum(isinstance(event, AttemptDiscarded) for event in result.events) == 2


async def test_no_tool_runs_of_a_reply_that_broke_off() -> None:
    ran: list[str] = []

    def write(text: str) -> str:
        """Write."""
        ran.append(text)
        return "written"

    step = call("write", text="x")
    with ScriptedModel(step + cut(), step, say("Done")) as model:
        result = await Agent(model, tools=[write]).run("?")
    assert (result.answer, ran) == ("Done", ["x"])


async def test_a_refusal_is_not_asked_anew() -> None:
    with ScriptedModel(say("Hel") + fail(RequestRefused("no"))) as model:
        result = await Agent(model).run("?")
    assert isinstance(result.error, RequestRefused)
