"""Connections: who opens them, who waits, and that none is left behind."""

import asyncio
import gc
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from agentinfer.errors import ConnectionFailed
from agentinfer.models import END, Connection, Model, Timeouts
from agentinfer.testing import LoopbackServer, hang, say, wait_for

from ._ask import ONCE, TRANSPORTS, Transport, ask, asking, model_at


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_cancelling_closes_the_connection(transport: Transport, stream: bool) -> None:
    async with LoopbackServer(say("Hel") + hang()) as server, model_at(server, transport=transport, stream=stream) as m:
        task = asyncio.create_task(ask(m))
        await server.until(lambda: server.answering == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await server.until(lambda: server.disconnects == 1)
        assert server.open_connections == 0
        assert server.script.abandoned == 1


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_cancelling_after_the_first_piece(transport: Transport) -> None:
    began = asyncio.Event()
    async with LoopbackServer(say("Hel") + hang(), say("Hi")) as server, model_at(server, transport=transport) as model:
        task = asyncio.create_task(model.complete(asking(model), on_delta=lambda delta: began.set()))
        await began.wait()
        task.cancel()
        await asyncio.wait([task])
        await server.until(lambda: server.disconnects == 1)
        assert (await ask(model)).text == "Hi"  # the model is as good as before


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_max_concurrency(transport: Transport) -> None:
    go_on = asyncio.Event()
    async with LoopbackServer(handler=lambda body: wait_for(go_on) + say("Hi")) as server:
        model = model_at(server, transport=transport, max_concurrency=3)
        tasks = [asyncio.create_task(ask(model)) for _ in range(10)]
        await server.until(lambda: server.answering == 3)
        for _ in range(20):
            await asyncio.sleep(0)
        assert server.answering == 3
        tasks[-1].cancel()  # gives up its place in the queue
        go_on.set()
        await asyncio.wait(tasks)
        assert server.connections <= 3
    assert len(server.requests) == 9


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_one_model_on_two_event_loops(transport: Transport) -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        port = listener.getsockname()[1]
        model = Model("m", base_url=f"http://127.0.0.1:{port}/v1", transport=transport, retry=ONCE)

        async def main() -> str:
            async with LoopbackServer(say("Hi"), say("Hi again"), socket=listener.dup()) as server, model:
                await ask(model)
                answer = (await ask(model)).text
                assert server.connections == 1
                return answer

        assert [asyncio.run(main()), asyncio.run(main())] == ["Hi again"] * 2


class Counted:
    """A backend that counts how often it is opened and closed, and takes its time for it."""

    endpoint = "counted"

    def __init__(self, *, failures: int = 0) -> None:
        self.opened = self.closed = 0
        self.failures = failures
        self.may_open = asyncio.Event()
        self.is_open = asyncio.Event()

    @asynccontextmanager
    async def open(self, timeouts: Timeouts) -> AsyncIterator[Connection]:
        await self.may_open.wait()
        if self.failures:
            self.failures -= 1
            raise ConnectionFailed("not yet")
        self.opened += 1
        self.is_open.set()
        yield self
        self.closed += 1

    async def chunks(self, body: bytes, *, stream: bool) -> AsyncGenerator[Any, None]:
        assert self.opened > self.closed
        yield {"choices": [{"delta": {"content": "Hi"}, "finish_reason": "stop"}]}
        yield END


def test_two_loops_one_backend() -> None:
    backend = Counted()
    model = Model("m", backend=backend, max_concurrency=1)

    async def main() -> None:
        backend.may_open.set()
        await asyncio.gather(*[ask(model) for _ in range(5)])

    asyncio.run(main())
    asyncio.run(main())
    assert (backend.opened, backend.closed) == (2, 2)


async def test_many_tasks_open_once() -> None:
    backend = Counted()
    model = Model("m", backend=backend)
    tasks = [asyncio.create_task(ask(model)) for _ in range(50)]
    await asyncio.sleep(0)
    backend.may_open.set()
    assert {completion.text for completion in await asyncio.gather(*tasks)} == {"Hi"}
    assert (backend.opened, backend.closed) == (1, 1)


async def test_an_opening_that_fails_or_is_cancelled_leaves_nothing_behind() -> None:
    backend = Counted(failures=1)
    model = Model("m", backend=backend, retry=ONCE)
    tasks = [asyncio.create_task(ask(model)) for _ in range(4)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    backend.may_open.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert isinstance(results[0], asyncio.CancelledError)
    assert sum(isinstance(result, ConnectionFailed) for result in results) == 1
    assert (backend.opened, backend.closed) == (1, 1)


async def test_waiting_to_open_and_cancelled_in_the_same_moment() -> None:
    backend = Counted()
    model = Model("m", backend=backend)
    tasks = [asyncio.create_task(ask(model)) for _ in range(3)]
    await asyncio.sleep(0)
    backend.may_open.set()
    await backend.is_open.wait()
    tasks[1].cancel()
    tasks[2].cancel()
    await asyncio.wait(tasks)
    assert backend.opened == backend.closed


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_thousand_calls_at_once(transport: Transport) -> None:
    everyone_is_here = asyncio.Event()
    tasks_before = asyncio.all_tasks()
    async with LoopbackServer(handler=lambda body: wait_for(everyone_is_here) + say("Hel", "lo")) as server:
        async with model_at(server, transport=transport, timeouts=Timeouts(connect=30)) as model:
            tasks = [asyncio.create_task(ask(model, f"{number}")) for number in range(1000)]
            await server.until(lambda: server.answering == 1000)
            everyone_is_here.set()
            assert {completion.text for completion in await asyncio.gather(*tasks)} == {"Hello"}
            assert server.connections == 1000
        await server.until(lambda: server.open_connections == 0)
        assert {request["messages"][0]["content"] for request in server.requests} == set(map(str, range(1000)))
    assert asyncio.all_tasks() == tasks_before
    gc.collect()  # a connection left open would warn here
