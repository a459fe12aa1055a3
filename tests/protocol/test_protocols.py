"""Each protocol reads what it writes, and never raises."""

import json
from typing import Any

import pytest
from _scripted import model, script_of
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import BaseModel

from agentinfer import Agent, Message, Model, ToolCall, ToolSet, View, tool
from agentinfer.output import Output
from agentinfer.protocol import PROTOCOLS, RawReply, ToolChoice

NAMES = sorted(PROTOCOLS)


class Place(BaseModel):
    city: str
    near: "list[Place]" = []


@tool(bounded=True)
async def look(at: int) -> str:
    """Look at something.

    Args:
        at: What.
    """
    return f"seen {at}"


@tool(bounded=True)
async def go(place: Place) -> str:
    """Go."""
    return place.city


TOOLS = ToolSet([look, go])

WRITTEN: dict[str, tuple[Any, Any]] = {
    "native": ({"content": "hm", "tool_calls": [{"function": {"name": "look", "arguments": '{"at":1}'}}]}, "42"),
    "json": (
        '{"thought": "hm",  "action": "look", "input": {"at": 1}}',
        '{"thought": "", "action": "final_answer", "input": {"answer": "42"}}',
    ),
    "tagged": (
        'hm\n<tool_call>{"name":  "look", "arguments": {"at": 1}}</tool_call>',
        "<answer>42</answer>",
    ),
}


def scripted(name: str) -> Model:
    return model(*WRITTEN[name], protocol=name)


@pytest.mark.parametrize("name", NAMES)
async def test_a_run_under_each_protocol(name: str) -> None:
    agent = Agent(scripted(name), tools=[look], instructions="Be brief.")
    result = await agent.run("How many?")
    assert (result.answer, result.steps[0].results[0].content) == ("42", "seen 1")
    assert result.steps[0].message.content == "hm"
    first, second = script_of(agent.model).bodies
    assert ("tools" in first) == (name == "native")
    assert first["messages"][0]["content"].startswith("Be brief.")
    assert second["messages"][: len(first["messages"])] == first["messages"]


@pytest.mark.parametrize("name", ["json", "tagged"])
async def test_what_the_model_wrote_is_sent_back_byte_for_byte(name: str) -> None:
    agent = Agent(scripted(name), tools=[look])
    await agent.run("How many?")
    assert script_of(agent.model).bodies[1]["messages"][2]["content"] == WRITTEN[name][0]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("other", NAMES)
async def test_a_history_written_under_one_protocol_is_readable_under_another(name: str, other: str) -> None:
    history = (await Agent(scripted(other), tools=[look]).run("How many?")).messages
    protocol = PROTOCOLS[name]
    action, answer = (protocol.wire(message) for message in (history[-3], history[-1]))
    calls = tuple(
        ToolCall("", call["function"]["name"], call["function"]["arguments"]) for call in action.get("tool_calls", ())
    )
    read = protocol.read(RawReply(text=action["content"] or "", tool_calls=calls), TOOLS, None, "auto")
    assert [(call.name, json.loads(call.arguments)) for call in read.message.tool_calls] == [("look", {"at": 1})]
    assert protocol.read(RawReply(text=answer["content"]), TOOLS, None, "auto").message.content == "42"
    result = protocol.wire(history[-2])
    assert "seen 1" in result["content"]
    assert result["role"] == ("tool" if name == "native" else "user")


PIECES = [
    "<tool_call>",
    "</tool_call>",
    "<answer>",
    "</answer>",
    "{",
    "}",
    "[",
    "]",
    ": ",
    ",",
    "null",
    "1e999",
    '"',
    "\n",
]
PIECES += ['"thought"', '"action"', '"final_answer"', '"input"', '{"name": "look"', '"arguments"', "\\ud800"]
SCALARS = st.none() | st.booleans() | st.floats() | st.text(max_size=3)
TEXT = st.one_of(
    st.text(),
    st.lists(st.sampled_from(PIECES), max_size=15).map("".join),
    st.recursive(SCALARS, st.lists, max_leaves=5).map(json.dumps),
)


@pytest.mark.parametrize("name", NAMES)
@given(text=TEXT, choice=st.sampled_from(["auto", "required", "none"]), cut=st.booleans(), typed=st.booleans())
@example(text="[" * 100_000, choice="auto", cut=False, typed=False)
@example(text="<tool_call>" + "[" * 100_000, choice="auto", cut=False, typed=False)
@example(text='{"action": "look", "input": {"at": ' + "1" * 5000 + "}}", choice="auto", cut=False, typed=False)
@example(text='<tool_call>{"name": "look", "arguments": ' + "1" * 5000, choice="auto", cut=True, typed=True)
@example(text='{"action": "final_answer", "input": ' + "1" * 5000 + "}", choice="none", cut=False, typed=True)
def test_reading_never_raises_and_always_says_what_to_do(
    name: str, text: str, choice: ToolChoice, cut: bool, typed: bool
) -> None:
    output: Output[Any] | None = Output(Place) if typed else None
    reply = PROTOCOLS[name].read(RawReply(text=text, cut=cut), TOOLS, output, choice)
    assert reply.problem or reply.message.tool_calls or reply.message.content.strip()
    if name != "native":
        assert reply.message.raw == text
    View([Message.user("q"), reply.message]).encoded(model("x").codec(TOOLS, None))


@pytest.mark.parametrize(
    "text",
    [
        '{"thought": "x", "action": "look", "input": {"at": 1}',
        "```json\n{'thought': 'x', 'action': 'look', 'input': {'at': 1}}\n```",
        '{"thought": "x", "action": "look", "input": {"at": 1,},}',
    ],
)
def test_broken_json_is_repaired_where_it_then_has_the_right_shape(text: str) -> None:
    (call,) = PROTOCOLS["json"].read(RawReply(text=text), TOOLS, None, "auto").message.tool_calls
    assert (call.name, call.arguments) == ("look", '{"at": 1}')


@pytest.mark.parametrize("text", ["The answer is 42.", "[1, 2]", '{"action": 3}', '{"action": "look", "input": [1]}'])
def test_json_of_another_shape_is_a_problem(text: str) -> None:
    reply = PROTOCOLS["json"].read(RawReply(text=text), TOOLS, None, "auto")
    assert reply.problem
    assert reply.message.content == text


@pytest.mark.parametrize("given", ["null", "{}", '""', '{"answer": ""}', '{"answer": null}'])
def test_an_answer_of_nothing_is_empty(given: str) -> None:
    text = f'{{"action": "final_answer", "input": {given}}}'
    assert PROTOCOLS["json"].read(RawReply(text=text), TOOLS, None, "auto").problem == "Your answer was empty."


def test_calls_left_in_the_text_of_a_native_reply_are_found() -> None:
    text = 'I look.<tool_call>{"name": "look", "arguments": {"at": 1}}</tool_call>'
    reply = PROTOCOLS["native"].read(RawReply(text=text), TOOLS, None, "auto")
    assert reply.message.content == "I look."
    assert [call.name for call in reply.message.tool_calls] == ["look"]


def test_several_tagged_calls() -> None:
    text = '<tool_call>{"name": "look", "arguments": {"at": 1}}<tool_call>{"name": "look", "parameters": {"at": 2}}'
    calls = PROTOCOLS["tagged"].read(RawReply(text=text), TOOLS, None, "auto").message.tool_calls
    assert [call.arguments for call in calls] == ['{"at": 1}', '{"at": 2}']


def references(schema: Any) -> list[str]:
    if isinstance(schema, list):
        return [name for item in schema for name in references(item)]
    if not isinstance(schema, dict):
        return []
    own = [schema["$ref"]] if isinstance(schema.get("$ref"), str) else []
    return own + [name for value in schema.values() for name in references(value)]


@pytest.mark.parametrize("output", [None, Output(Place)])
@pytest.mark.parametrize("choice", ["auto", "required", "none"])
def test_the_schema_of_a_step_is_whole(output: Output[Any] | None, choice: ToolChoice) -> None:
    schema: Any = PROTOCOLS["json"].wishes(TOOLS, output, choice).schema
    assert all(name.removeprefix("#/$defs/") in schema["$defs"] for name in references(schema))
    assert "$defs" not in json.dumps(schema.get("anyOf", schema.get("properties"))).replace("#/$defs", "")
    actions = [variant["properties"]["action"]["const"] for variant in schema.get("anyOf", [schema])]
    expected = {"auto": ["look", "go", "final_answer"], "required": ["look", "go"], "none": ["final_answer"]}
    assert actions == expected[choice]


@pytest.mark.parametrize("name", ["json", "tagged"])
def test_tools_are_told_in_the_preamble(name: str) -> None:
    preamble = PROTOCOLS[name].preamble(TOOLS, None)
    assert "look(at: integer): Look at something." in preamble
    assert "at: What." in preamble
    assert "city" in preamble


@pytest.mark.parametrize("name", NAMES)
def test_tools_stay_in_a_request_that_may_not_call_them(name: str) -> None:
    protocol = PROTOCOLS[name]
    assert protocol.wishes(TOOLS, None, "none").tools == protocol.wishes(TOOLS, None, "auto").tools


NOTES = Message(role="assistant", content='My notes:\n- "a"', trust="data", stands_for=(2, 5))


def test_notes_are_a_thought_and_no_answer() -> None:
    assert PROTOCOLS["native"].wire(NOTES) == {"role": "assistant", "content": NOTES.content}
    assert PROTOCOLS["tagged"].wire(NOTES) == {"role": "assistant", "content": NOTES.content}
    written = PROTOCOLS["json"].wire(NOTES)
    assert json.loads(written["content"]) == {"thought": NOTES.content}


def test_what_stands_for_a_result_asks_for_nothing() -> None:
    short = Message(role="tool", content="(put away)", tool_call_id="call_1", name="look", stands_for=(3, 4))
    assert PROTOCOLS["json"].wire(short)["content"] == "Result of look:\n(put away)"
