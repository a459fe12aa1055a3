"""Endpoints mocked with respx, for httpx and for what the SDK sends with."""

import importlib.util
import sys

import httpx
import openai
import pytest

from agentinfer.errors import ConnectionFailed, MissingExtra, RateLimited, StreamCut, UserError
from agentinfer.models import Model, ModelRequest, RetryPolicy
from agentinfer.testing import StepsUnread, call, cut, fail, http, mock_endpoint, say
from agentinfer.transcript import Message, View

ONCE = RetryPolicy(attempts=1)


def asking(model: Model) -> ModelRequest:
    return ModelRequest(model=model, view=View([Message.user("?")]))


@pytest.mark.parametrize("stream", [True, False])
async def test_our_own_transport(stream: bool) -> None:
    steps = (say("Hel", "lo") + call("f"), http(429, "slow"), say("x") + cut(), fail(RateLimited("no")))
    with mock_endpoint(*steps) as mocked:
        model = Model("m", base_url=mocked.base_url, api_key="sk-secret", retry=ONCE, stream=stream)
        assert (await model.complete(asking(model))).text == "Hello"
        with pytest.raises(RateLimited):
            await model.complete(asking(model))
        with pytest.raises((StreamCut, ConnectionFailed)):
            await model.complete(asking(model))
        with pytest.raises(RateLimited):
            await model.complete(asking(model))
    assert mocked.requests[0]["messages"] == [{"role": "user", "content": "?"}]
    assert mocked.received[0].headers["authorization"] == "Bearer sk-secret"


@pytest.mark.parametrize("stream", [True, False])
async def test_the_sdks_default_client(stream: bool) -> None:
    steps = (say("Hel", "lo"), http(429, "slow", headers={"retry-after": "3"}), cut(), say("Hel") + cut())
    with mock_endpoint(*steps) as mocked:
        async with openai.AsyncOpenAI(base_url=mocked.base_url, api_key="sk-secret") as client:
            model = Model("m", client=client, retry=ONCE, stream=stream)
            assert (await model.complete(asking(model))).text == "Hello"
            with pytest.raises(RateLimited) as caught:
                await model.complete(asking(model))
            for kind in (ConnectionFailed, StreamCut if stream else ConnectionFailed):
                with pytest.raises(kind):
                    await model.complete(asking(model))
    assert caught.value.retry_after == 3.0
    assert len(mocked.requests) == 4


async def test_scripts_are_checked() -> None:
    with pytest.raises(StepsUnread), mock_endpoint(say("Hi")):
        pass


async def test_other_addresses_fail() -> None:
    with mock_endpoint(handler=lambda body: say("Hi")):
        async with httpx.AsyncClient() as client:
            with pytest.raises(AssertionError):
                await client.get("http://elsewhere.test/")


async def test_without_respx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "respx.mocks", None)
    with pytest.raises(MissingExtra, match="testing"), mock_endpoint():
        pass


@pytest.mark.skipif(importlib.util.find_spec("httpcore2") is not None, reason="httpx2 is installed")
def test_without_httpx2() -> None:
    with pytest.raises(UserError, match="httpx2"), mock_endpoint(using="httpx2"):
        pass
