"""What is sent: profiles, prefixes, and text that no endpoint reads."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from agentinfer import Agent
from agentinfer.errors import UserError
from agentinfer.models import PROFILES, Model, Profile, Sampling
from agentinfer.output import Output
from agentinfer.testing import ScriptedModel, call, raw, say, think
from agentinfer.tools import ToolSet, tool
from agentinfer.transcript import Message, View

from ._ask import ask

PROTOCOLS = ("native", "json", "tagged")


class Tide(BaseModel):
    """A tide."""

    height: float


@tool
def search(query: str) -> str:
    """Search."""
    return f"nothing about {query}"


TOOLS = ToolSet([search])


async def body_of(profile: Profile | str | None = None, *, reply: str = "Hi", **settings: Any) -> dict[str, Any]:
    fields = {name: settings.pop(name) for name in ("view", "tools", "output", "choice", "sampling", "prediction")
              if name in settings}  # fmt: skip
    with ScriptedModel(say(reply), profile=profile, **settings) as model:
        await ask(model, **fields)
    return model.requests[0]


LATE = View([Message.system("one"), Message.user("two"), Message.system("three")])


def roles(body: dict[str, Any]) -> list[str]:
    return [message["role"] for message in body["messages"]]


async def test_system_messages() -> None:
    assert roles(await body_of(view=LATE)) == ["system", "user", "system"]
    assert roles(await body_of("vllm", view=LATE)) == ["system", "user", "user"]
    assert roles(await body_of(Profile(system=False), view=LATE)) == ["user", "user", "user"]


@pytest.mark.parametrize(("choice", "sent"), [("auto", None), ("required", "required"), ("none", "none")])
async def test_tool_choice(choice: str, sent: str | None) -> None:
    assert (await body_of(tools=TOOLS, choice=choice)).get("tool_choice") == sent


async def test_a_tool_choice_that_is_not_understood_is_left_out_and_the_tools_stay() -> None:
    body = await body_of(Profile(tool_choices=frozenset({"auto"})), tools=TOOLS, choice="none")
    assert "tool_choice" not in body
    assert body["tools"][0]["function"]["name"] == "search"


async def test_no_tools_no_tool_fields() -> None:
    body = await body_of(Profile(parallel_tool_calls=False), choice="none")
    assert not body.keys() & {"tools", "tool_choice", "parallel_tool_calls"}
    assert (await body_of(Profile(parallel_tool_calls=False), tools=TOOLS))["parallel_tool_calls"] is False


async def test_the_token_limit() -> None:
    sampling = Sampling(max_tokens=7)
    assert (await body_of(sampling=sampling))["max_tokens"] == 7
    openai = await body_of("openai", sampling=sampling)
    assert openai["max_completion_tokens"] == 7
    assert "max_tokens" not in openai
    assert (await body_of(Profile(default_max_tokens=9)))["max_tokens"] == 9
    assert (await body_of(Profile(default_max_tokens=9), sampling=sampling))["max_tokens"] == 7


async def test_sampling() -> None:
    sampling = Sampling(temperature=0.0, top_p=0.5, seed=1, stop=("\n",), extra={"reasoning_effort": "low"})
    body = await body_of(sampling=sampling)
    assert (body["temperature"], body["top_p"], body["seed"], body["stop"]) == (0.0, 0.5, 1, ["\n"])
    assert body["reasoning_effort"] == "low"
    assert not (await body_of()).keys() & {"temperature", "top_p", "seed", "stop", "max_tokens"}


async def test_a_schema_suppresses_no_tool_calls() -> None:
    output, answer = Output(Tide), '{"height": 1}'
    with_tools = await body_of(tools=TOOLS, output=output, reply=answer)
    assert "response_format" not in with_tools
    for body in (
        await body_of(output=output, reply=answer),
        await body_of("openai", tools=TOOLS, output=output, reply=answer),
        await body_of(tools=TOOLS, output=output, choice="none", reply=answer),
    ):
        assert body["response_format"]["json_schema"]["schema"] == output.schema
    assert "response_format" not in await body_of("deepseek", output=output, reply=answer)


async def test_the_json_protocol_is_held_to_its_schema() -> None:
    body = await body_of(tools=TOOLS, protocol="json")
    assert "tools" not in body
    assert body["response_format"]["type"] == "json_schema"
    assert "search" in body["messages"][0]["content"]


async def test_streaming_fields() -> None:
    assert (await body_of())["stream_options"] == {"include_usage": True}
    assert "stream_options" not in await body_of(Profile(stream_usage=False))
    assert "stream" not in await body_of(Profile(stream=False))
    assert not (await body_of(stream=False)).keys() & {"stream", "stream_options"}


async def test_extra_fields_and_predictions() -> None:
    assert (await body_of("local"))["cache_prompt"] is True
    assert "prediction" not in await body_of(prediction="x")
    assert (await body_of("openai", prediction="x"))["prediction"] == {"type": "content", "content": "x"}
    assert "prediction" not in await body_of("openai", prediction="x", tools=TOOLS)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning", None])
async def test_reasoning_is_sent_back_where_it_is_wanted(field: Any) -> None:
    with ScriptedModel(
        think("hm") + call("search", query="x"), say("Hi"), profile=Profile(echo_reasoning=field)
    ) as model:
        await Agent(model, tools=[search]).run("?")
    assistant = model.requests[1]["messages"][1]
    assert {name: assistant.get(name) for name in ("reasoning_content", "reasoning")} == {
        "reasoning_content": "hm" if field == "reasoning_content" else None,
        "reasoning": "hm" if field == "reasoning" else None,
    }


@pytest.mark.parametrize("kept", [True, False])
async def test_think_tags(kept: bool) -> None:
    with ScriptedModel(say("<think>hm</think>Hi"), profile=Profile(think_tags=kept)) as model:
        completion = await ask(model)
    assert completion.text == ("Hi" if kept else "<think>hm</think>Hi")
    assert completion.message.reasoning == ("hm" if kept else None)


def test_known_endpoints() -> None:
    assert Model("m", base_url="https://api.openai.com/v1").profile is PROFILES["openai"]
    assert Model("m", base_url="https://api.deepseek.com").profile is PROFILES["deepseek"]
    assert Model("m", base_url="https://openai.example/v1").profile is PROFILES["generic"]
    with pytest.raises(UserError, match="no profile"):
        Model("m", base_url="http://h/v1", profile="nonesuch")
    with pytest.raises(UserError, match="no protocol"):
        Model("m", base_url="http://h/v1", protocol="nonesuch")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no transport"):
        Model("m", base_url="http://h/v1", transport="nonesuch")  # type: ignore[arg-type]


def test_a_model_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AGENTINFER_MODEL", "OPENAI_BASE_URL", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UserError, match="AGENTINFER_MODEL"):
        Model.from_env()
    monkeypatch.setenv("AGENTINFER_MODEL", "m")
    assert Model.from_env().endpoint == "https://api.openai.com/v1"
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1/")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-0123456789")
    model = Model.from_env(max_concurrency=1)
    assert (model.name, model.endpoint) == ("m", "http://127.0.0.1:1/v1")
    assert "secret" not in repr(model)


def messages_of(body: bytes) -> bytes:
    """The bytes of a body up to the end of its last message."""
    text = body.decode()
    start = text.index('"messages":[') + len('"messages":')
    _, end = json.JSONDecoder().raw_decode(text, start)
    return text[: end - 1].encode()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("profile", ["generic", "vllm", "openai", "local"])
async def test_every_body_continues_the_one_before(protocol: str, profile: str) -> None:
    steps = [think("hm") + say("é ") + call("search", query=f"潮汐 {number}") for number in range(4)]
    with ScriptedModel(*steps, say("Hi"), protocol=protocol, profile=profile) as model:
        result = await Agent(model, tools=[search], instructions="Be brief.").run("How often?")
    assert result.answer == "Hi"
    assert result.usage.calls == 5
    prefixes = [messages_of(body) for body in model.bodies]
    for shorter, longer in itertools.pairwise(prefixes):
        assert longer.startswith(shorter + b",")
    tails = [body[len(prefix) :] for body, prefix in zip(model.bodies, prefixes, strict=True)]
    assert len(set(tails)) == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_a_models_own_words_are_sent_back_as_they_were(protocol: str) -> None:
    with ScriptedModel(call("search", query="x"), say("Hi"), protocol=protocol) as model:
        await Agent(model, tools=[search]).run("?")
    assistant = next(message for message in model.requests[1]["messages"] if message["role"] == "assistant")
    expected = {
        "json": '{"thought": "", "action": "search", "input": {"query": "x"}}',
        "tagged": '<tool_call>{"name": "search", "arguments": {"query": "x"}}</tool_call>',
        "native": None,
    }
    assert assistant["content"] == expected[protocol]


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_lone_surrogates(protocol: str) -> None:
    @tool
    def echo(text: str) -> str:
        """Echo."""
        return f"{text} \udfff"

    chunk = {"choices": [{"delta": {"content": "a\ud800b"}, "finish_reason": "stop"}]}
    with ScriptedModel(call("echo", text="\ud83d"), raw(chunk), protocol=protocol) as model:
        if protocol != "native":  # the raw text is no reply of these
            model.script._steps = (model.script._steps[0], say("a\ud800b"))
        result = await Agent(model, tools=[echo], instructions="\udc00").run("\ud800?")
        result.raise_for_error()
    assert result.answer == "a\ud800b"
    assert result.usage.calls == 2
    for body in model.bodies:
        json.loads(body.decode())


@given(st.lists(st.text(), min_size=1, max_size=5))
async def test_any_text_is_sent_as_it_is(texts: list[str]) -> None:
    with ScriptedModel(say("Hi")) as model:
        await ask(model, view=View([Message.user(text) for text in texts]))
    assert [message["content"] for message in model.requests[0]["messages"]] == texts
