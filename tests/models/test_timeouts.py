"""Time-outs, each on its own. What a server does is waited for as an event; only the time-outs themselves pass."""

import asyncio
import socket
from collections.abc import Iterator

import pytest

from agentinfer.errors import CallTimeout
from agentinfer.models import Model, Timeouts
from agentinfer.testing import LoopbackServer, ScriptedReply, call, hang, http, say, think

from ._ask import AT_ONCE, ONCE, TRANSPORTS, Transport, ask, model_at

SHORT = 0.05
LONG = 30.0


@pytest.fixture
def deaf_port() -> Iterator[int]:
    """A port whose queue of new connections is full, so that no more are taken."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        waiting = []
        for _ in range(4):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
            waiting.append(client)
        yield listener.getsockname()[1]
        for client in waiting:
            client.close()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_connect(transport: Transport, deaf_port: int) -> None:
    timeouts = Timeouts(connect=SHORT)
    base_url = f"http://127.0.0.1:{deaf_port}/v1"
    model = Model("m", base_url=base_url, transport=transport, timeouts=timeouts, retry=ONCE)
    with pytest.raises(CallTimeout, match="No connection") as caught:
        await ask(model)
    assert caught.value.phase == "connect"


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_first_token(transport: Transport) -> None:
    async with LoopbackServer(handler=lambda body: hang()) as server:
        model = model_at(server, transport=transport, timeouts=Timeouts(first_token=SHORT))
        with pytest.raises(CallTimeout) as caught:
            await ask(model)
        await server.until(lambda: server.open_connections == 0)
    assert (caught.value.phase, caught.value.delivered) == ("first_token", False)


@pytest.mark.parametrize("start", [say("Hel"), think("hm"), call("f")])
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_between_tokens(transport: Transport, start: ScriptedReply) -> None:
    async with LoopbackServer(start + hang()) as server:
        timeouts = Timeouts(first_token=LONG, between_tokens=SHORT)
        with pytest.raises(CallTimeout) as caught:
            await ask(model_at(server, transport=transport, timeouts=timeouts, retry=AT_ONCE))
        await server.until(lambda: server.disconnects == 1)
    error = caught.value
    assert (error.phase, error.delivered, error.attempts) == ("between_tokens", True, 1)
    assert error.partial in ("Hel", "")


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_whole_call(transport: Transport, stream: bool) -> None:
    async with LoopbackServer(handler=lambda body: say("Hel") + hang()) as server:
        timeouts = Timeouts(call=SHORT)
        with pytest.raises(CallTimeout) as caught:
            await ask(model_at(server, transport=transport, timeouts=timeouts, stream=stream, retry=AT_ONCE))
        await server.until(lambda: server.open_connections == 0)
    assert (caught.value.phase, caught.value.attempts) == ("call", 1)


async def test_a_whole_reply_has_no_time_out_for_its_first_token() -> None:
    timeouts = Timeouts(first_token=SHORT, between_tokens=SHORT, call=4 * SHORT)
    async with LoopbackServer(handler=lambda body: hang()) as server:
        with pytest.raises(CallTimeout) as caught:
            await ask(model_at(server, timeouts=timeouts, stream=False))
    assert caught.value.phase == "call"


async def test_the_deadline_of_a_request() -> None:
    async with LoopbackServer(handler=lambda body: say("Hel") + hang()) as server:
        deadline = asyncio.get_running_loop().time() + SHORT
        with pytest.raises(CallTimeout) as caught:
            await ask(model_at(server, retry=AT_ONCE), deadline=deadline)
    assert caught.value.phase == "call"
    assert caught.value.attempts == 1


async def test_a_deadline_that_has_passed() -> None:
    async with LoopbackServer() as server:
        with pytest.raises(CallTimeout) as caught:
            await ask(model_at(server, retry=AT_ONCE), deadline=asyncio.get_running_loop().time() - 1)
    assert caught.value.attempts == 1


async def test_a_deadline_while_waiting_for_a_turn() -> None:
    async with LoopbackServer(hang()) as server, model_at(server, max_concurrency=1) as model:
        first = asyncio.create_task(ask(model))
        await server.until(lambda: server.answering == 1)
        with pytest.raises(CallTimeout, match="no turn"):
            await ask(model, deadline=asyncio.get_running_loop().time() + SHORT)
        first.cancel()
        await asyncio.wait([first])


async def test_no_attempt_beyond_the_call() -> None:
    refusal = http(429, "slow down", headers={"retry-after": "60"})
    async with LoopbackServer(refusal) as server:
        with pytest.raises(Exception, match="slow down"):
            await ask(model_at(server, timeouts=Timeouts(call=LONG), retry=AT_ONCE))


async def test_time_outs_that_wait_for_ever() -> None:
    timeouts = Timeouts(connect=None, first_token=None, between_tokens=None, call=None)
    async with LoopbackServer(say("Hi")) as server:
        assert (await ask(model_at(server, timeouts=timeouts))).text == "Hi"
