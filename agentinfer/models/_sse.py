"""Server-sent events, as far as Chat Completions uses them: the data of each event."""

import json
from collections.abc import Iterator
from typing import Any

from agentinfer.errors import InvalidResponse
from agentinfer.models._backend import END

__all__ = ["EventParser", "parse_event"]

MAX_EVENT_BYTES = 32 * 1024 * 1024
"""A longer event is a broken server."""


class EventParser:
    """Cuts a byte stream into the data of its events, however it was cut into pieces."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """The data of every event that this piece completes.

        Raises:
            InvalidResponse: An event is longer than any reply.
        """
        *lines, self._rest = (self._rest + piece).replace(b"\r\n", b"\n").split(b"\n")
        if len(self._rest) > MAX_EVENT_BYTES:
            raise InvalidResponse("The endpoint sent an event without an end")
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:].strip())
            elif not line.strip():
                yield from self._take()

    def flush(self) -> Iterator[bytes]:
        """The data of the event that was being read when the stream ended."""
        if self._rest.startswith(b"data:"):
            self._data.append(self._rest[5:].strip())
            self._rest = b""
        yield from self._take()

    def _take(self) -> Iterator[bytes]:
        if self._data:
            data, self._data = b"\n".join(self._data), []
            yield data


def parse_event(data: bytes) -> Any:
    """The JSON of an event, or `END`.

    Raises:
        InvalidResponse: It is not JSON.
    """
    if data == b"[DONE]":
        return END
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise InvalidResponse(f"The endpoint sent an event that is not JSON: {data[:120]!r}") from None
