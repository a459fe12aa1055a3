"""Servers that hang, break or send garbage: the examination ends, and shows no secret."""

import json

import pytest

from agentinfer.doctor import Examination, choose_model, examine
from agentinfer.errors import UserError
from agentinfer.testing import HttpAnswer, LoopbackServer, ScriptedReply, cut, end_early, hang, http, raw, reset, say

from ._endpoints import Body, Capable, refused

KEY = "sk-secret-0123456789"


@pytest.mark.parametrize(
    "answer",
    [
        hang(),
        say("Par") + hang(),
        reset(),
        cut(),
        end_early(),
        http(200, "<html>Welcome</html>"),
        http(200, b"\xff\x00\xfe"),
        http(200, []),
        http(500, "no"),
        http(429, "later", headers={"retry-after": "0"}),
        raw("text", 7, None),
        raw({"choices": [{"delta": {"content": {"a": [1]}, "tool_calls": [None, {"function": 3}]}}], "usage": [1]}),
        raw({"choices": {}, "usage": {"prompt_tokens": "many"}}),
        raw({"error": {"message": "\x1b[31mno\r\n"}}),
    ],
)
async def test_it_ends(answer: ScriptedReply | HttpAnswer) -> None:
    async with LoopbackServer(handler=lambda body: answer) as server:
        examination = await examine(server.base_url, "loopback", seconds=0.3)
    assert examination.given_up
    assert not examination.answers
    assert "\x1b" not in str(examination.to_dict())


async def test_it_breaks_off_in_the_middle() -> None:
    def other(body: Body) -> ScriptedReply | None:
        return hang() if body.get("tools") else None

    async with LoopbackServer(handler=Capable(other)) as server:
        examination = await examine(server.base_url, "loopback", seconds=1)
    assert examination.given_up == "3 probes in a row had no answer"
    assert examination.answers
    assert examination.findings["choice_none"].verdict == "unclear"
    assert examination.judgement.profile.protocol == "native", "what was not found out stays as it is"


async def test_one_request_breaks_another_off() -> None:
    def other(body: Body) -> ScriptedReply | None:
        return say("100") + reset() if "100" in str(body) else None

    async with LoopbackServer(handler=Capable(other)) as server:
        examination = await examine(server.base_url, "loopback")
    assert examination.findings["together"].verdict == "no"
    assert examination.judgement.profile.max_concurrency == 1


async def test_nobody_is_there() -> None:
    async with LoopbackServer(handler=Capable()) as server:
        base_url = server.base_url
    examination = await examine(base_url, "loopback", seconds=5)
    assert examination.given_up
    assert examination.findings["answer"].verdict == "unclear"


def shown(examination: Examination) -> str:
    return json.dumps(examination.to_dict()) + repr(examination)


async def test_a_key_that_the_endpoint_repeats_is_not_shown() -> None:
    def other(body: Body) -> HttpAnswer | ScriptedReply | None:
        return refused(f"{KEY} may not use tools") if body.get("tools") else say(f"{48 * 'x'}{KEY}")

    async with LoopbackServer(handler=Capable(other), models=("loopback", KEY), api_key=KEY) as server:
        examination = await examine(server.base_url, "loopback", api_key=KEY)
        assert examination.findings["wrong_key"].verdict == "yes"
    assert KEY[:6] not in shown(examination), "nor its beginning, where the text is cut"
    assert "***" in shown(examination)


async def test_a_password_in_the_address_is_not_shown() -> None:
    async with LoopbackServer(handler=Capable(lambda body: refused("who is hunter22?"))) as server:
        examination = await examine(server.base_url.replace("//", "//me:hunter22@") + "?token=abcdef", "loopback")
        assert server.received[0].path == "/v1/models?token=abcdef"
    assert examination.base_url == server.base_url
    assert "hunter22" not in shown(examination)
    assert "abcdef" not in shown(examination)


async def test_the_only_model_is_chosen() -> None:
    async with LoopbackServer(handler=Capable(), models=("alone",)) as server:
        assert await choose_model(server.base_url) == "alone"
    async with LoopbackServer(handler=Capable(), models=("one", "other\x1b[0m")) as server:
        with pytest.raises(UserError, match="--model: one, other") as caught:
            await choose_model(server.base_url)
        assert "\x1b" not in str(caught.value)
    with pytest.raises(UserError, match="does not list its models"):
        await choose_model(server.base_url, seconds=5)
