"""Serving several models on one port until something ends it."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from agentinfer.errors import LocalModelError, UserError
from agentinfer.local._router import Router
from agentinfer.local._server import LocalServer

_HOST = "127.0.0.1"


class LocalEndpoint:
    """Serves one or more models on one OpenAI-compatible port; a request's `model` says which one it is for.

    Example:
        ```python
        async with LocalEndpoint(["qwen2.5-coder-0.5b-instruct", "mine.gguf"], port=8080) as endpoint:
            await endpoint.watch()
        ```

    Args:
        models: Names of the catalogue, or paths of GGUF files.
        port: The port to open; 0 takes a free one.
        context: Tokens that one request may hold, prompt and answer together.
        slots: Requests that each model serves at a time.
        threads: Threads that each model computes with; by default one per core.
        directory: Where model files lie; by default `models_directory()`.
    """

    def __init__(
        self,
        models: Sequence[str | os.PathLike[str]],
        *,
        port: int = 0,
        context: int = 8192,
        slots: int = 1,
        threads: int | None = None,
        directory: Path | None = None,
    ) -> None:
        self._servers = [
            LocalServer(model, context=context, slots=slots, threads=threads, directory=directory) for model in models
        ]
        self.models = tuple(server.model for server in self._servers)
        """The models' names, as requests give them."""
        if not self.models or len(set(self.models)) < len(self.models):
            raise UserError(f"name at least one model, and none twice: {', '.join(self.models) or 'none given'}")
        self._port = port
        self._base_url = ""
        self._stack = AsyncExitStack()

    @property
    def base_url(self) -> str:
        """The address to give to a client, as `http://127.0.0.1:8080/v1`.

        Raises:
            UserError: The endpoint is not running.
        """
        if not self._base_url:
            raise UserError("the endpoint is not running: enter it with `async with` first")
        return self._base_url

    async def __aenter__(self) -> Self:
        """Load the models one after the other, then open the port.

        Raises:
            LocalModelError: A model cannot be served, or the port is taken.
            MissingExtra: xllamacpp is not installed.
        """
        async with AsyncExitStack() as stack:
            router = Router()
            stack.push_async_callback(router.stop)
            try:
                # Opened first: a taken port is known before minutes of loading.
                port = await router.start(_HOST, self._port)
            except (OSError, OverflowError) as error:
                raise LocalModelError(f"cannot open port {self._port} of {_HOST}: {error}") from error
            for server in self._servers:
                await stack.enter_async_context(server)
                router.add(server.model, server.address)
            self._base_url = f"http://{_HOST}:{port}/v1"
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._base_url = ""
        await self._stack.aclose()

    async def watch(self) -> None:
        """Wait until a model's process ends by itself, which none should.

        Raises:
            LocalModelError: One has ended.
        """
        watches = [asyncio.create_task(server.watch()) for server in self._servers]
        try:
            await asyncio.gather(*watches)
        finally:
            for watch in watches:
                watch.cancel()
