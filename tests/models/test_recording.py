"""Exchanges kept, and answered from."""

import asyncio
import json
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentinfer import Agent, tool
from agentinfer.errors import (
    AuthenticationFailed,
    CallTimeout,
    ConnectionFailed,
    ContextTooLong,
    InvalidResponse,
    ModelError,
    NotRecorded,
    RateLimited,
    ServerFailed,
    StreamCut,
    UserError,
)
from agentinfer.models import END, Backend, Connection, Model, RecordingBackend, ReplayBackend, Timeouts, record
from agentinfer.testing import LoopbackServer, ScriptedModel, call, say

from ._ask import ONCE, ask

Outcome = tuple[Sequence[Any], bool | Exception]
"""Chunks, and whether the endpoint says that it is done, or what it fails with."""


class Played:
    """A backend with one outcome after the other."""

    endpoint = "http://played/v1"

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes = list(outcomes)

    @asynccontextmanager
    async def open(self, timeouts: Timeouts) -> AsyncIterator[Connection]:
        del timeouts
        yield self

    async def chunks(self, body: bytes, *, stream: bool) -> AsyncGenerator[Any, None]:
        del body, stream
        chunks, end = self.outcomes.pop(0)
        for chunk in chunks:
            await asyncio.sleep(0)
            yield chunk
        if isinstance(end, Exception):
            raise end
        if end:
            yield END


def body(text: str = "Hello?", **fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": text}], **fields}).encode()


async def outcome(backend: Backend, request: bytes) -> tuple[list[Any], bool, ModelError | None]:
    chunks, whole = [], False
    try:
        async with backend.open(Timeouts()) as connection:
            async for chunk in connection.chunks(request, stream=True):
                if chunk is END:
                    whole = True
                else:
                    chunks.append(chunk)
    except ModelError as error:
        return chunks, whole, error
    return chunks, whole, None


def kept(directory: Path) -> bytes:
    """All that a recording's files hold."""
    return b"".join(path.read_bytes() for path in files(directory))


def files(directory: Path) -> list[Path]:
    return list(directory.iterdir())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.just("\ud800\u2028\r\n"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.lists(JSON, max_size=4), st.booleans() | st.text().map(ServerFailed)), min_size=1, max_size=3)
)
def test_what_was_recorded_comes_again(outcomes: list[Outcome]) -> None:
    async def round_trip(directory: str) -> None:
        recording = RecordingBackend(Played(*outcomes), directory)
        first = [await outcome(recording, body()) for _ in outcomes]
        replay = ReplayBackend(directory)
        second = [await outcome(replay, body()) for _ in outcomes]
        for (chunks, whole, error), (chunks_again, whole_again, error_again) in zip(first, second, strict=True):
            assert json.dumps(chunks) == json.dumps(chunks_again)
            assert whole == whole_again
            assert (type(error), str(error)) == (type(error_again), str(error_again))

    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(round_trip(directory))


async def test_answers_to_one_request_keep_their_order_and_the_last_comes_again(tmp_path: Path) -> None:
    recording = RecordingBackend(Played((["a"], True), (["b"], True)), tmp_path)
    await outcome(recording, body(seed=1, top_p=0.5))
    again = RecordingBackend(Played((["c"], True)), tmp_path)  # another session goes on
    await outcome(recording, body(seed=1, top_p=0.5))
    await outcome(again, body(seed=1, top_p=0.5))
    replay = ReplayBackend(tmp_path)
    assert replay.endpoint == "http://played/v1"
    asked = body(top_p=0.5, seed=1)
    assert [(await outcome(replay, asked))[0] for _ in range(5)] == [["a"], ["b"], ["c"], ["c"], ["c"]]


@pytest.mark.parametrize(
    "error",
    [
        RateLimited("slow down", status=429, retry_after=2.5),
        CallTimeout("late", phase="connect"),
        ConnectionFailed("no"),
        ContextTooLong("long", status=400),
        InvalidResponse("odd", partial="so far"),
        StreamCut("cut", delivered=True),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("retryable", [True, False])
async def test_errors_come_again_as_what_they_were(error: ModelError, retryable: bool, tmp_path: Path) -> None:
    error.retryable = retryable
    await outcome(RecordingBackend(Played((["x"], error)), tmp_path), body())
    chunks, _, again = await outcome(ReplayBackend(tmp_path), body())
    assert chunks == ["x"]
    assert type(again) is type(error)
    assert vars(again) == vars(error)
    assert str(again) == str(error)


async def test_errors_of_others_come_again_as_the_nearest_of_ours(tmp_path: Path) -> None:
    class Overheated(ServerFailed):
        pass

    await outcome(RecordingBackend(Played(([], Overheated("hot"))), tmp_path), body())
    assert type((await outcome(ReplayBackend(tmp_path), body()))[2]) is ServerFailed


async def test_a_miss_shows_the_nearest_recording(tmp_path: Path) -> None:
    system = {"role": "system", "content": "Be short."}

    def asked(*texts: str, **fields: Any) -> bytes:
        messages = [system, *({"role": "user", "content": text} for text in texts)]
        return json.dumps({"model": "m", "messages": messages, **fields}).encode()

    recording = RecordingBackend(Played(*[([], True)] * 4), tmp_path)
    for request in (asked("Who?"), asked("When was it?", seed=1), asked("When was it?", seed=1, top_p=1), body("?")):
        await outcome(recording, request)
    chunks, _, error = await outcome(ReplayBackend(tmp_path), asked("When was that?", seed=2))
    assert not chunks
    assert isinstance(error, NotRecorded)
    assert not error.retryable
    told = str(error)
    assert "the first 1 of 2 messages are the same" in told
    assert 'recorded: {"role": "user", "content": "When was it?"}' in told
    assert 'asked:    {"role": "user", "content": "When was that?"}' in told
    assert "seed\n    recorded: 1\n    asked:    2" in told
    assert "top_p" not in told


async def test_a_long_difference_is_shown_from_where_it_begins(tmp_path: Path) -> None:
    await outcome(RecordingBackend(Played(([], True)), tmp_path), body("word " * 500 + "left" + " more" * 500))
    told = str((await outcome(ReplayBackend(tmp_path), body("word " * 500 + "right" + " more" * 500)))[2])
    assert "word left more" in told
    assert "word right more" in told
    assert len(told) < 800


async def test_a_miss_is_not_retried_and_ends_the_run(tmp_path: Path) -> None:
    await outcome(RecordingBackend(Played(([], True)), tmp_path), body())
    result = await Agent(Model("m", backend=ReplayBackend(tmp_path))).run("Anything else?")
    assert result.stop_reason == "error"
    assert isinstance(result.error, NotRecorded)
    assert result.error.attempts == 1


async def test_a_run_comes_again(tmp_path: Path) -> None:
    @tool
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    with ScriptedModel(call("add", a=1, b=2), say("It is ", "3.")) as model:
        record(model, tmp_path)
        first = await Agent(model, tools=[add]).run("1 + 2?")
    again = Model("scripted", backend=ReplayBackend(tmp_path), profile=model.profile)
    second = await Agent(again, tools=[add]).run("1 + 2?")
    assert second.answer == first.answer == "It is 3."
    assert [m.to_dict() for m in second.messages] == [m.to_dict() for m in first.messages]
    assert second.usage == first.usage


async def test_an_answer_left_by_its_caller_is_used_where_no_other_is(tmp_path: Path) -> None:
    recording = RecordingBackend(Played(([1, 2, 3], True), ([4, 5], True)), tmp_path)

    async def leave_after_two() -> None:
        async with (
            recording.open(Timeouts()) as connection,
            aclosing(connection.chunks(body(), stream=True)) as chunks,
        ):
            async for chunk in chunks:
                if chunk == 2:
                    break

    await leave_after_two()
    chunks, whole, error = await outcome(ReplayBackend(tmp_path), body())
    assert (chunks, whole) == ([1, 2], False)
    assert isinstance(error, StreamCut)
    assert not error.retryable
    await outcome(recording, body())
    assert (await outcome(ReplayBackend(tmp_path), body()))[0] == [4, 5]


async def test_a_cancelled_call_is_kept_as_left(tmp_path: Path) -> None:
    class Hangs(Played):
        async def chunks(self, body: bytes, *, stream: bool) -> AsyncGenerator[Any, None]:
            yield "begun"
            await asyncio.sleep(3600)

    task = asyncio.create_task(outcome(RecordingBackend(Hangs(), tmp_path), body()))
    await asyncio.sleep(0.1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (await outcome(ReplayBackend(tmp_path), body()))[0] == ["begun"]


async def test_many_at_once(tmp_path: Path) -> None:
    answers = [([number], True) for number in range(40)]
    backends = [RecordingBackend(Played(*answers[start::2]), tmp_path) for start in (0, 1)]
    await asyncio.gather(*(outcome(backend, body(str(n % 3))) for backend in backends for n in range(20)))
    assert {path.suffix for path in files(tmp_path)} == {".json", ".jsonl"}
    replay = ReplayBackend(tmp_path)
    found = await asyncio.gather(*(outcome(replay, body(str(n % 3))) for _ in backends for n in range(20)))
    assert sorted(chunks[0] for chunks, _, _ in found) == list(range(40))


async def test_keys_are_not_kept(tmp_path: Path) -> None:
    key = "sk-verysecret"
    errors: list[Outcome] = [
        ([], AuthenticationFailed(f"wrong: {key}", status=401)),
        ([], ServerFailed(f"{key} broke me")),
        ([{"error": {"message": f"no {key}"}}], True),
    ]
    model = Model("m", backend=Played(*errors), api_key=key, retry=ONCE)
    record(model, tmp_path)
    for text in "abc":
        with pytest.raises(ModelError):
            await ask(model, text)
    assert kept(tmp_path).count(b'"end"') == 3
    assert key.encode() not in kept(tmp_path)


async def test_over_http_without_headers(tmp_path: Path) -> None:
    async with LoopbackServer(say("Hel", "lo")) as server:
        model = Model("m", base_url=server.base_url, api_key="sk-verysecret")
        record(model, tmp_path)
        assert (await ask(model)).text == "Hello"
    again = Model("m", backend=ReplayBackend(tmp_path))
    assert (await ask(again)).text == "Hello"
    assert b"verysecret" not in kept(tmp_path)


def test_other_versions_and_other_things_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no recording"):
        ReplayBackend(tmp_path)
    with pytest.raises(UserError, match="holds no recording"):
        ReplayBackend(tmp_path / "nowhere")
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds no recording"):
        RecordingBackend(Played(), tmp_path)
    header = tmp_path / "recording.json"
    for content, told in (('{"version": 2}', "version 2"), ("[]", "cannot be read"), ("{", "cannot be read")):
        header.write_text(content)
        for open_it in (ReplayBackend, lambda path: RecordingBackend(Played(), path)):
            with pytest.raises(UserError, match=told):
                open_it(tmp_path)


async def test_a_damaged_recording_says_so(tmp_path: Path) -> None:
    await outcome(RecordingBackend(Played((["a"], True)), tmp_path), body())
    (file,) = (path for path in files(tmp_path) if path.suffix == ".jsonl")
    file.write_bytes(file.read_bytes()[:-5])
    error = (await outcome(ReplayBackend(tmp_path), body()))[2]
    assert isinstance(error, NotRecorded)
    assert "damaged" in str(error)


async def test_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError):
        RecordingBackend(Played(), tmp_path / "file")
    recording = RecordingBackend(Played(), tmp_path / "new")
    (tmp_path / "new").write_text("")
    with pytest.raises(UserError, match="Nothing can be recorded"):
        await outcome(recording, body())
