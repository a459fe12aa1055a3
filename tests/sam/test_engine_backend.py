"""The engine as a local model, on a model that is a function."""

import asyncio
import json
import threading
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from agentinfer import Agent, Model, Sampling
from agentinfer.errors import ContextTooLong, LocalModelError, RequestRefused, ServerFailed, UserError
from agentinfer.models import END as WHOLE
from agentinfer.models import ModelRequest, RetryPolicy, Timeouts
from agentinfer.sam import CostTable, Sam
from agentinfer.sam.engine import EngineBackend, _worker, local_model
from agentinfer.sam.engine._costs import read_costs, write_costs
from agentinfer.sam.engine._request import parse_request
from agentinfer.transcript import Message, View

from ._fake_llama import FakeChooser, FakeLlama, FakeTemplate, gguf, replying

CHEAP = CostTable(costs={1: 1.0, 32: 1.0})
REPORT = "North sold 120 units, South sold 80 units, West sold 44 units. "


class Fakes:
    """What the worker makes instead of real models."""

    def __init__(self) -> None:
        self.reply = "Hello."
        self.made: list[FakeLlama] = []
        self.gate: threading.Semaphore | None = None
        self.context = 4000

    def llama(self, path: Path, **settings: Any) -> FakeLlama:
        made = FakeLlama(replying(lambda prompt: self.reply), context=settings["context"])
        made.gate = self.gate
        self.made.append(made)
        return made


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Fakes:
    fakes = Fakes()
    monkeypatch.setattr(_worker, "Llama", fakes.llama)
    monkeypatch.setattr(_worker, "ChatTemplate", FakeTemplate)
    monkeypatch.setattr(_worker, "Chooser", FakeChooser)
    monkeypatch.setattr(_worker, "grammar_of", str)
    return fakes


@pytest.fixture
def model(fakes: Fakes, tmp_path: Path) -> Model:
    return local_model(gguf(tmp_path), costs=[CHEAP], context=4000, protocol="tagged")


def request_of(model: Model, text: str, **fields: Any) -> ModelRequest:
    return ModelRequest(model=model, view=View([Message.user(text)]), **fields)


async def test_a_reply_is_streamed_and_accounted_for(model: Model, fakes: Fakes) -> None:
    fakes.reply = REPORT * 6
    deltas: list[str] = []
    async with model:
        first = await model.complete(request_of(model, "Report."), on_delta=lambda delta: deltas.append(delta.text))
        second = await model.complete(request_of(model, "Report."))

    assert first.text == second.text == REPORT * 6
    assert "".join(deltas) == REPORT * 6
    assert first.finish_reason == "stop"
    assert first.usage.completion_tokens == len(REPORT) * 6 + 1
    assert first.usage.cached_tokens == 0
    assert second.usage.cached_tokens == second.usage.prompt_tokens - 1
    accepted = second.usage.accepted_prediction_tokens
    assert accepted is not None
    assert accepted > (first.usage.accepted_prediction_tokens or 0) > 100, (
        "it drafts from this reply, then from the last"
    )
    assert second.usage.rejected_prediction_tokens is not None
    assert fakes.made[0].closed


async def test_an_agent_runs_on_it_with_sam(fakes: Fakes, tmp_path: Path) -> None:
    model = local_model(gguf(tmp_path), costs=[CHEAP], context=4000)
    fakes.reply = json.dumps({"thought": "Easy.", "action": "final_answer", "input": {"answer": "5"}})
    async with Agent(model, plugins=[Sam(tokenizer="bytes")]) as agent:
        first = await agent.run("What is 2 + 3?", session="sums")
        second = await agent.run("And 3 + 2?", session="sums")

    assert (first.answer, second.answer) == ("5", "5")
    assert second.usage.cached_tokens
    assert second.usage.accepted_prediction_tokens


async def test_limits_and_stops(model: Model, fakes: Fakes) -> None:
    fakes.reply = REPORT
    async with model:
        cut = await model.complete(request_of(model, "a", sampling=Sampling(max_tokens=5)))
        stopped = await model.complete(request_of(model, "b", sampling=Sampling(stop=("South",))))

    assert (cut.finish_reason, cut.usage.completion_tokens) == ("length", 5)
    assert cut.text == REPORT[:5]
    assert (stopped.finish_reason, stopped.text) == ("stop", REPORT[: REPORT.index("South")])


async def test_a_prompt_that_does_not_fit(model: Model, fakes: Fakes) -> None:
    async with model:
        with pytest.raises(ContextTooLong, match="4,000"):
            await model.complete(request_of(model, "x" * 5000))
        assert (await model.complete(request_of(model, "Hi"))).text == "Hello."


async def test_leaving_a_stream_stops_the_engine(fakes: Fakes, tmp_path: Path) -> None:
    fakes.gate = threading.Semaphore(0)
    fakes.reply = "word " * 500
    backend = EngineBackend(gguf(tmp_path), context=4000, drafting=False)
    body = json.dumps({"messages": [{"role": "user", "content": "Hi"}]}).encode()
    async with backend.open(Timeouts()) as connection:
        fakes.gate.release(5)
        chunks = connection.chunks(body, stream=True)
        assert (await anext(chunks))["choices"][0]["delta"]["content"] == "w"
        waiting = asyncio.create_task(anext(connection.chunks(body, stream=True)))
        await asyncio.sleep(0)
        await chunks.aclose()
        fakes.gate.release(20)
        assert (await waiting)["choices"][0]["delta"]["content"] == "w", "the next call has its turn"
        assert fakes.made[0].passes == [1] * len(fakes.made[0].passes)
        assert len(fakes.made[0].passes) < 30
        fakes.gate.release(1000)


async def test_calls_take_turns_and_those_given_up_are_left_out(fakes: Fakes, tmp_path: Path) -> None:
    fakes.gate = threading.Semaphore(0)
    body = json.dumps({"messages": [{"role": "user", "content": "Hi"}]}).encode()
    async with EngineBackend(gguf(tmp_path), drafting=False).open(Timeouts()) as connection:

        async def asked() -> str:
            async with aclosing(connection.chunks(body, stream=False)) as chunks:
                return str((await anext(chunks))["choices"][0]["message"]["content"])

        calls = [asyncio.create_task(asked()) for _ in "abc"]
        await asyncio.sleep(0)  # all three are in the queue
        calls[1].cancel()
        await asyncio.wait([calls[1]])
        fakes.gate.release(1000)
        done = await asyncio.gather(*calls, return_exceptions=True)

    assert done[0] == done[2] == "Hello."
    assert isinstance(done[1], asyncio.CancelledError)
    assert len(fakes.made[0].passes) == 2 * len("Hello.!")


@pytest.mark.parametrize("error", [LocalModelError("out of memory"), ZeroDivisionError("in a template")])
async def test_a_failed_pass_fails_the_call_only(
    fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    model = local_model(gguf(tmp_path), costs=[CHEAP], protocol="tagged", retry=RetryPolicy(attempts=1))
    async with model:
        with monkeypatch.context() as patch:
            patch.setattr(FakeLlama, "decode", fail)
            with pytest.raises(ServerFailed, match=str(error)):
                await model.complete(request_of(model, "Hi"))
        assert (await model.complete(request_of(model, "Hi"))).text == "Hello."


async def test_the_model_is_freed_when_the_last_user_leaves(fakes: Fakes, tmp_path: Path) -> None:
    backend = EngineBackend(gguf(tmp_path), drafting=False)
    async with backend.open(Timeouts()):
        async with backend.open(Timeouts()):
            assert len(fakes.made) == 1
        assert [made.closed for made in fakes.made] == [False]
    assert [made.closed for made in fakes.made] == [True]
    async with backend.open(Timeouts()):
        assert len(fakes.made) == 2


async def test_what_does_not_load_says_so(fakes: Fakes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> FakeLlama:
        raise LocalModelError("cannot load it")

    monkeypatch.setattr(_worker, "Llama", refuse)
    with pytest.raises(LocalModelError, match="cannot load it"):
        async with local_model(gguf(tmp_path)):
            pass
    with pytest.raises(LocalModelError, match="neither"):
        local_model(tmp_path / "missing.gguf")
    with pytest.raises(UserError, match="at least 1"):
        local_model(gguf(tmp_path), context=0)
    with pytest.raises(UserError, match="for CPUs"):
        local_model(gguf(tmp_path), exact=True, gpu_layers=1)


async def test_one_answer_at_once(fakes: Fakes, tmp_path: Path) -> None:
    fakes.reply = "Hé, you."
    body = json.dumps({"messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]}).encode()
    async with EngineBackend(gguf(tmp_path), drafting=False).open(Timeouts()) as connection:
        answer, end = [chunk async for chunk in connection.chunks(body, stream=False)]

    assert answer["choices"][0]["message"]["content"] == "Hé, you."
    assert end is WHOLE


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"tools": [{"type": "function"}]}, "json and tagged"),
        ({"n": 2}, "one reply"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "json and tagged"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "text only"),
        ({"messages": "x"}, "cannot be read"),
        ({"response_format": {"type": "json_schema"}}, "cannot be read"),
        ({"response_format": {"type": "json_object", "schema": []}}, None),
        ({"response_format": {"type": "json_object", "schema": [1]}}, "an object"),
        ({"temperature": "hot"}, "cannot be read"),
    ],
)
def test_requests_that_it_cannot_answer(fields: dict[str, Any], why: str | None) -> None:
    body = json.dumps({"messages": [], **fields}).encode()
    if why is None:
        assert parse_request(body).schema == {"type": "object"}
    else:
        with pytest.raises(RequestRefused, match=why):
            parse_request(body)


def test_a_request_is_read() -> None:
    class Sum(BaseModel):
        total: int

    schema = Sum.model_json_schema()
    asked = {
        "messages": [{"role": "user", "content": "Hi"}],
        "temperature": 0,
        "max_tokens": 7,
        "stop": "x",
        "seed": 3,
        "response_format": {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}},
    }
    wanted = parse_request(json.dumps(asked).encode())

    assert (wanted.temperature, wanted.max_tokens, wanted.stop, wanted.seed) == (0.0, 7, ["x"], 3)
    assert wanted.schema == schema


def test_cost_tables_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "costs" / "model.json"
    write_costs(path, [CHEAP, CostTable(costs={1: 2.0}, context=4096)])

    assert read_costs(path) == [CHEAP, CostTable(costs={1: 2.0}, context=4096)]
    for text in ("", "[]", "{}", '[{"costs": {"2": 1.0}}]', '[{"costs": {"1": "x"}}]', "[3]"):
        path.write_text(text)
        with pytest.raises(UserError):
            read_costs(path)
    with pytest.raises(UserError, match="cannot read"):
        read_costs(tmp_path / "none.json")
