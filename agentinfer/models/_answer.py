"""What an HTTP answer says, whatever carried it: events, one completion, or a refusal."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import suppress
from typing import Any

from agentinfer.errors import InvalidResponse, ModelError
from agentinfer.models._backend import END
from agentinfer.models._faults import error_of_status, not_json
from agentinfer.models._sse import EventParser, parse_event

__all__ = ["read_answer"]

MAX_BODY_BYTES = 64 * 1024 * 1024
"""A longer answer is a broken server."""
MAX_REFUSAL_BYTES = 65_536
"""Of a refusal the beginning is enough."""
END_SECONDS = 0.5
"""How long to wait, after the last event of a stream, for the end of its body; then its connection is given up."""


async def read_answer(
    status: int, headers: Mapping[str, str], pieces: AsyncIterator[bytes], *, stream: bool
) -> AsyncGenerator[Any, None]:
    """The parsed chunks of an answer, as `Connection.chunks` gives them.

    Args:
        status: The HTTP status.
        headers: Its headers, by lower-case names.
        pieces: Its body.
        stream: Whether a stream was asked for.

    Raises:
        ModelError: It is a refusal, or not what was asked for.
    """
    content_type = headers.get("content-type", "")
    if status != 200:
        raise error_of_status(status, headers, await _read(pieces, MAX_REFUSAL_BYTES))
    if stream and "text/event-stream" in content_type.lower():
        parser = EventParser()
        async for piece in pieces:
            for data in parser.feed(piece):
                event = parse_event(data)
                if event is END:
                    await _read_to_end(pieces)
                    yield END
                    return
                yield event
        for data in parser.flush():
            yield parse_event(data)
        return
    answer = await _read(pieces, MAX_BODY_BYTES)
    if len(answer) > MAX_BODY_BYTES:
        raise InvalidResponse("The endpoint's answer does not end")
    try:
        completion = json.loads(answer)
    except (ValueError, RecursionError):
        raise not_json(content_type, answer) from None
    yield completion
    yield END


async def _read(pieces: AsyncIterator[bytes], limit: int) -> bytes:
    """The body, up to a little more than the limit."""
    read, size = [], 0
    async for piece in pieces:
        read.append(piece)
        size += len(piece)
        if size > limit:
            break
    return b"".join(read)


async def _read_to_end(pieces: AsyncIterator[bytes]) -> None:
    """Read what follows the last event, usually nothing: only a body read to its end leaves its connection usable."""
    with suppress(TimeoutError, OSError, ModelError):
        async with asyncio.timeout(END_SECONDS):
            async for _ in pieces:
                pass
