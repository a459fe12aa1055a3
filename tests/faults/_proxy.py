"""A proxy between a client and a real server that passes each answer on with a fault, or whole.

What it does follows from a seed and the number of the exchange alone, so a failure can be had again.
"""

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import Callable
from types import TracebackType
from typing import Self

import httpx

from agentinfer.testing._http import HttpRequest, take_request

from ._faults import Answer, Break, Fault, whole

__all__ = ["FaultProxy"]


class FaultProxy:
    """Stands before a server: `async with FaultProxy("http://127.0.0.1:8080/v1", ...) as proxy: ... proxy.base_url`.

    Args:
        target: The base URL of the server.
        seed: With the number of an exchange, what chance there is.
        fault_of: The fault of an exchange, counted from 1; `None`: the answer is passed on whole.
        on_request: Told of every request that has come in.
    """

    def __init__(
        self,
        target: str,
        *,
        seed: int = 0,
        fault_of: Callable[[int], Fault | None] = lambda number: None,
        on_request: Callable[[int], None] = lambda number: None,
    ) -> None:
        url = httpx.URL(target)
        self._origin = f"{url.scheme}://{url.netloc.decode()}"
        self._path = url.path
        self._seed = seed
        self._fault_of = fault_of
        self._on_request = on_request
        self.base_url = ""
        self.exchanges = 0
        """How many requests came in."""
        self.struck = 0
        """How many of their answers had a fault."""
        self.open: set[_Client] = set()
        """The connections that are open."""
        self._client = httpx.AsyncClient(verify=False, timeout=None, trust_env=False)
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(lambda: _Client(self), "127.0.0.1", 0)
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}{self._path}"
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        for client in list(self.open):
            client.leave("reset")
        await self.closed()
        await self._client.aclose()

    async def closed(self) -> None:
        """Wait until every connection is closed, and nothing is being answered."""
        while self.open:
            await next(iter(self.open)).gone.wait()

    async def answer(self, request: HttpRequest) -> tuple[Answer, Fault, random.Random]:
        """The server's answer, and what to do to it."""
        self.exchanges += 1
        number = self.exchanges
        self._on_request(number)
        headers = {name: value for name, value in request.headers.items() if name not in ("host", "connection")}
        fault = self._fault_of(number)
        response = await self._client.request(
            request.method, self._origin + request.path, headers=headers, content=request.body
        )
        self.struck += fault is not None
        answer = Answer(response.status_code, response.headers["content-type"], response.content)
        return answer, fault or whole, random.Random(f"{self._seed}/{number}")


class _Client(asyncio.Protocol):
    """One connection of the client."""

    def __init__(self, proxy: FaultProxy) -> None:
        self.gone = asyncio.Event()
        self._proxy = proxy
        self._buffer = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._proxy.open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if self._task is not None:
            self._task.cancel()
        self._forget_when_done()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._go_on()

    def leave(self, how: str) -> None:
        """Close the connection, in good order or not."""
        assert self._transport is not None
        if how == "reset":
            with contextlib.suppress(OSError):
                connection: socket.socket = self._transport.get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._transport.abort()
        else:
            self._transport.close()

    def _go_on(self) -> None:
        assert self._transport is not None
        if self._task is None and not self._transport.is_closing() and (request := take_request(self._buffer)):
            self._task = asyncio.get_running_loop().create_task(self._pass_on(request), name="fault proxy")
            self._task.add_done_callback(self._passed_on)

    def _passed_on(self, task: "asyncio.Task[None]") -> None:
        self._task = None
        if not task.cancelled():
            task.result()
        self._go_on()
        self._forget_when_done()

    def _forget_when_done(self) -> None:
        if self._lost and self._task is None:
            self._proxy.open.discard(self)
            self.gone.set()

    async def _pass_on(self, request: HttpRequest) -> None:
        assert self._transport is not None
        answer, fault, rng = await self._proxy.answer(request)
        for action in fault(rng, answer):
            if self._transport.is_closing():
                return
            if isinstance(action, bytes):
                self._transport.write(action)
                await asyncio.sleep(0)
            elif isinstance(action, Break):
                if action.how == "hang":
                    await asyncio.Event().wait()
                self.leave(action.how)
                return
            else:
                await asyncio.sleep(action)
