"""The check inside every protocol: read out of replies, written back as it was."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentinfer import Message, Model
from agentinfer.collab._protocol import checked
from agentinfer.collab._verdict import judgement_of
from agentinfer.models import ModelRequest
from agentinfer.protocol import RawReply
from agentinfer.tools import ToolSet
from agentinfer.transcript import ToolCall, View
from collab._pair import block, look_up

TOOLS = ToolSet([look_up])
PROTOCOLS = ("native", "json", "tagged")


def model(protocol: Any, *, told: bool = True, reasons: bool = True) -> Model:
    return checked(Model("m", base_url="http://a.test/v1", protocol=protocol), told=told, reasons=reasons)


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(text=st.text(), raw=st.booleans())
def test_whatever_is_read_is_sent_back_byte_for_byte(protocol: str, text: str, raw: bool) -> None:
    text = f"{block(True)}\n{text}" if raw else text
    one = model(protocol).protocol
    reply = one.read(RawReply(text=text), TOOLS, None, "auto")
    message = reply.message
    if message.content and not message.tool_calls and (message.raw or text == message.content):
        assert one.wire(message)["content"] == text


@pytest.mark.parametrize("protocol", PROTOCOLS)
@given(text=st.text(alphabet='={}"<>/_PROGESNDtool_calnswer \n'), choice=st.sampled_from(["auto", "none"]))
def test_reading_never_raises(protocol: str, text: str, choice: Any) -> None:
    one = model(protocol).protocol
    for shown in (text, block(False) + text, text + block(True) + text):
        one.wire(one.read(RawReply(text=shown), TOOLS, None, choice).message)


def test_the_block_is_not_part_of_the_answer() -> None:
    for protocol in ("native", "tagged"):
        one = model(protocol).protocol
        text = f"{block(True)}\nVientiane" if protocol == "native" else f"{block(True)}\n<answer>Vientiane</answer>"
        reply = one.read(RawReply(text=text), TOOLS, None, "auto")
        assert (reply.message.content, reply.problem) == ("Vientiane", None)
        assert one.wire(reply.message)["content"] == text


def test_calls_that_a_native_endpoint_leaves_in_the_text() -> None:
    one = model("native").protocol
    text = f'{block(False)}\nI look.\n<tool_call>{{"name": "look_up", "arguments": {{"query": "x"}}}}</tool_call>'
    message = one.read(RawReply(text=text), TOOLS, None, "auto").message
    assert [call.name for call in message.tool_calls] == ["look_up"]
    wire = one.wire(message)
    assert wire["content"] == f"{block(False)}\nI look."
    assert judgement_of(message).verdict == "no"


def test_a_verdict_in_the_form_of_another_protocol() -> None:
    calls = (ToolCall(id="a", name="look_up", arguments='{"query": "x"}'),)
    native = model("native").protocol.read(RawReply(text=block(False, "why"), tool_calls=calls), TOOLS, None, "auto")
    told = json.loads(model("json").protocol.wire(native.message)["content"])
    assert list(told) == ["thought", "action", "progress", "input"]
    assert told["progress"] == {"reason": "why", "value": "FALSE"}
    short = json.loads(model("json", reasons=False).protocol.wire(native.message)["content"])
    assert short["progress"] == "FALSE"
    assert model("tagged").protocol.wire(native.message)["content"].startswith(block(False, "why"))
    text = json.dumps({"thought": "t", "progress": "TRUE", "action": "look_up", "input": {"query": "x"}})
    structured = model("json").protocol.read(RawReply(text=text), TOOLS, None, "auto").message
    assert "<value>TRUE</value>" in model("native").protocol.wire(structured)["content"]


def test_a_verdict_alone_is_no_answer() -> None:
    message = Message(role="assistant", content="", raw=block(True), protocol="native")
    assert model("json").protocol.wire(message)["content"] == block(True)
    assert model("tagged").protocol.wire(message)["content"] == block(True)


def test_arguments_that_are_no_json_stay_as_they_are() -> None:
    calls = (ToolCall(id="a", name="look_up", arguments="{broken"),)
    message = Message(role="assistant", tool_calls=calls, raw=block(True), protocol="native")
    assert "{broken" in model("json").protocol.wire(message)["content"]


def test_without_tools_there_is_nothing_to_check() -> None:
    for protocol in PROTOCOLS:
        plain = Model("m", base_url="http://a.test/v1", protocol=protocol)  # type: ignore[arg-type]
        one = checked(plain, told=True, reasons=True)
        assert one.codec(ToolSet(), None).preamble == plain.codec(ToolSet(), None).preamble


def test_a_reason_costs_tokens_and_can_be_left_out() -> None:
    for protocol in PROTOCOLS:
        long, short = (model(protocol, reasons=reasons).codec(TOOLS, None).preamble for reasons in (True, False))
        assert "10 to 20 words" in long
        assert "10 to 20 words" not in short


def test_a_checked_model_shares_all_else() -> None:
    plain = Model("m", base_url="http://a.test/v1", protocol="json")
    one = checked(plain, told=True, reasons=True)
    assert (one.backend, one.counter, one._sessions) == (plain.backend, plain.counter, plain._sessions)
    assert checked(one, told=True, reasons=True) is one
    view = View([Message.user("q")])
    keys = {ModelRequest(model=each, view=view, tools=TOOLS).codec.key for each in (plain, one)}
    assert len(keys) == 2, "the check is part of the prompt: a lane of its own"
    assert plain.protocol.name == one.protocol.name
