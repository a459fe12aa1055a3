"""What is found of endpoints that differ in one thing, over real connections, and what follows."""

from collections.abc import Callable
from typing import Any

import pytest

from agentinfer.doctor import Examination, examine
from agentinfer.models import Profile
from agentinfer.testing import LoopbackServer, ScriptedReply, call, cut, finish, no_usage, raw, say, think, usage

from ._endpoints import TOO_LONG, WINDOW, Answer, Body, Capable, refused

Other = Callable[[Body], Answer | None]


async def examined(other: Other = lambda body: None, **settings: Any) -> Examination:
    async with LoopbackServer(handler=Capable(other)) as server:
        return await examine(server.base_url, "loopback", **{"seconds": 20.0, **settings})


def where(condition: Callable[[Body], Any], answer: Answer) -> Other:
    """Answers differently where a condition on the body holds."""
    return lambda body: answer if condition(body) else None


def roles(body: Body) -> list[str]:
    messages = body.get("messages")
    return [message["role"] for message in messages] if isinstance(messages, list) else []


def chosen(body: Body) -> Any:
    return body.get("tool_choice")


async def test_an_endpoint_that_can_do_everything() -> None:
    examination = await examined()

    verdicts = {name: finding.verdict for name, finding in examination.findings.items()}
    cannot = {"prediction", "reasoning", "wrong_key"}
    assert {name for name, verdict in verdicts.items() if verdict != "yes"} == cannot | {"server"}
    assert examination.judgement.profile == Profile(name="found", context_window=WINDOW, json_schema_with_tools=True)
    assert examination.given_up is None
    assert examination.answers


HELD = say('{"action": "wash", "input": {"colour": "ochre"}}')
DRAFTED = {"prompt_tokens": 1, "completion_tokens": 1, "completion_tokens_details": {"accepted_prediction_tokens": 1}}
REPEATED = raw({"choices": [{"message": {"content": "one"}, "finish_reason": "stop"}], "usage": DRAFTED})
REFUSED = refused("not here")
AUTO_AND = {name: frozenset({"auto", name}) for name in ("none", "required")}


@pytest.mark.parametrize(
    ("condition", "answer", "probe", "verdict", "expected"),
    [
        (lambda b: "stream_options" in b, REFUSED, "stream_usage", "no", {"stream_usage": False}),
        (lambda b: b.get("stream"), REFUSED, "stream", "no", {"stream": False}),
        (
            lambda b: b.get("max_tokens") == 6,
            say("1, 2, 3") + usage(5, 80),
            "max_tokens",
            "yes",
            {"max_tokens_field": "max_completion_tokens"},
        ),
        (lambda b: "system" in roles(b), REFUSED, "system", "no", {"system": False}),
        (lambda b: "system" in roles(b)[1:], REFUSED, "late_system", "no", {"late_system": False}),
        (lambda b: "system" in roles(b)[1:], say("What?"), "late_system", "unclear", {"late_system": False}),
        (lambda b: b.get("tools"), say("It is sunny."), "tool_call", "no", {"protocol": "json"}),
        (lambda b: b.get("tools"), REFUSED, "tool_call", "no", {"protocol": "json"}),
        (lambda b: b.get("tools"), call("weather", "broken"), "tool_call", "no", {"protocol": "json"}),
        (lambda b: "tool" in roles(b), REFUSED, "tool_result", "no", {"protocol": "json"}),
        (lambda b: chosen(b) == "none", REFUSED, "choice_none", "no", {"tool_choices": AUTO_AND["required"]}),
        (
            lambda b: chosen(b) == "none",
            say("It is warm.") + usage(200, 5),
            "choice_none",
            "yes",
            {"tool_choices": AUTO_AND["required"]},
        ),
        (lambda b: chosen(b) == "required", say("Hi."), "choice_required", "no", {"tool_choices": AUTO_AND["none"]}),
        (lambda b: chosen(b) == "required", say("Hi") + finish("length"), "choice_required", "unclear", {}),
        (lambda b: "response_format" in b, say("{") + finish("length"), "json_schema", "unclear", {}),
        (lambda b: "response_format" in b, say("I am fine."), "json_schema", "no", {"json_schema": False}),
        (lambda b: "response_format" in b, HELD, "schema_with_tools", "no", {"json_schema_with_tools": False}),
        (lambda b: "capital" in str(b), say("Easy.</think>Paris"), "reasoning", "yes", {"think_opened": True}),
        (lambda b: "prediction" in b, REPEATED, "prediction", "yes", {"prediction": True}),
    ],
)
async def test_a_difference(
    condition: Callable[[Body], Any], answer: Answer, probe: str, verdict: str, expected: dict[str, Any]
) -> None:
    examination = await examined(where(condition, answer))

    assert examination.findings[probe].verdict == verdict, examination.findings[probe]
    profile = examination.judgement.profile
    assert {name: getattr(profile, name) for name in expected} == expected
    changed = {name for name, value in expected.items() if value != getattr(Profile(), name)}
    assert changed <= set(examination.judgement.reasons)


async def test_a_schema_that_only_json_object_takes() -> None:
    def other(body: Body) -> Answer | None:
        form = body.get("response_format", {})
        if body.get("tools"):
            return say("I know nothing of tools.")
        if form.get("type") == "json_schema":
            return refused("type must be text or json_object")
        return say('{"action": "wash", "input": {"colour": "ochre"}}') if "schema" in form else None

    profile = (await examined(other)).judgement.profile

    assert (profile.protocol, profile.json_schema, profile.schema_form) == ("json", True, "json_object")


async def test_neither_tools_nor_schemas() -> None:
    def other(body: Body) -> Answer | None:
        return refused("unknown field") if {"tools", "response_format"} & set(body) else None

    examination = await examined(other)

    assert examination.judgement.profile.protocol == "tagged"
    assert not examination.judgement.profile.json_schema


async def test_calls_that_come_only_whole() -> None:
    def other(body: Body) -> Answer | None:
        return say("Well ...") if body.get("tools") and body.get("stream") else None

    examination = await examined(other)

    assert examination.judgement.profile.protocol == "native"
    assert not examination.judgement.profile.stream
    assert examination.findings["agent"].verdict == "yes"


async def test_content_that_may_not_be_null() -> None:
    def other(body: Body) -> Answer | None:
        messages = body["messages"] if isinstance(body["messages"], list) else []
        return refused("Input should be a valid string", 500) if None in [m["content"] for m in messages] else None

    examination = await examined(other)

    assert examination.findings["tool_result"].words == "taken and used, where no content is null"
    assert examination.judgement.profile.protocol == "native"
    assert examination.judgement.profile.null_content is False
    assert examination.findings["agent"].verdict == "yes"


async def test_several_calls_only_where_they_are_allowed() -> None:
    def other(body: Body) -> Answer | None:
        asked = "Cairo" in str(body) and not body.get("parallel_tool_calls")
        return call("weather", city="Oslo") if asked else None

    assert (await examined(other)).judgement.profile.parallel_tool_calls is True


async def test_the_limit_goes_by_the_field_that_is_taken() -> None:
    def other(body: Body) -> Answer | None:
        if "max_tokens" in body:
            return refused("max_tokens is not supported: use max_completion_tokens")
        return say("1") + usage(5, 6) if body.get("max_completion_tokens") == 6 else None

    assert (await examined(other, longest=0)).judgement.profile.max_tokens_field == "max_completion_tokens"


async def test_no_temperature() -> None:
    examination = await examined(where(lambda b: "temperature" in b, refused("temperature must be 1")))

    assert examination.given_up is None
    assert "temperature 0 is refused" in examination.findings["answer"].words
    assert examination.findings["agent"].verdict == "yes"


@pytest.mark.parametrize("thoughts", [think("Easy.") + say("Paris"), say("<think>Easy.</think>Paris")])
async def test_reasoning(thoughts: ScriptedReply) -> None:
    examination = await examined(where(lambda b: "capital" in str(b) and "/no_think" not in str(b), thoughts))

    assert examination.findings["reasoning"].verdict == "yes"
    assert not examination.judgement.profile.think_opened
    assert examination.judgement.profile.thinking == "qwen"


async def test_no_usage() -> None:
    examination = await examined(where(lambda b: roles(b) == ["user"] and not b.get("tools"), say("1") + no_usage()))

    assert examination.findings["stream_usage"].verdict == "no"
    assert any("estimates" in note for note in examination.judgement.notes)


async def test_a_prompt_that_is_cut_in_silence() -> None:
    def other(body: Body) -> Answer | None:
        if body.get("max_tokens", 0) > WINDOW:
            return say("Hello.")
        return say("?") + usage(2048, 1) if len(str(body)) > 5 * WINDOW else None

    examination = await examined(other)

    assert examination.findings["overlong"].verdict == "no"
    assert examination.judgement.profile.context_window == 2048


async def test_a_stream_that_breaks_off_where_the_prompt_is_too_long() -> None:
    def other(body: Body) -> Answer | None:
        if body.get("max_tokens", 0) > WINDOW or (len(str(body)) > 5 * WINDOW and body.get("stream")):
            return raw() + cut()
        return None

    examination = await examined(other)

    assert examination.findings["overlong"].verdict == "no"
    assert examination.judgement.profile.context_window == WINDOW


async def test_no_prompt_longer_than_it_may_be() -> None:
    async with LoopbackServer(handler=Capable(where(lambda b: TOO_LONG in str(b), say("?")))) as server:
        examination = await examine(server.base_url, "loopback", longest=1000)
    assert examination.findings["overlong"].verdict == "unclear"
    assert max(map(len, server.bodies)) < 8000


async def test_a_bad_request_that_looks_like_a_failure() -> None:
    def other(body: Body) -> Answer | None:
        return refused("TypeError", 500) if isinstance(body["messages"], str) else None

    examination = await examined(other)

    assert examination.findings["bad_request"].verdict == "no"
    assert any("in vain" in note for note in examination.judgement.notes)
