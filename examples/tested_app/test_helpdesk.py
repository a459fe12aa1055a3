"""An app's own tests, without a model and without a network.

    pip install 'agentinfer[testing]' && python -m pytest examples/tested_app

Three ways, and what each is good for. Every one fails a test that asks the model too often or too seldom.
"""

import pytest
from helpdesk import ORDERS, SORRY, reply_to

from agentinfer import Model, RetryPolicy
from agentinfer.testing import LoopbackServer, ScriptedModel, call, http, mock_endpoint, say

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


# A scripted model: no connection at all. For what your tools and your own code do.


async def test_it_looks_the_order_up() -> None:
    with ScriptedModel(call("order_status", number="A17"), say("It arrives on Monday.")) as model:
        assert await reply_to("Where is A17?", model) == "It arrives on Monday."
    assert model.requests[1]["messages"][-1]["content"] == ORDERS["A17"]


async def test_the_model_is_told_of_an_order_that_is_not_there() -> None:
    with ScriptedModel(call("order_status", number="Z99"), say("Which order is it?")) as model:
        assert await reply_to("Where is Z99?", model) == "Which order is it?"
    assert "There is no order Z99" in model.requests[1]["messages"][-1]["content"]


# A server on 127.0.0.1: real connections, and faults on demand. For what an endpoint does to you.


async def test_a_busy_endpoint_is_asked_again() -> None:
    async with LoopbackServer(http(429, headers={"retry-after": "0"}), say("On Monday.")) as server:
        model = Model("any", base_url=server.base_url, retry=RetryPolicy(first_delay=0))
        assert await reply_to("Where is A17?", model) == "On Monday."


async def test_the_customer_gets_an_answer_when_the_endpoint_fails() -> None:
    async with LoopbackServer(http(500)) as server:
        model = Model("any", base_url=server.base_url, retry=RetryPolicy(attempts=1))
        assert await reply_to("Where is A17?", model) == SORRY


# A mocked endpoint: respx answers in httpx's place, under whatever address and client your code uses.


async def test_the_key_and_the_tool_are_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", "https://llm.example/v1")
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-the-shop")
    monkeypatch.setenv("AGENTINFER_MODEL", "any")
    with mock_endpoint(say("On Monday."), base_url="https://llm.example/v1") as endpoint:
        assert await reply_to("Where is A17?", Model.from_env()) == "On Monday."
    assert endpoint.received[0].headers["authorization"] == "Bearer key-of-the-shop"
    assert endpoint.requests[0]["tools"][0]["function"]["name"] == "order_status"
