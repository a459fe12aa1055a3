"""Several local models on one port: each request goes to the server of the model it names.

llama.cpp's own routing starts copies of its executable, which there is none of here. Answers are passed on byte
by byte as they come, and a client that goes away ends its generation.
"""

import asyncio
import json
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

_MAX_HEAD = 1 << 16
_MAX_BODY = 1 << 28
_CHUNK = 1 << 16
_LINGER_SECONDS = 1.0


class _Refused(Exception):
    """The request cannot be passed on."""

    def __init__(self, status: str, message: str) -> None:
        super().__init__(message)
        self.status = status


class Router:
    """Passes requests on to the servers of several models."""

    def __init__(self) -> None:
        self._servers: dict[str, str] = {}
        self._handlers: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    def add(self, model: str, address: str) -> None:
        """Take in a model, and the root address of its server."""
        self._servers[model] = address

    async def start(self, host: str, port: int) -> int:
        """Open the port; 0 takes a free one.

        Returns:
            The port.
        """
        self._server = await asyncio.start_server(self._handle, host, port, limit=_MAX_HEAD)
        return int(self._server.sockets[0].getsockname()[1])

    async def stop(self) -> None:
        """Close the port and every connection."""
        if self._server is not None:
            self._server.close()
        for handler in self._handlers:
            handler.cancel()
        await asyncio.gather(*self._handlers, return_exceptions=True)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._handlers.add(task)
        try:
            await self._answer(reader, writer)
        except _Refused as refusal:
            error = {"message": str(refusal), "type": "invalid_request_error"}
            writer.write(_response(refusal.status, {"error": error}))
            # Closing with unread bytes of the request would reset the connection before the answer is read.
            with suppress(OSError):
                await writer.drain()
                writer.write_eof()
                async with asyncio.timeout(_LINGER_SECONDS):
                    await _until_end(reader)
        except (OSError, EOFError, asyncio.LimitOverrunError):
            pass  # the client or the server is gone: closing the connection says it
        except asyncio.CancelledError:
            pass  # only stop() cancels; asyncio would log it as a failure of the connection
        finally:
            self._handlers.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request_line, *lines = head.rstrip("\r\n").split("\r\n")
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        method, target = [*request_line.split(" "), "", ""][:2]
        path = urlsplit(target).path.removeprefix("/v1")
        if method == "GET" and path == "/health":
            writer.write(_response("200 OK", {"status": "ok"}))
        elif method == "GET" and path == "/models":
            models = [{"id": name, "object": "model", "created": 0, "owned_by": "local"} for name in self._servers]
            writer.write(_response("200 OK", {"object": "list", "data": models}))
        elif method == "POST":
            body = await _body(reader, writer, headers)
            await self._pass_on(self._address(body), target, headers, body, reader, writer)
        else:
            raise _Refused("404 Not Found", f"nothing to {method} at {target}")
        await writer.drain()

    def _address(self, body: bytes) -> str:
        try:
            request = json.loads(body)
        except ValueError:
            raise _Refused("400 Bad Request", "the body is not JSON") from None
        name = request.get("model") if isinstance(request, dict) else None
        if not isinstance(name, str) or name not in self._servers:
            raise _Refused("404 Not Found", f"no model {name!r} here; models: {', '.join(self._servers)}")
        return self._servers[name]

    async def _pass_on(
        self,
        address: str,
        target: str,
        headers: dict[str, str],
        body: bytes,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        server = urlsplit(address)
        try:
            answer, request = await asyncio.open_connection(server.hostname, server.port)
        except OSError:
            raise _Refused("502 Bad Gateway", "the model's server is gone") from None
        passed = "".join(
            f"{name}: {value}\r\n" for name, value in headers.items() if name in {"accept", "content-type"}
        )
        request.write(
            f"POST {target} HTTP/1.1\r\nHost: {server.netloc}\r\n{passed}"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode("latin-1")
        )
        request.write(body)
        copy = asyncio.create_task(_copy(answer, writer))
        gone = asyncio.create_task(_until_end(reader))
        try:
            await request.drain()
            await asyncio.wait({copy, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            copy.cancel()
            gone.cancel()
            await asyncio.gather(copy, gone, return_exceptions=True)
            request.close()


async def _until_end(reader: asyncio.StreamReader) -> None:
    while await reader.read(_CHUNK):
        pass


async def _copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while chunk := await source.read(_CHUNK):
        target.write(chunk)
        await target.drain()


async def _body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: dict[str, str]) -> bytes:
    length = headers.get("content-length", "")
    if not length.isdecimal():
        raise _Refused("411 Length Required", "send the body with a Content-Length")
    if int(length) > _MAX_BODY:
        raise _Refused("413 Content Too Large", f"the body is longer than {_MAX_BODY:,} bytes")
    if headers.get("expect", "").lower() == "100-continue":
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    return await reader.readexactly(int(length))


def _response(status: str, content: dict[str, Any]) -> bytes:
    body = json.dumps(content).encode()
    head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Connection: close\r\n\r\n".encode() + body
