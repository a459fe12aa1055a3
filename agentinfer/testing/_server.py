"""An OpenAI-compatible endpoint on 127.0.0.1, in the running event loop."""

import asyncio
import json
import socket
from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from agentinfer.testing._connection import ServerConnection
from agentinfer.testing._http import HttpRequest
from agentinfer.testing._script import Script
from agentinfer.testing._steps import Answer, Handler, Step, http

__all__ = ["LoopbackServer"]


class LoopbackServer:
    """An endpoint that answers from a script, over real connections.

    `async with LoopbackServer(say("Hello")) as server:` serves at `server.base_url` and checks at the end that every
    step was asked for. Answers are streamed where the request asks for it. Faults are steps like others: `cut()`,
    `reset()`, `hang()`, `http(429, headers={"retry-after": "1"})`, and so on.

    Args:
        steps: One answer per request.
        handler: Makes the answer to any request instead, of its body.
        protocol: How the model writes calls and answers: `native`, `json` or `tagged`.
        models: The models it lists at `/v1/models`; it answers under any name.
        api_key: Requests with another key are refused, in words that repeat it, as real endpoints do.
        socket: A bound socket to listen at; a free port of 127.0.0.1 unless given.
    """

    def __init__(
        self,
        *steps: Step,
        handler: Handler | None = None,
        protocol: str = "native",
        models: tuple[str, ...] = ("loopback",),
        api_key: str | None = None,
        socket: socket.socket | None = None,
    ) -> None:
        self.script = Script(steps, handler)
        self.protocol = protocol
        self.base_url = ""
        """The address for `Model(base_url=...)`, once the server runs."""
        self.received: list[HttpRequest] = []
        """Every HTTP request, refused ones and those to other paths included."""
        self.connections = 0
        """How many connections were opened in all."""
        self.disconnects = 0
        """How many clients left before their answer's end."""
        self._models = models
        self._api_key = api_key
        self._socket = socket
        self._open: set[ServerConnection] = set()
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The body of every request for a completion."""
        return self.script.requests

    @property
    def bodies(self) -> list[bytes]:
        """The body of every request for a completion, as it was sent."""
        return self.script.bodies

    @property
    def open_connections(self) -> int:
        """How many connections are open."""
        return len(self._open)

    @property
    def answering(self) -> int:
        """How many requests are being answered."""
        return sum(connection.answering for connection in self._open)

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until a condition on this server's counters holds, such as `lambda: server.disconnects == 1`."""
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        where: dict[str, Any] = {"sock": self._socket} if self._socket else {"host": "127.0.0.1", "port": 0}
        self._server = await loop.create_server(lambda: ServerConnection(self), **where, backlog=4096)
        self.base_url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        assert self._server is not None
        self._server.close()
        await asyncio.gather(*[connection.close() for connection in self._open])
        await self._server.wait_closed()
        if exc_type is None:
            self.assert_complete()

    def assert_complete(self) -> None:
        """Check that every step was asked for, and nothing else.

        Raises:
            ScriptError: It was not.
        """
        self.script.assert_complete()

    # For the connections

    def note(self, connection: ServerConnection, *, opened: bool) -> None:
        """Take down that a connection was opened or lost."""
        if opened:
            self.connections += 1
            self._open.add(connection)
        else:
            self._open.discard(connection)
            if connection.answering:
                self.disconnects += 1
                self.script.abandoned += 1
        self._changed.set()

    def changed(self) -> None:
        """Wake who waits for a condition."""
        self._changed.set()

    def answer_to(self, request: HttpRequest) -> Answer:
        """What to answer."""
        self.received.append(request)
        self._changed.set()
        path = request.path.partition("?")[0]
        if (request.method, path) == ("GET", "/v1/models"):
            data = [{"id": name, "object": "model", "created": 0, "owned_by": "loopback"} for name in self._models]
            return http(200, {"object": "list", "data": data})
        if (request.method, path) != ("POST", "/v1/chat/completions"):
            return http(404, {"error": {"message": f"There is no {request.method} {path} here"}})
        key = request.headers.get("authorization", "").removeprefix("Bearer ")
        if self._api_key is not None and key != self._api_key:
            return http(401, {"error": {"message": f"Incorrect API key provided: {key}"}})
        if not _is_object(request.body):
            return http(400, {"error": {"message": "The body is no JSON object"}})
        try:
            return self.script.next(request.body)
        except Exception as error:  # noqa: BLE001 - leaving the server raises it
            return http(400, {"error": {"message": f"The script failed: {error!r}"}})


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except ValueError:
        return False
