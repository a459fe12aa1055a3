"""One connection to a loopback server: requests in, scripted answers and faults out."""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from agentinfer.errors import ConnectionFailed, ModelError, StreamCut
from agentinfer.models import END
from agentinfer.testing._http import BadRequest, HttpRequest, answer_bytes, chunk_bytes, head_bytes, take_request
from agentinfer.testing._render import Broken, refusal, render
from agentinfer.testing._steps import Break, HttpAnswer, ScriptedReply

if TYPE_CHECKING:
    from agentinfer.testing._server import LoopbackServer

__all__ = ["ServerConnection"]

_EVENT_STREAM = {"content-type": "text/event-stream", "transfer-encoding": "chunked"}


class ServerConnection(asyncio.Protocol):
    """Answers one request after the other.

    Args:
        server: Whose connection this is.
    """

    def __init__(self, server: "LoopbackServer") -> None:
        self._server = server
        self._buffer = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport | None = None
        self._lost = asyncio.Event()

    @property
    def answering(self) -> bool:
        """Whether a request is being answered."""
        return self._task is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._server.note(self, opened=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone, or was sent away."""
        self._server.note(self, opened=False)
        if self._task is not None:
            self._task.cancel()
        self._lost.set()

    def data_received(self, data: bytes) -> None:
        """More of a request."""
        self._buffer += data
        self._go_on()

    async def close(self) -> None:
        """Send the client away."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        assert self._transport is not None
        self._transport.abort()
        await self._lost.wait()

    def _go_on(self) -> None:
        if self._task is not None or self._transport is None or self._transport.is_closing():
            return
        try:
            request = take_request(self._buffer)
        except BadRequest as error:
            self._transport.write(answer_bytes(400, {"connection": "close"}, str(error).encode()))
            self._transport.close()
            return
        if request is not None:
            self._task = asyncio.get_running_loop().create_task(self._answer(request), name="loopback answer")

    async def _answer(self, request: HttpRequest) -> None:
        assert self._transport is not None
        answer = self._server.answer_to(request)
        how = "end"
        try:
            if isinstance(answer, HttpAnswer):
                self._transport.write(answer_bytes(answer.status, answer.headers, answer.body))
            else:
                number = len(self._server.bodies)
                await _Writer(self._transport, answer).send(json.loads(request.body), self._server.protocol, number)
        except Broken as broken:
            how = broken.how
        except Exception as error:  # noqa: BLE001 - leaving the server raises it
            self._server.script.failed(error)
            how = "cut"
        self._task = None
        if how == "reset":
            self._reset()
        elif how == "cut":
            self._transport.close()
        self._server.changed()
        self._go_on()

    def _reset(self) -> None:
        assert self._transport is not None
        connection: socket.socket = self._transport.get_extra_info("socket")
        with contextlib.suppress(OSError):  # the client was faster
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()


class _Writer:
    """Sends one reply, as events or as one JSON body."""

    def __init__(self, transport: asyncio.Transport, reply: ScriptedReply) -> None:
        self._transport = transport
        self._reply = reply
        self._begun = False
        limits = (part.at_byte for part in reply.parts if isinstance(part, Break))
        self._left = next((limit for limit in limits if limit is not None), None)

    async def send(self, request: Mapping[str, Any], protocol: str, number: int) -> None:
        """Send the reply to a request.

        Raises:
            Broken: The connection is to be broken here.
        """
        streams = bool(request.get("stream"))
        try:
            async with aclosing(render(self._reply, request, protocol=protocol, number=number)) as chunks:
                async for chunk in chunks:
                    if streams:
                        self._write_event(b"[DONE]" if chunk is END else json.dumps(chunk).encode())
                    elif chunk is not END:
                        self._write_body(json.dumps(chunk).encode())
                        return
        except ModelError as error:
            self._write_error(error)
            if not self._begun:
                return
        except Broken as broken:
            if broken.how != "end" or not (self._begun or streams):
                raise
            self._begin()
        if self._begun:
            self._transport.write(chunk_bytes(b""))
        elif not streams:
            self._write_body(b"")

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            self._transport.write(head_bytes(200, _EVENT_STREAM))

    def _write_event(self, data: bytes) -> None:
        self._begin()
        event = b"data: " + data + b"\n\n"
        kept = self._within_limit(event)
        if kept:
            self._transport.write(chunk_bytes(kept))
        if len(kept) < len(event):
            raise Broken("cut")

    def _write_body(self, body: bytes) -> None:
        kept = self._within_limit(body)
        headers = {"content-type": "application/json", "content-length": str(len(body))}
        self._transport.write(head_bytes(200, headers) + kept)
        if len(kept) < len(body):
            raise Broken("cut")

    def _within_limit(self, data: bytes) -> bytes:
        if self._left is None:
            return data
        kept = data[: self._left]
        self._left -= len(kept)
        return kept

    def _write_error(self, error: ModelError) -> None:
        if isinstance(error, ConnectionFailed | StreamCut):
            raise Broken("cut")
        answer = refusal(error)
        if self._begun:
            self._write_event(answer.body)
        else:
            self._transport.write(answer_bytes(answer.status, answer.headers, answer.body))
