"""An endpoint under examination: requests as the runtime writes them, answers as it reads them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx

from agentinfer.errors import AuthenticationFailed, CallTimeout, ConnectionFailed, ModelError, RateLimited
from agentinfer.models._accumulate import Accumulator, ReportedUsage
from agentinfer.models._address import Address
from agentinfer.models._backend import END, Connection, Timeouts
from agentinfer.models._codec import dumps
from agentinfer.models._http import HttpBackend
from agentinfer.protocol import RawReply

__all__ = ["Endpoint", "Heard", "open_endpoint"]

CONNECT_SECONDS = 10.0
MAX_LISTING_BYTES = 8 * 1024 * 1024
"""A longer list of models is not read."""
MAX_PIECES = 5_000
"""Of one streamed reply; after them the connection is left."""
PATIENCE = 3
"""How often a request is sent that the endpoint turns away for coming too fast."""
MAX_WAIT_SECONDS = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What came of one request."""

    reply: RawReply = field(default_factory=RawReply)
    usage: ReportedUsage | None = None
    finish_reason: str | None = None
    error: ModelError | None = None
    pieces: int = 0
    """Chunks that arrived."""
    done: bool = False
    """Whether the endpoint said that the reply is whole."""
    reasoning_field: str | None = None
    """Where reasoning came, if any did."""
    seconds: float = 0.0

    @property
    def text(self) -> str:
        """What the model wrote."""
        return self.reply.text

    @property
    def refused(self) -> str:
        """Why there is no reply; empty where there is one."""
        return "" if self.error is None else f"{type(self.error).__name__}: {self.error}"


class Endpoint:
    """A model at an address.

    Args:
        connection: Carries the requests.
        address: Where it is.
        model: The model's name there.
        secrets: Blotted out of whatever it answers.
    """

    def __init__(self, connection: Connection, address: Address, model: str, secrets: Sequence[str] = ()) -> None:
        self.model = model
        self.address = address
        self.options: dict[str, Any] = {}
        """Fields of every request; probes learn which the endpoint takes."""
        self.streams = False
        """Whether requests ask for a stream where nothing is said."""
        self.stream_options: dict[str, Any] | None = None
        """Sent with requests for a stream."""
        self._connection = connection
        self._secrets = secrets

    @property
    def limit(self) -> dict[str, int]:
        """The field that limits a reply's length, where its requests carry one."""
        return {name: value for name, value in self.options.items() if name.startswith("max_")}

    def hide(self, text: str) -> str:
        """A text without secrets, which endpoints repeat in their refusals. To be done before it is shortened."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    async def ask(
        self,
        messages: str | Sequence[Mapping[str, Any]],
        *,
        stream: bool | None = None,
        at_most: int = MAX_PIECES,
        **fields: Any,
    ) -> Heard:
        """Send one request.

        Args:
            messages: The messages, or one of the user.
            stream: Whether to ask for a stream.
            at_most: Chunks to read.
            fields: Further fields of the body; `None` leaves one out.

        Raises:
            ModelError: What happened says nothing about the request: no connection, a wrong key, too many requests.
        """
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        stream = self.streams if stream is None else stream
        streaming = {"stream": True, "stream_options": self.stream_options} if stream else {}
        body = {"model": self.model, "messages": messages, **self.options, **streaming, **fields}
        return await self.send({name: value for name, value in body.items() if value is not None}, at_most=at_most)

    async def send(self, body: Any, *, at_most: int = MAX_PIECES) -> Heard:
        """Send a body as it is; one that the endpoint turns away for coming too fast is sent again.

        Raises:
            ModelError: What happened says nothing about the request: no connection, a wrong key, too many requests.
        """
        for attempt in range(1, PATIENCE):
            try:
                return await self._hear(body, at_most)
            except RateLimited as error:
                await asyncio.sleep(min(error.retry_after or attempt, MAX_WAIT_SECONDS))
        return await self._hear(body, at_most)

    async def _hear(self, body: Any, at_most: int) -> Heard:
        accumulator, pieces, done, where = Accumulator(), 0, False, None
        error: ModelError | None = None
        reply = RawReply()
        stream = isinstance(body, dict) and bool(body.get("stream"))
        started = time.perf_counter()
        try:
            async with aclosing(self._connection.chunks(dumps(body), stream=stream)) as chunks:
                async for chunk in chunks:
                    if chunk is END or pieces >= at_most:
                        done = chunk is END
                        break
                    pieces += 1
                    accumulator.add(chunk)
                    where = where or _reasoning_field(chunk)
            reply = accumulator.finish(think_tags=True, whole=done or pieces >= at_most)
        except ModelError as failure:
            failure.args = (self.hide(str(failure)),)
            if isinstance(failure, AuthenticationFailed | CallTimeout | ConnectionFailed | RateLimited):
                raise
            error = failure
        return Heard(
            reply=self._hidden(reply),
            usage=accumulator.usage,
            finish_reason=accumulator.finish_reason,
            error=error,
            pieces=pieces,
            done=done,
            reasoning_field=where or ("<think>" if reply.reasoning else None),
            seconds=time.perf_counter() - started,
        )

    def _hidden(self, reply: RawReply) -> RawReply:
        calls = tuple(replace(call, arguments=self.hide(call.arguments)) for call in reply.tool_calls)
        return replace(reply, text=self.hide(reply.text), tool_calls=calls)

    async def with_key(self, key: str) -> Heard:
        """Send a short request with another key."""
        address = Address(self.address.url, api_key=key)
        async with HttpBackend(address).open(Timeouts(connect=CONNECT_SECONDS)) as connection:
            other = Endpoint(connection, address, self.model)
            other.options = self.options
            return await other.ask("Say hello.")

    async def get(self, path: str, *, at_root: bool = False) -> tuple[Any, Mapping[str, str]]:
        """The JSON at a path of the endpoint, or of its server's root, and the answer's headers.

        Raises:
            ConnectionFailed: There is no JSON there, or too much of it.
        """
        parts = urlsplit(self.address.url)
        base = "" if at_root else parts.path.removesuffix("/chat/completions")
        url = urlunsplit(parts._replace(path=base + path, query="" if at_root else parts.query))
        timeout = httpx.Timeout(None, connect=CONNECT_SECONDS)
        read = bytearray()
        try:
            async with (
                httpx.AsyncClient(timeout=timeout, headers=self.address.headers) as client,
                client.stream("GET", url) as answer,
            ):
                async for piece in answer.aiter_bytes():
                    read += piece
                    if len(read) > MAX_LISTING_BYTES:
                        raise ConnectionFailed(f"GET {path} does not end")
            if answer.status_code != 200:
                raise ConnectionFailed(f"GET {path} was answered {answer.status_code}")
            return json.loads(self.hide(read.decode(errors="replace"))), answer.headers
        except httpx.HTTPError as error:
            raise ConnectionFailed(f"GET {path} failed: {str(error) or type(error).__name__}") from None
        except (ValueError, RecursionError):
            raise ConnectionFailed(f"GET {path} gave something that is not JSON") from None


@asynccontextmanager
async def open_endpoint(address: Address, model: str, secrets: Sequence[str] = ()) -> AsyncIterator[Endpoint]:
    """An endpoint with its connections open."""
    async with HttpBackend(address).open(Timeouts(connect=CONNECT_SECONDS)) as connection:
        yield Endpoint(connection, address, model, secrets)


def _reasoning_field(chunk: Any) -> str | None:
    """The field of a chunk that holds reasoning."""
    choices = chunk.get("choices") if isinstance(chunk, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    message = choice.get("delta") or choice.get("message")
    if not isinstance(message, dict):
        return None
    return next(
        (name for name in ("reasoning_content", "reasoning") if isinstance(message.get(name), str) and message[name]),
        None,
    )
