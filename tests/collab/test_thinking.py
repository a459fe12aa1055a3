"""Fast and slow thinking: a parameter or a suffix, never an edit of the prefix."""

from typing import Any

import pytest

from agentinfer import Agent, Sampling, UserError
from agentinfer.collab import PolicyState
from agentinfer.collab._thinking import mode_of, sampling_for, switch_for, thinking_of
from agentinfer.config import ModelConfig
from agentinfer.events import PrefixBreak
from agentinfer.models import THINKING, Profile, ThinkSwitch
from agentinfer.testing import ScriptedModel, say
from collab._pair import collab, large, look, look_up, small, tiers, troubles, who

EASY = PolicyState(phase="execute", tier=0, steps=3)


def suffixes(model: ScriptedModel) -> list[str]:
    """What the last request's messages of the user say on thinking."""
    return [m["content"] for m in model.requests[-1]["messages"] if "think" in str(m["content"])[:12]]


@pytest.mark.parametrize(
    ("way", "fast", "slow"),
    [
        ("enable_thinking", {"enable_thinking": False}, {"enable_thinking": True}),
        ("reasoning_effort", "low", "high"),
    ],
)
async def test_a_parameter(way: str, fast: Any, slow: Any) -> None:
    field = "chat_template_kwargs" if way == "enable_thinking" else way
    with (
        large(look(1, True), look(2, True), look(5, True)) as big,
        small(look(3, False), look(4, False), say("x"), profile=Profile(thinking=way)) as little,
    ):
        result = await Agent(big, tools=[look_up], instructions="A.", plugins=[collab(little)]).run("q")
    assert tiers(result) == ["large", "large", "small", "small-slow", "large", "small"]
    assert [body[field] for body in little.requests] == [fast, slow, fast]
    assert all(field not in body for body in big.requests)
    assert not [event for event in result.events if isinstance(event, PrefixBreak)]
    assert not troubles(result)


async def test_a_suffix_that_lasts_is_given_where_the_mode_changes_and_stays() -> None:
    with (
        large(look(1, True), look(6, True), profile=Profile(thinking="qwen")) as big,
        small(
            look(2, True), look(3, True), look(4, False), look(5, False), say("x"), profile=Profile(thinking="qwen")
        ) as little,
    ):
        plugin = collab(little, policy={"warmup": 1})
        result = await Agent(big, tools=[look_up], instructions="A.", plugins=[plugin]).run("q")
    assert tiers(result) == ["large", "small", "small", "small", "small-slow", "large", "small"]
    # To the small model before its first step, to think slowly, and fast again; the large one needs no other word.
    assert suffixes(little) == ["/no_think", "/think", "/no_think"]
    assert suffixes(big) == ["/no_think", "/think"]
    for model in (big, little):
        for one, other in zip(model.requests, model.requests[1:], strict=False):
            assert other["messages"][: len(one["messages"])] == one["messages"]
    assert not [event for event in result.events if isinstance(event, PrefixBreak)]


async def test_a_suffix_that_holds_for_one_turn_is_given_every_turn() -> None:
    with (
        large(look(1, True)) as big,
        small(look(2, True), look(3, True), say("x"), profile=Profile(thinking="pangu")) as little,
    ):
        plugin = collab(little, policy={"warmup": 1})
        await Agent(big, tools=[look_up], instructions="A.", plugins=[plugin]).run("q")
    assert suffixes(little) == ["/no_think"] * 3


async def test_the_rung_can_be_switched_off() -> None:
    with (
        large(look(1, True), look(2, True), look(5, True)) as big,
        small(look(3, False), say("x"), profile=Profile(thinking="qwen")) as little,
    ):
        plugin = collab(little, thinking="off")
        result = await Agent(big, tools=[look_up], plugins=[plugin]).run("q")
    assert who(result) == ["large", "large", "small", "large", "small"]
    assert suffixes(little) == []


async def test_of_its_own_accord_a_model_thinks_slowly_where_it_is_hard() -> None:
    effort = Profile(thinking="reasoning_effort")
    with (
        large(look(1, True), look(5, True), profile=effort) as big,
        small(look(3, True), look(3, True), look(6, True), look(7, True), say("x"), profile=effort) as little,
    ):
        plugin = collab(little, thinking="auto", policy={"warmup": 1})
        await Agent(big, tools=[look_up], plugins=[plugin]).run("q")
    assert [body["reasoning_effort"] for body in big.requests] == ["high", "high"]
    # After help, slowly until it has made progress by itself.
    assert [body["reasoning_effort"] for body in little.requests] == ["low", "low", "high", "low", "low"]


async def test_who_stands_in_thinks_as_its_own_tier_says() -> None:
    from agentinfer.errors import ServerFailed
    from agentinfer.models import RetryPolicy
    from agentinfer.testing import fail

    effort = Profile(thinking="reasoning_effort")
    with (
        large(fail(ServerFailed("x")), profile=effort, retry=RetryPolicy(attempts=1)) as big,
        small(say("x"), profile=effort) as little,
    ):
        levels = [{"model": "small", "think": "fast"}, {"model": "large", "think": "slow"}]
        await Agent(big, tools=[look_up], plugins=[collab(little, tiers=levels)]).run("q")
    assert big.requests[0]["reasoning_effort"] == "high"
    assert little.requests[0]["reasoning_effort"] == "low"


@pytest.mark.parametrize(
    ("state", "stale", "errors", "mode"),
    [
        (EASY, 0, 0, "fast"),
        (EASY, 1, 0, "slow"),
        (EASY, 0, 1, "slow"),
        (PolicyState(phase="warmup", tier=1), 0, 0, "slow"),
        (PolicyState(phase="execute", tier=0), 0, 0, "slow"),
        (PolicyState(phase="escalated", tier=1, steps=5), 0, 0, "slow"),
        (PolicyState(phase="execute", tier=0, steps=5, failures=1), 0, 0, "slow"),
        (PolicyState(phase="execute", tier=0, steps=5, missing=1), 0, 0, "slow"),
    ],
)
def test_what_is_hard(state: PolicyState, stale: int, errors: int, mode: str) -> None:
    assert mode_of("auto", state, stale=stale, errors=errors) == mode
    assert mode_of("adaptive", state, stale=stale, errors=errors) == "adaptive"
    assert mode_of(None, state, stale=stale, errors=errors) is None


def test_switches() -> None:
    qwen, pangu = THINKING["qwen"], THINKING["pangu"]
    assert switch_for(None, "fast", "") == ThinkSwitch()
    assert switch_for(qwen, "adaptive", "") == ThinkSwitch(), "a mode it does not have"
    assert switch_for(qwen, None, "") == ThinkSwitch()
    assert switch_for(qwen, None, "/no_think").suffix == "/think", "what another tier was told does not hold"
    assert switch_for(pangu, "adaptive", "").suffix == "/auto_think"
    assert switch_for(pangu, "slow", "").suffix == ""


def test_fields_of_a_request_are_put_together() -> None:
    own = Sampling(extra={"chat_template_kwargs": {"tools_in_user_message": False}, "x": 1})
    little = small(sampling=own)
    switch = THINKING["enable_thinking"].switch("fast")
    assert switch is not None
    made = sampling_for(None, large(), little, switch.body)
    assert made is not None
    assert made.extra == {"chat_template_kwargs": {"tools_in_user_message": False, "enable_thinking": False}, "x": 1}
    asked = Sampling(temperature=0.3)
    assert sampling_for(asked, large(), little, {}) is asked, "what the agent was told holds for every model"


def test_a_way_that_is_not_known() -> None:
    with pytest.raises(UserError, match="no way of thinking 'loudly'"):
        thinking_of(small(profile=Profile(thinking="loudly")))
    with pytest.raises(ValueError, match="no way of thinking 'loudly'"):
        ModelConfig(name="m", base_url="http://a.test/v1", thinking="loudly")


def test_a_configuration_says_how() -> None:
    model = ModelConfig(name="m", base_url="http://a.test/v1", profile="vllm", thinking="enable_thinking").build()
    assert (model.profile.name, model.profile.thinking) == ("vllm", "enable_thinking")
