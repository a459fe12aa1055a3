"""Models that fail, and those that stand in for them."""

import asyncio
from typing import Any

import pytest

from agentinfer import Agent, Limits, LocalModelError, Model
from agentinfer.collab import ModelFellOver
from agentinfer.collab._tiers import Outage, nearest, outage_of
from agentinfer.errors import (
    AuthenticationFailed,
    BudgetSpent,
    ConnectionFailed,
    ContextTooLong,
    InvalidResponse,
    ModelError,
    RateLimited,
    RequestRefused,
    ServerFailed,
    UnknownModel,
    UserError,
)
from agentinfer.events import AttemptDiscarded
from agentinfer.models import RetryPolicy
from agentinfer.testing import LoopbackServer, ScriptedModel, call, cut, fail, http, say
from agentinfer.usage import Pricing
from collab._pair import collab, large, look, look_up, small, switches, troubles, who

ONCE = RetryPolicy(attempts=1)


def falls(result: Any) -> list[tuple[str, str, str]]:
    return [(e.model, e.to, e.cause) for e in result.events if isinstance(e, ModelFellOver)]


def agent(one: Model, little: Model, **settings: Any) -> Agent:
    plugin = collab(little, **settings.pop("collab", {}))
    return Agent(one, tools=[look_up], instructions="Answer.", plugins=[plugin], **settings)


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ConnectionFailed("gone"), "down"),
        (ServerFailed("boom"), "down"),
        (InvalidResponse("html"), "down"),
        (RateLimited("slowly"), "rate_limited"),
        (ContextTooLong("long"), "context_too_small"),
        (RequestRefused("no"), "refused"),
        (AuthenticationFailed("who"), "unusable"),
        (UnknownModel("what"), "unusable"),
        (LocalModelError("cannot start"), "unusable"),
    ],
)
async def test_the_other_model_makes_the_step(error: Exception, cause: str) -> None:
    with (
        large(look(1, True), look(2, True), say("done")) as big,
        small(fail(error), retry=ONCE) as little,
    ):
        result = await agent(big, little).run("q")
    assert (result.answer, result.error) == ("done", None)
    assert falls(result) == [("small", "large", cause)]
    assert who(result) == ["large", "large", "large"], "the step is told of under the model that made it"
    assert not troubles(result)


async def test_the_large_model_may_fail_too() -> None:
    with (
        large(fail(ServerFailed("boom")), retry=ONCE) as big,
        small(look(1, True), look(2, True), say("done")) as little,
    ):
        result = await agent(big, little).run("q")
    assert who(result) == ["small"] * 3
    assert falls(result) == [("large", "small", "down")]


async def test_a_model_that_was_down_is_tried_again() -> None:
    with (
        large(look(0, True), *[look(n, True) for n in (1, 2, 3)]) as big,
        small(fail(ServerFailed("boom")), look(7, True), say("done"), retry=ONCE) as little,
    ):
        result = await agent(big, little, collab={"policy": {"warmup": 1}}).run("q")
    assert who(result) == ["large", "large", "large", "large", "small", "small"]
    assert falls(result) == [("small", "large", "down")], "told once"
    assert switches(result) == [("small", "warmed_up"), ("small", "recovered")]


async def test_nobody_is_left() -> None:
    with large(fail(ServerFailed("one")), retry=ONCE) as big, small(fail(ServerFailed("two")), retry=ONCE) as little:
        result = await agent(big, little).run("q")
    assert result.stop_reason == "error"
    assert str(result.error) == "two"


async def test_a_reply_that_broke_off_is_discarded() -> None:
    with (
        large(look(1, True), say("done")) as big,
        small(say("half a th") + cut(), retry=RetryPolicy(attempts=1, restarts=0)) as little,
    ):
        events: list[Any] = []
        result = await agent(big, little, collab={"policy": {"warmup": 1}}).run("q", on_event=events.append)
    assert result.answer == "done"
    assert [event for event in events if isinstance(event, AttemptDiscarded)]


async def test_a_window_that_is_too_small_is_not_even_asked() -> None:
    with (
        large(look(1, True), look(2, True), say("done")) as big,
        small(context_window=300) as little,
    ):
        result = await agent(big, little).run("a long question " * 40)
    assert falls(result) == [("small", "large", "context_too_small")]
    assert who(result) == ["large"] * 3
    assert little.requests == []


async def test_without_a_price_there_is_no_small_model_under_a_limit_on_cost() -> None:
    with (
        large(look(1, True), look(2, True), say("done"), pricing=Pricing(input=1.0, output=1.0)) as big,
        small() as little,
    ):
        result = await agent(big, little, limits=Limits(cost=10.0)).run("q")
    assert (result.answer, falls(result)) == ("done", [("small", "large", "unusable")])


async def test_the_run_s_own_limits_are_nobody_s_failure() -> None:
    with large(look(1, True), say("short")) as big, small() as little:
        result = await agent(big, little, limits=Limits(tokens=1500)).run("q")
    assert result.stop_reason == "tokens"
    assert falls(result) == []


async def test_two_servers() -> None:
    async with (
        LoopbackServer(look(1, True), look(2, True), look(5, True), say("17 kilograms")) as one,
        LoopbackServer(look(3, False), http(503, "overloaded")) as other,
        Model("large", base_url=one.base_url) as big,
        Model("small", base_url=other.base_url, retry=ONCE) as little,
    ):
        result = await agent(big, little).run("q")
        assert result.answer == "17 kilograms"
        assert who(result) == ["large", "large", "small", "large", "large"]
        assert falls(result) == [("small", "large", "down")]
        for server in (one, other):
            for before, after in zip(server.requests, server.requests[1:], strict=False):
                assert after["messages"][: len(before["messages"])] == before["messages"]
        assert not troubles(result)


async def test_a_server_that_is_not_there() -> None:
    async with LoopbackServer() as gone:
        address = gone.base_url
    async with LoopbackServer(look(1, True), look(2, True), say("done")) as one:
        result = await agent(Model("large", base_url=one.base_url), Model("small", base_url=address, retry=ONCE)).run(
            "q"
        )
    assert (result.answer, falls(result)) == ("done", [("small", "large", "down")])


async def test_models_are_opened_when_they_are_needed_and_closed_with_the_run() -> None:
    class Closed(ScriptedModel):
        opened = 0
        most = 0

        async def __aenter__(self) -> Any:
            type(self).opened += 1
            type(self).most = max(self.most, self.opened)
            return await super().__aenter__()

        async def __aexit__(self, *details: object) -> None:
            type(self).opened -= 1
            await super().__aexit__(None, None, None)

    little = Closed(look(3, True), say("done"), name="small")
    with large(look(1, True), look(2, True)) as big:
        await agent(big, little).run("q")
    assert (Closed.opened, Closed.most) == (0, 2)
    Closed.most = 0
    with large(say("at once")) as big:
        await agent(big, Closed(name="small")).run("q")
    assert Closed.most == 0


async def test_cancelling_while_the_small_model_is_asked() -> None:
    asked = asyncio.Event()

    def hold(body: dict[str, Any]) -> Any:
        from agentinfer.testing import hang

        asked.set()
        return hang()

    with large(look(1, True), look(2, True)) as big, small(hold) as little:
        task = asyncio.create_task(agent(big, little).run("q"))
        await asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert little.abandoned == 1


async def test_the_time_of_a_run_is_not_a_failure_of_its_model() -> None:
    def hold(body: dict[str, Any]) -> Any:
        from agentinfer.testing import hang

        return hang() if "Give your final answer" not in str(body) else say("in time")

    with large(look(1, True), look(2, True)) as big, small(hold, hold) as little:
        result = await agent(big, little, limits=Limits(seconds=0.5, answer_seconds=0.2)).run("q")
    assert (result.answer, result.stop_reason) == ("in time", "seconds")
    assert falls(result) == []


async def test_calls_that_fail_are_no_news() -> None:
    with large(look(1, True), look(2, True), look(6, True)) as big, small(call("nope"), say("x")) as little:
        result = await agent(big, little, collab={"check": "reply", "vetoes": {"tool_errors": 1}}).run("q")
    assert who(result) == ["large", "large", "small", "large", "small"]


def test_what_an_error_means() -> None:
    assert outage_of(BudgetSpent("x"), 1, 10) is None
    assert outage_of(UserError("x"), 1, 10) is None
    down = outage_of(ModelError("x"), 4, 10)
    assert down is not None
    assert [down.holds(step, 10) for step in (5, 6, 7)] == [True, True, False]
    long = outage_of(ContextTooLong("x"), 4, 1000)
    assert long is not None
    assert [long.holds(99, tokens) for tokens in (999, 1000, 2000)] == [False, True, True]
    assert Outage(cause="unusable", error="x").holds(10**6, 0)


def test_who_stands_in() -> None:
    assert nearest(1, [0, 2], {0: 10, 2: 500}) == 0, "as near, and warm"
    assert nearest(1, [0, 2], {0: 10, 2: 10}) == 2, "all else equal, the stronger"
    assert nearest(2, [0, 1], {0: 0, 1: 900}) == 1
    assert nearest(0, [], {}) is None
