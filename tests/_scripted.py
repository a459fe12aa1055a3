"""A model that says what a test tells it to."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from agentinfer import Message, Middleware, Model, Run, RunResult
from agentinfer.events import PluginFailed
from agentinfer.models import END, Connection, Timeouts

Reply = dict[str, Any] | str | BaseException
"""A `message` of a completion (a text is its content), or what the endpoint fails with."""


def call(name: str, arguments: Any = None, *, id: str = "") -> dict[str, Any]:  # noqa: A002 - the wire's own word
    """One tool call as the endpoint sends it."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    return {"id": id, "function": {"name": name, "arguments": text}}


def calls(*made: dict[str, Any], text: str = "") -> dict[str, Any]:
    """A reply that calls tools."""
    return {"content": text, "tool_calls": list(made)}


class Script:
    """Gives its replies one after the other, the last one for ever, and keeps what it was sent.

    Args:
        replies: What to say.
        before: Awaited before each reply, with the number of the request, counted from 1.
        usage: The usage to report with each reply; none unless given.
        finish: The finish reason of each reply.
    """

    endpoint = "scripted"

    def __init__(
        self,
        *replies: Reply,
        before: Callable[[int], Awaitable[None]] | None = None,
        usage: dict[str, Any] | None = None,
        finish: Iterable[str] = (),
        stream_text: bool = False,
    ) -> None:
        self.replies = list(replies)
        self.bodies: list[dict[str, Any]] = []
        self.raw: list[bytes] = []
        self.open_count = 0
        self._before = before
        self._usage = usage
        self._finish = list(finish)
        self._stream_text = stream_text

    @asynccontextmanager
    async def open(self, timeouts: Timeouts) -> AsyncIterator[Connection]:
        self.open_count += 1
        try:
            yield self
        finally:
            self.open_count -= 1

    async def chunks(self, body: bytes, *, stream: bool) -> AsyncGenerator[Any, None]:
        self.raw.append(body)
        self.bodies.append(json.loads(body))
        number = len(self.bodies)
        if self._before is not None:
            await self._before(number)
        await asyncio.sleep(0)
        reply = self.replies[min(number, len(self.replies)) - 1]
        if isinstance(reply, BaseException):
            raise reply
        message = {"content": reply} if isinstance(reply, str) else reply
        if self._stream_text:
            for letter in message.get("content") or "":
                yield {"choices": [{"delta": {"content": letter}}]}
            message = {**message, "content": ""}
        finish = self._finish[number - 1] if number <= len(self._finish) else "stop"
        yield {"choices": [{"delta": message, "finish_reason": finish}], "usage": self._usage}
        yield END


def model(*replies: Reply, name: str = "scripted", **settings: Any) -> Model:
    """A model that gives these replies; its `backend` is the `Script`."""
    script = {key: settings.pop(key) for key in ("before", "usage", "finish", "stream_text") if key in settings}
    return Model(name, backend=Script(*replies, **script), **settings)


def script_of(scripted: Model) -> Script:
    """The script behind a model."""
    assert isinstance(scripted.backend, Script)
    return scripted.backend


Wrapper = Callable[[Run, Any, Callable[[Any], Awaitable[Any]]], Awaitable[Any]]


class Wrap:
    """A plug-in made of functions `(run, request, handler)`."""

    def __init__(self, *, step: Wrapper | None = None, model: Wrapper | None = None, tool: Wrapper | None = None):
        self._wrappers = {"step": step, "model": model, "tool": tool}
        self.left = 0

    @asynccontextmanager
    async def bind(self, run: Run) -> AsyncIterator[Middleware]:
        def method(wrapper: Wrapper) -> Any:
            return lambda _self, request, handler: wrapper(run, request, handler)

        methods = {name: method(wrapper) for name, wrapper in self._wrappers.items() if wrapper}
        try:
            yield type("Wrapped", (Middleware,), methods)()
        finally:
            self.left += 1


def kinds(result: RunResult[Any]) -> list[str]:
    """What happened, by name."""
    return [event.kind for event in result.events]


def failures(result: RunResult[Any]) -> list[tuple[str, str]]:
    """Where plug-ins failed, and how."""
    return [(event.where, event.error) for event in result.events if isinstance(event, PluginFailed)]


def unanswered(messages: Iterable[Message]) -> list[str]:
    """What is wrong with the calls and results of a history: nothing, where each call has one result after it."""
    open_calls: list[str] = []
    seen: set[str] = set()
    wrong = []
    for message in messages:
        if message.role == "tool":
            if message.tool_call_id in open_calls:
                open_calls.remove(message.tool_call_id)
            else:
                wrong.append(f"a result without a call: {message.tool_call_id}")
            continue
        wrong += [f"no result: {name}" for name in open_calls]
        open_calls = [one.id for one in message.tool_calls]
        wrong += [f"an id used twice: {name}" for name in open_calls if name in seen or open_calls.count(name) > 1]
        seen.update(open_calls)
    return wrong + [f"no result: {name}" for name in open_calls]
