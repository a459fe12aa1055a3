"""What a profile changes of a request, and of how its reply is read."""

import asyncio

import pytest
from pydantic import BaseModel

from agentinfer.models import Profile
from agentinfer.output import Output
from agentinfer.testing import LoopbackServer, finish, say, wait_for
from agentinfer.transcript import Message, ToolCall, View

from ._ask import ask, model_at


class Sum(BaseModel):
    total: int


@pytest.mark.parametrize("form", ["json_schema", "json_object"])
async def test_the_form_of_a_schema(form: str) -> None:
    async with LoopbackServer(say('{"total": 5}')) as server:
        profile = Profile(schema_form=form)  # type: ignore[arg-type]
        output = Output(Sum)
        await ask(model_at(server, profile=profile), output=output)
    sent = server.requests[0]["response_format"]
    assert sent["type"] == form
    assert (sent if form == "json_object" else sent["json_schema"])["schema"] == dict(output.schema)


@pytest.mark.parametrize(
    ("text", "opened", "expected"),
    [
        ("7 times 13.</think>\nNo.", True, ("No.", "7 times 13.")),
        ("<think>7 times 13.</think>No.", True, ("No.", "7 times 13.")),
        ("No.", True, ("No.", None)),
        ("The tag </think> ends it.", False, ("The tag </think> ends it.", None)),
    ],
)
async def test_reasoning_that_the_endpoint_opens(text: str, opened: bool, expected: tuple[str, str | None]) -> None:
    async with LoopbackServer(say(text)) as server:
        completion = await ask(model_at(server, profile=Profile(think_opened=opened)))
    assert (completion.text, completion.message.reasoning) == expected


async def test_reasoning_that_is_cut_is_no_answer() -> None:
    async with LoopbackServer(say("7 times") + finish("length")) as server:
        completion = await ask(model_at(server, profile=Profile(think_opened=True)))
    assert completion.reply.problem


@pytest.mark.parametrize(("allowed", "content"), [(True, None), (False, "")])
async def test_the_content_of_a_message_that_only_calls(allowed: bool, content: str | None) -> None:
    called = ToolCall(id="c1", name="look_up", arguments="{}")
    view = View([Message.user("?"), Message.assistant(tool_calls=[called]), Message.tool(called, "It is 5.")])
    async with LoopbackServer(say("5")) as server:
        await ask(model_at(server, profile=Profile(null_content=allowed)), view=view)
    assert server.requests[0]["messages"][1]["content"] == content


async def test_calls_at_once() -> None:
    hold = asyncio.Event()
    async with (
        LoopbackServer(wait_for(hold) + say("1"), say("2")) as server,
        model_at(server, profile=Profile(max_concurrency=1)) as model,
        asyncio.TaskGroup() as tasks,
    ):
        tasks.create_task(ask(model))
        await server.until(lambda: server.answering == 1)
        tasks.create_task(ask(model))
        await asyncio.sleep(0)
        assert len(server.requests) == 1
        hold.set()
    assert server.connections == 1
