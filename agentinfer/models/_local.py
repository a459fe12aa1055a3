"""A local model as a backend: its server is started when the backend is opened, and stopped when it is left."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from agentinfer.models._address import Address
from agentinfer.models._backend import Connection, Timeouts
from agentinfer.models._http import HttpBackend

__all__ = ["LocalBackend"]


class LocalBackend:
    """A GGUF model served on this machine.

    Args:
        model: A name of the catalogue, or the path of a GGUF file.
        settings: Further arguments of `agentinfer.local.LocalServer`.
    """

    def __init__(self, model: str, **settings: Any) -> None:
        self._model = model
        self._settings = settings
        self.endpoint = f"local:{model}"

    @asynccontextmanager
    async def open(self, timeouts: Timeouts) -> AsyncIterator[Connection]:
        """Start the server, which takes seconds."""
        from agentinfer.local import LocalServer

        async with (
            LocalServer(self._model, **self._settings) as server,
            HttpBackend(Address(server.base_url)).open(timeouts) as connection,
        ):
            yield connection
