"""Keys are never shown."""

import pickle
from typing import Any

import openai
import pytest

from agentinfer import Agent
from agentinfer.errors import AuthenticationFailed, ModelError, UserError
from agentinfer.models import Model
from agentinfer.testing import LoopbackServer, http

from ._ask import ONCE, TRANSPORTS, Transport, ask, model_at

KEY = "sk-secret-0123456789"


def shown(error: BaseException) -> str:
    """All that a log or a traceback would show of an error."""
    texts = [str(error), repr(error), repr(error.args), repr(vars(error))]
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return " ".join([*texts, shown(cause) if cause else ""])


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("key", [KEY, f"{KEY}\n", f"  {KEY}"])
async def test_a_refused_key_that_the_endpoint_repeats(transport: Transport, key: str) -> None:
    async with LoopbackServer(api_key="sk-another") as server:
        model = model_at(server, transport=transport, api_key=key)
        with pytest.raises(AuthenticationFailed) as caught:
            await ask(model)
        assert KEY not in shown(caught.value)
        assert "***" in str(caught.value)
        result = await Agent(model).run("?")
    assert KEY not in repr(result.to_dict()) + repr([event.to_dict() for event in result.events])
    assert KEY not in repr(model) + repr(model.backend) + repr(vars(model.backend))
    assert server.received[0].headers["authorization"] == f"Bearer {KEY}"


async def test_a_key_given_as_a_header() -> None:
    async with LoopbackServer(api_key="sk-another") as server:
        model = model_at(server, headers={"Authorization": f"Bearer {KEY}"})
        with pytest.raises(AuthenticationFailed) as caught:
            await ask(model)
    assert KEY not in shown(caught.value)


async def test_short_headers_do_not_black_out_messages() -> None:
    async with LoopbackServer(http(401, "no")) as server:
        with pytest.raises(AuthenticationFailed, match="401"):
            await ask(model_at(server, headers={"x-retries": "0", "x-tier": "1"}))


async def test_a_key_of_the_users_client() -> None:
    async with LoopbackServer(api_key="sk-another") as server:
        client = openai.AsyncOpenAI(base_url=server.base_url, api_key=KEY)
        model = Model("m", client=client, retry=ONCE)
        with pytest.raises(AuthenticationFailed) as caught:
            await ask(model)
        await client.close()
    assert KEY not in shown(caught.value)
    assert KEY not in repr(model)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_user_and_password_in_the_base_url(transport: Transport) -> None:
    async with LoopbackServer(http(401, "who is hunter22?")) as server:
        address = server.base_url.replace("http://", "http://me:hunter22@")
        model = Model("m", base_url=f"{address}?token=abcdef", transport=transport, retry=ONCE)
        assert model.endpoint == server.base_url
        with pytest.raises(ModelError) as caught:
            await ask(model)
    texts = shown(caught.value) + repr(model) + repr(model.backend)
    assert "hunter22" not in texts
    assert "abcdef" not in texts
    assert server.received[0].headers["authorization"].startswith("Basic ")
    assert server.received[0].path == "/v1/chat/completions?token=abcdef"


@pytest.mark.parametrize("settings", [{"api_key": "sk-käse"}, {"headers": {"x-key": "a\r\nb: c"}}, {"api_key": "a\nb"}])
def test_keys_that_no_header_carries(settings: dict[str, Any]) -> None:
    with pytest.raises(UserError) as caught:
        Model("m", base_url="http://127.0.0.1/v1", **settings)
    assert not any(str(value) in str(caught.value) for value in ("käse", "a\r", "a\n", "b: c"))


@pytest.mark.parametrize(
    "base_url",
    ["", "127.0.0.1:80", "ftp://h/v1", "http://me:hunter22@/v1", "http://h:port/v1", "http://h/a b", "http:"],
)
def test_what_is_no_base_url(base_url: str) -> None:
    with pytest.raises(UserError) as caught:
        Model("m", base_url=base_url)
    assert "hunter22" not in str(caught.value)


def test_errors_pickle() -> None:
    error = AuthenticationFailed("no", status=401)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.status) == ("no", 401)
