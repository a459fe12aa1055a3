"""A Chat Completions endpoint mocked with respx: no connection is made at all."""

import importlib
import importlib.util
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Literal

import httpx

from agentinfer.errors import ConnectionFailed, MissingExtra, ModelError, UserError
from agentinfer.models import END
from agentinfer.testing._render import Broken, refusal, render
from agentinfer.testing._script import Script
from agentinfer.testing._steps import Handler, HttpAnswer, ScriptedReply, Step

if TYPE_CHECKING:
    import respx

__all__ = ["MockedEndpoint", "mock_endpoint", "register_httpcore2"]

BASE_URL = "http://endpoint.test/v1"


def register_httpcore2() -> None:
    """Teach respx `respx.mock(using="httpcore2")`: what clients of openai 3.x send with is seen there.

    Raises:
        MissingExtra: respx is not installed.
    """
    try:
        from respx.mocks import HTTPCoreMocker
    except ImportError:
        raise MissingExtra("testing", "Mocking an endpoint") from None
    if "httpcore2" in HTTPCoreMocker.registry:
        return
    targets = [target.replace("httpcore.", "httpcore2.", 1) for target in HTTPCoreMocker.targets]
    type("HTTPCore2Mocker", (HTTPCoreMocker,), {"name": "httpcore2", "targets": targets})


class MockedEndpoint:
    """What `mock_endpoint` gives.

    Args:
        script: What the endpoint answers.
        protocol: How the model writes calls and answers.
        base_url: Where the endpoint seems to be.
    """

    def __init__(self, script: Script, protocol: str, base_url: str) -> None:
        self.script = script
        self.base_url = base_url
        self.received: list[httpx.Request] = []
        """Every request for a completion, its headers included."""
        self._protocol = protocol

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The body of every request."""
        return self.script.requests

    @property
    def bodies(self) -> list[bytes]:
        """The body of every request, as it was sent."""
        return self.script.bodies

    async def respond(self, request: httpx.Request, *, using: str) -> httpx.Response:
        """Answer a request that came by way of `httpcore` or `httpcore2`."""
        self.received.append(request)
        step = self.script.next(request.content)
        body = json.loads(request.content)
        if isinstance(step, HttpAnswer):
            return _response(step)
        broken = importlib.import_module(using).ReadError
        pieces = _pieces(step, body, self._protocol, len(self.bodies), broken)
        try:
            first = await anext(pieces, b"")
        except ConnectionFailed:
            raise broken("The script broke the connection") from None
        except ModelError as error:
            return _response(refusal(error))
        content_type = "text/event-stream" if body.get("stream") else "application/json"
        return httpx.Response(200, headers={"content-type": content_type}, stream=_Stream(first, pieces))


async def _pieces(
    reply: ScriptedReply, body: dict[str, Any], protocol: str, number: int, broken: type[Exception]
) -> AsyncIterator[bytes]:
    streams = bool(body.get("stream"))
    try:
        async for chunk in render(reply, body, protocol=protocol, number=number):
            if not streams:
                yield json.dumps(chunk).encode()
                return
            yield b"data: " + (b"[DONE]" if chunk is END else json.dumps(chunk).encode()) + b"\n\n"
    except Broken as how:
        if how.how != "end":
            raise broken("The script broke the connection") from None


class _Stream(httpx.AsyncByteStream):
    def __init__(self, first: bytes, rest: AsyncIterator[bytes]) -> None:
        self._first = first
        self._rest = rest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._first
        async for piece in self._rest:
            yield piece


def _response(answer: HttpAnswer) -> httpx.Response:
    return httpx.Response(answer.status, headers=dict(answer.headers), content=answer.body)


@contextmanager
def mock_endpoint(
    *steps: Step,
    handler: Handler | None = None,
    base_url: str = BASE_URL,
    protocol: str = "native",
    using: Literal["httpx", "httpx2", "both"] = "both",
) -> Iterator[MockedEndpoint]:
    """Mock an endpoint for every client that sends with httpx, or with httpx2 as openai 3.x does.

    While it holds, requests to other addresses fail instead of leaving this machine. Checks at the end that every
    step was asked for.

    Args:
        steps: One answer per request.
        handler: Makes the answer to any request instead, of its body.
        base_url: Where the endpoint seems to be.
        protocol: How the model writes calls and answers.
        using: Whose requests are seen; `both` takes httpx2 where it is installed.

    Raises:
        MissingExtra: respx is not installed.
        UserError: httpx2 is asked for and not installed.
        ScriptError: At the end, the script was not asked for as it stands.
    """
    register_httpcore2()
    import respx

    has_httpx2 = importlib.util.find_spec("httpcore2") is not None
    if using == "httpx2" and not has_httpx2:
        raise UserError("httpx2 is not installed")
    seen = [*(["httpcore"] if using != "httpx2" else []), *(["httpcore2"] if using != "httpx" and has_httpx2 else [])]
    endpoint = MockedEndpoint(Script(steps, handler), protocol, base_url)
    with ExitStack() as stack:
        for name in seen:
            router = stack.enter_context(respx.mock(using=name, assert_all_called=False))
            _route(router, endpoint, name)
        yield endpoint
    endpoint.script.assert_complete()


def _route(router: "respx.MockRouter", endpoint: MockedEndpoint, using: str) -> None:
    async def respond(request: httpx.Request) -> httpx.Response:
        return await endpoint.respond(request, using=using)

    router.post(f"{endpoint.base_url.rstrip('/')}/chat/completions").mock(side_effect=respond)
