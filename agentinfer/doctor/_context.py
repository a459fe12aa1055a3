"""Probes of the context window. What is sent is bounded."""

import contextlib
import re
from typing import Any

from agentinfer.doctor._endpoint import Endpoint, Heard
from agentinfer.doctor._findings import Finding, Findings, no, unclear, yes
from agentinfer.errors import ConnectionFailed, ContextTooLong, InvalidResponse, StreamCut

__all__ = ["OverlongProbe", "context_told", "known_window"]

_WINDOW = re.compile(
    r"(?:maximum context length|max_model_len|context (?:length|size|window)|n_ctx)\D{0,24}?(\d[\d,]{2,9})",
    re.IGNORECASE,
)
HUGE = 100_000_000
"""More tokens than any reply has."""
FIRST_PIECES = 12
ATTEMPTS = 3


async def context_told(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether a request for a huge reply is refused in words that name the window: costs a few tokens."""
    del found
    huge: dict[str, Any] = {next(iter(endpoint.limit), "max_tokens"): HUGE}
    heard = await endpoint.ask("Say hello.", at_most=FIRST_PIECES, **huge)
    if heard.error is None:
        return no("a huge reply may be asked for")
    window = _window_in(str(heard.error))
    said = f"{window:,} tokens" if window else "refused"
    return (yes if window else unclear)(f"{said}: {heard.refused}", window=window)


class OverlongProbe:
    """Whether a prompt longer than the window is refused in words that the runtime understands.

    Args:
        longest: Tokens, about, of the longest prompt to send.
    """

    def __init__(self, longest: int) -> None:
        self.longest = longest

    async def __call__(self, endpoint: Endpoint, found: Findings) -> Finding:
        """Send a prompt a quarter longer than the window, or the longest one where the window is not known."""
        window = known_window(found)
        length = int(window * 1.25) + 64 if window else self.longest
        if length > self.longest:
            return unclear(f"not tried: no prompt of more than {self.longest:,} tokens is sent")
        heard, broken = await self._send(endpoint, length)
        if heard.error is None:
            read = heard.usage.prompt_tokens if heard.usage else None
            if read and read < length * 0.7:
                return no(f"a prompt of {length:,} tokens was cut to {read:,} without a word", window=read)
            return unclear(f"a prompt of about {length:,} tokens was taken")
        told = _window_in(str(heard.error))
        if broken:
            return no(f"a stream is broken off; told only where none is asked for: {heard.refused}", window=told)
        if isinstance(heard.error, ContextTooLong):
            return yes(str(heard.error), window=told)
        return no(f"refused, but not as too long: {heard.refused}", window=told)

    async def _send(self, endpoint: Endpoint, length: int) -> tuple[Heard, bool]:
        """What came of the prompt, and whether it came only on the second try, without a stream."""
        few: dict[str, Any] = dict.fromkeys(endpoint.limit, 1)
        prompt = " hello" * length
        for attempt in range(ATTEMPTS):  # a stream that breaks off may take its connection along
            stream = endpoint.streams and attempt == 0
            with contextlib.suppress(ConnectionFailed):
                heard = await endpoint.ask(prompt, stream=stream, at_most=FIRST_PIECES, **few)
                if not (stream and isinstance(heard.error, StreamCut | InvalidResponse)):
                    return heard, endpoint.streams and not stream
        raise ConnectionFailed("it breaks off each time")


def known_window(found: Findings) -> int | None:
    """The window that the endpoint has told of, tokens: what it really has before what it lists."""
    places = ("overlong", "context_told", "server", "models")
    return next((window for place in places if (window := found.get_data(place, "window"))), None)


def _window_in(text: str) -> int | None:
    told = _WINDOW.search(text)
    return int(told[1].replace(",", "")) if told else None
