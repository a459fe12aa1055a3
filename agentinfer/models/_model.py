"""A model served at an endpoint: requests written, sent, retried, timed, and read."""

import asyncio
import copy
import os
import weakref
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from functools import lru_cache
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self
from urllib.parse import urlsplit

from agentinfer._threads import run_in_thread
from agentinfer.errors import ModelError, UserError
from agentinfer.models._address import Address
from agentinfer.models._backend import Backend, Connection, Timeouts
from agentinfer.models._call import attempt_call
from agentinfer.models._codec import WireCodec, wishes_of
from agentinfer.models._profile import Profile, profile_for
from agentinfer.models._request import Completion, Delta, ModelRequest, Sampling
from agentinfer.models._retry import RetryPolicy
from agentinfer.models._session import Session
from agentinfer.output import Output
from agentinfer.protocol import PROTOCOLS, ActionProtocol, Wishes
from agentinfer.tokens import TokenCounter, counter_for
from agentinfer.tools import ToolSet
from agentinfer.usage import Pricing

if TYPE_CHECKING:
    import httpx
    import openai

__all__ = ["Model", "secrets_of"]

LOCAL_CONTEXT = 8192
"""Tokens of context of a local model, unless its server is told otherwise."""


class Model:
    """A model at an OpenAI-compatible endpoint.

    `async with model:` keeps its connections open; without it every run opens and closes them.

    Args:
        name: The model's name at the endpoint.
        base_url: The endpoint's address, usually ending in `/v1`.
        api_key: The endpoint's key. It is never shown in errors, logs, events or reprs.
        client: A configured `openai.AsyncOpenAI` (2.x or 3.x) to use instead of `base_url`.
        backend: Another way to reach the model, instead of `base_url` or `client`.
        profile: What the endpoint can do: a `Profile`, the name of a known one, or the path of a `.toml` file that
            `agentinfer doctor` wrote.
        protocol: How the model says what to do: `native`, `json`, `tagged`, or an `ActionProtocol` of your own;
            the profile's unless given.
        sampling: How the model is to write, where a request does not say.
        timeouts: How long to wait for what.
        retry: When a failed call is sent again.
        pricing: What its tokens cost; without it costs are unknown.
        context_window: Tokens of prompt and completion together, where known.
        max_concurrency: How many calls may be at work at once; more wait for their turn.
        stream: Whether replies are streamed. Streaming finds stalls early and keeps what arrived before a failure;
            `False` costs the least CPU.
        headers: Further headers of every request.
        transport: `httpx`, `httptools` (the fastest; needs the extra `fast`, knows no proxies), or an httpx transport
            of your own.
        counter: Counts tokens; the best one that needs no network unless given.

    Raises:
        UserError: The arguments do not go together.
    """

    def __init__(
        self,
        name: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        client: "openai.AsyncOpenAI | None" = None,
        backend: Backend | None = None,
        profile: Profile | str | os.PathLike[str] | None = None,
        protocol: Literal["native", "json", "tagged"] | ActionProtocol | None = None,
        sampling: Sampling | None = None,
        timeouts: Timeouts | None = None,
        retry: RetryPolicy | None = None,
        pricing: Pricing | None = None,
        context_window: int | None = None,
        max_concurrency: int | None = None,
        stream: bool = True,
        headers: Mapping[str, str] | None = None,
        transport: "Literal['httpx', 'httptools'] | httpx.AsyncBaseTransport" = "httpx",
        counter: TokenCounter | None = None,
    ) -> None:
        self.name = name
        if (base_url is not None) + (client is not None) + (backend is not None) != 1:
            raise UserError("Model needs one of base_url=, client= and backend=")
        self.backend = backend or _backend_of(base_url, api_key, client, headers, transport)
        self._secrets = secrets_of(base_url, api_key or getattr(client, "api_key", None), headers)
        self.profile = profile_for(profile, self.backend.endpoint)
        self.protocol = _protocol_of(protocol or self.profile.protocol)
        self.sampling = sampling or Sampling()
        self.timeouts = timeouts or Timeouts()
        self.retry = retry or RetryPolicy()
        self.pricing = pricing
        self.context_window = context_window or self.profile.context_window
        self.stream = stream and self.profile.stream
        self.counter = counter or counter_for(name)
        self._codecs = lru_cache(maxsize=64)(self._make_codec)
        self._max_concurrency = max_concurrency or self.profile.max_concurrency
        self._sessions: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Session] = weakref.WeakKeyDictionary()

    @classmethod
    def from_env(cls, **settings: Any) -> Self:
        """A model named by `OPENAI_BASE_URL`, `OPENAI_API_KEY` and `AGENTINFER_MODEL`.

        Args:
            settings: Further arguments of `Model`.

        Raises:
            UserError: `AGENTINFER_MODEL` is not set.
        """
        name = os.environ.get("AGENTINFER_MODEL")
        if not name:
            raise UserError("Set AGENTINFER_MODEL to the model's name (and OPENAI_BASE_URL, OPENAI_API_KEY as needed)")
        base_url = os.environ.get("OPENAI_BASE_URL") or "https://api.openai.com/v1"
        return cls(name, base_url=base_url, api_key=os.environ.get("OPENAI_API_KEY") or None, **settings)

    @classmethod
    def local(cls, name: str, *, server: Mapping[str, Any] | None = None, **settings: Any) -> Self:
        """A model served on this machine: started when opened, stopped when closed. Needs the extra `local`.

        Args:
            name: A name of the catalogue (`agentinfer models list`), or the path of a GGUF file.
            server: Further arguments of `agentinfer.local.LocalServer`, such as `context` and `threads`.
            settings: Further arguments of `Model`.
        """
        from agentinfer.models._local import LocalBackend

        window = (server or {}).get("context", LOCAL_CONTEXT)
        backend = LocalBackend(name, **{"context": window, **(server or {})})
        # Small models keep to a form and to the facts best when they write what is likeliest.
        sampling = Sampling(temperature=0.0)
        defaults = {"backend": backend, "profile": "local", "context_window": window, "sampling": sampling}
        return cls(name, **{**defaults, **settings})

    def speaking(self, protocol: ActionProtocol) -> Self:
        """This model under another protocol; the two share connections, turns, and what the counter has learned."""
        other = copy.copy(self)
        other.protocol = protocol
        other._codecs = lru_cache(maxsize=64)(other._make_codec)
        return other

    @property
    def endpoint(self) -> str:
        """What tells this model's endpoint from others, without secrets."""
        return self.backend.endpoint

    def __repr__(self) -> str:
        return f"Model({self.name!r}, endpoint={self.endpoint!r})"

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        session = self._sessions.get(loop)
        if session is None:
            session = self._sessions[loop] = Session(self._max_concurrency)
        await session.enter(self._open)
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._sessions[asyncio.get_running_loop()].leave()

    async def _open(self, stack: AsyncExitStack) -> Connection:
        await run_in_thread(self.counter.prepare)
        return await stack.enter_async_context(self.backend.open(self.timeouts))

    def codec(self, tools: ToolSet, output: Output[Any] | None) -> WireCodec:
        """How messages are written for this model, given the tools and the answer's type."""
        return self._codecs(tools, output)

    def _make_codec(self, tools: ToolSet, output: Output[Any] | None) -> WireCodec:
        return WireCodec(self.profile, self.protocol, self.counter, tools, output)

    def wishes(self, request: ModelRequest) -> Wishes:
        """What the model's protocol would like a request to carry."""
        return wishes_of(self.protocol, request.tools, request.output, request.choice)

    async def complete(
        self,
        request: ModelRequest,
        *,
        on_delta: Callable[[Delta], None] | None = None,
    ) -> Completion:
        """Make one call.

        A call that fails before any of its reply has arrived is sent again, as the retry policy says; after that it
        is not. Cancelling closes the connection.

        Args:
            request: What to ask.
            on_delta: Called with each piece of the reply as it arrives.

        Returns:
            The reply, read by the model's protocol, and what it took.

        Raises:
            ModelError: The call failed; `partial` holds what had arrived. Of several attempts it is the last one's.
        """
        async with self, self._sessions[asyncio.get_running_loop()].turn(request.deadline) as connection:
            now = asyncio.get_running_loop().time()
            ends = [end for end in (request.deadline, now + (self.timeouts.call or 1e9)) if end is not None]
            attempt = 0
            while True:
                attempt += 1
                try:
                    completion = await attempt_call(self, connection, request, on_delta, min(ends))
                    return completion if attempt == 1 else completion.replace(attempts=attempt)
                except ModelError as error:
                    error.attempts = attempt
                    self._hide_secrets(error)
                    remaining = min(ends) - asyncio.get_running_loop().time()
                    delay = self.retry.delay(error, attempt, remaining=remaining)
                    if delay is None:
                        raise
                await asyncio.sleep(delay)

    def _hide_secrets(self, error: ModelError) -> None:
        """Endpoints repeat keys in their refusals."""
        text = str(error)
        for secret in self._secrets:
            text = text.replace(secret, "***")
        error.args = (text, *error.args[1:])


def _backend_of(
    base_url: str | None,
    api_key: str | None,
    client: "openai.AsyncOpenAI | None",
    headers: Mapping[str, str] | None,
    transport: "Literal['httpx', 'httptools'] | httpx.AsyncBaseTransport",
) -> Backend:
    if client is not None:
        if api_key or headers:
            raise UserError("A client brings its own key and headers: set them there")
        from agentinfer.models._sdk import SdkBackend

        return SdkBackend(client)
    address = Address(base_url or "", api_key=api_key, headers=headers)
    if transport == "httptools":
        from agentinfer.models._httptools import HttptoolsBackend

        return HttptoolsBackend(address)
    from agentinfer.models._http import HttpBackend

    if isinstance(transport, str) and transport != "httpx":
        raise UserError(f"There is no transport {transport!r}: httpx or httptools")
    return HttpBackend(address, transport=None if isinstance(transport, str) else transport)


def secrets_of(base_url: str | None, api_key: object, headers: Mapping[str, str] | None) -> tuple[str, ...]:
    """What an endpoint may repeat in a refusal and nobody should see; short texts are no secrets."""
    values = [api_key, *(headers or {}).values(), urlsplit(base_url or "").password]
    words = [word for value in values if isinstance(value, str) for word in value.split()]
    return tuple(sorted((word for word in words if len(word) >= 6), key=len, reverse=True))


def _protocol_of(protocol: str | ActionProtocol) -> ActionProtocol:
    if not isinstance(protocol, str):
        return protocol
    if protocol not in PROTOCOLS:
        raise UserError(f"There is no protocol {protocol!r}. Protocols: {', '.join(sorted(PROTOCOLS))}")
    return PROTOCOLS[protocol]
