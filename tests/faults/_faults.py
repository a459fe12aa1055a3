"""Faults: what becomes of an answer on its way, as bytes, waits and breaks."""

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, TypeAlias

__all__ = ["FAULTS", "Action", "Answer", "Break", "Fault", "whole"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's answer."""

    status: int
    content_type: str
    body: bytes

    @property
    def pieces(self) -> list[bytes]:
        """The body, by events where it is a stream of them."""
        if not self.streams:
            return [self.body]
        return [event + b"\n\n" for event in self.body.split(b"\n\n") if event]

    @property
    def streams(self) -> bool:
        """Whether it is a stream of events."""
        return "event-stream" in self.content_type

    @property
    def head(self) -> bytes:
        """Status line and headers."""
        return self.head_with(self.status, f"content-length: {len(self.body)}")

    def head_with(self, status: int, *headers: str) -> bytes:
        """Status line and headers with other contents; a stream is always chunked."""
        framing = ("transfer-encoding: chunked",) if self.streams and status == 200 else headers
        lines = [f"HTTP/1.1 {status} Status", f"content-type: {self.content_type}", *framing]
        return "\r\n".join([*lines, "", ""]).encode()

    def framed(self, pieces: list[bytes]) -> list[bytes]:
        """Pieces of the body as they go over the wire; a stream has an empty one at its end."""
        return [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""]] if self.streams else pieces

    @property
    def wire(self) -> list[bytes]:
        """All of it."""
        return [self.head, *self.framed(self.pieces)]


@dataclass(frozen=True, slots=True)
class Break:
    """The end of a connection: closed, reset, or left open without another word."""

    how: Literal["close", "reset", "hang"]


Action: TypeAlias = bytes | float | Break
"""Send, wait for so many seconds, or break."""

Fault: TypeAlias = Callable[[random.Random, Answer], Iterator[Action]]


def whole(rng: random.Random, answer: Answer) -> Iterator[Action]:
    """No fault."""
    yield from answer.wire


def delay(rng: random.Random, answer: Answer) -> Iterator[Action]:
    """It comes late, sometimes too late."""
    yield rng.choice((0.02, 0.1, 0.6))
    head, *pieces = answer.wire
    yield head
    for piece in pieces:
        if rng.random() < 0.1:
            yield rng.choice((0.02, 0.1, 0.6))
        yield piece


def reset(rng: random.Random, answer: Answer) -> Iterator[Action]:
    """The connection is reset somewhere, or before anything is said."""
    yield from _up_to(rng, answer)
    yield Break("reset")


def truncate(rng: random.Random, answer: Answer) -> Iterator[Action]:
    """The connection ends somewhere."""
    yield from _up_to(rng, answer)
    yield Break("close")


def truncate_head(rng: random.Random, answer: Answer) -> Iterator[Action]:
    """The connection ends among the headers."""
    yield answer.head[: rng.randrange(len(answer.head))]
    yield Break(rng.choice(("close", "reset")))


def throttle(rng: random.Random, answer: Answer) -> Iterator[Action]:
    """So many bytes per second and no more."""
    wire, per_tick = b"".join(answer.wire), round(rng.choice((5_000, 20_000, 100_000)) / 50)
    for start in range(0, len(wire), per_tick):
        yield wire[start : start + per_tick]
        yield 1 / 50


def black_hole(rng: random.Random, answer: Answer) -> Iterator[Action]:
    """The connection stays open, and nothing (more) comes."""
    yield from rng.choice((lambda *_: (), _up_to))(rng, answer)
    yield Break("hang")


def storm(rng: random.Random, answer: Answer) -> Iterator[Action]:
    """Too many requests, or none served for now; when to come back is said, not said, or said in vain."""
    status = rng.choice((429, 503))
    words = json.dumps({"error": {"message": "slow down", "code": status}}).encode()
    when = rng.choice((None, "0", "0.02", "1000000", "soon", "-3", "Fri, 21 Nov 2025 09:00:00 GMT"))
    headers = [] if when is None else [f"retry-after: {when}"]
    yield answer.head_with(status, f"content-length: {len(words)}", *headers) + words


def garbage(rng: random.Random, answer: Answer) -> Iterator[Action]:
    """Bytes without meaning instead of the answer, within its body, or after it."""
    noise = rng.randbytes(rng.randrange(1, 3000))
    where = rng.choice(("instead", "body", "event", "frame", "after"))
    head, *pieces = answer.wire
    at = rng.randrange(len(pieces))
    if where == "instead":
        yield noise
    elif where == "body":
        yield answer.head_with(200, f"content-length: {len(noise)}")
        yield from answer.framed([noise])
    elif where == "event" and answer.streams:
        events = answer.pieces
        yield head
        yield from answer.framed([*events[:at], b"data: " + noise + b"\n\n", *events[at:]])
    elif where == "frame":
        yield from (head, *pieces[:at], noise, *pieces[at:])
    else:
        yield from (head, *pieces, noise)
    yield Break(rng.choice(("close", "reset", "hang")))


def duplicate(rng: random.Random, answer: Answer) -> Iterator[Action]:
    """Events that come twice."""
    again = [piece for piece in answer.pieces for _ in range(1 + (answer.streams and rng.random() < 0.2))]
    yield answer.head
    yield from answer.framed(again)


def split(rng: random.Random, answer: Answer) -> Iterator[Action]:
    """Events in pieces of a few bytes."""
    yield answer.head
    if not answer.streams:
        yield answer.body
        return
    body, start, most = answer.body, 0, rng.choice((3, 30, 300))
    pieces = []
    while start < len(body):
        size = rng.randint(1, most)
        pieces.append(body[start : start + size])
        start += size
    framed = b"".join(answer.framed(pieces))
    cut = rng.randrange(len(framed))
    yield from (framed[:cut], framed[cut:])


def wrong_length(rng: random.Random, answer: Answer) -> Iterator[Action]:
    """A content length that is not that of the body, or a chunk's that is not its own."""
    wrong = max(0, len(answer.body) + rng.choice((-1000, -30, -1, 1, 30, 10**6)))
    if answer.streams:
        at = rng.randrange(len(answer.pieces))
        pieces = answer.framed(answer.pieces)
        size, _, rest = pieces[at].partition(b"\r\n")
        pieces[at] = b"%x\r\n%b" % (max(1, int(size, 16) + rng.choice((-9, -1, 1, 9, 10**6))), rest)
        yield from (answer.head, *pieces)
    else:
        yield answer.head_with(answer.status, f"content-length: {wrong}")
        yield answer.body
    if rng.random() < 0.5:
        yield Break(rng.choice(("close", "hang")))


def unasked(rng: random.Random, answer: Answer) -> Iterator[Action]:
    """Behind the answer comes another one that nobody asked for: it must not be taken for that to the next request."""
    stale = b'{"choices": [{"message": {"content": "stale"}, "finish_reason": "stop"}]}'
    second = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(stale), stale)
    *wire, last = answer.wire
    yield from wire
    yield last + second


def early_close(rng: random.Random, answer: Answer) -> Iterator[Action]:
    """The answer is whole and promises a connection to go on with, which then ends."""
    yield from answer.wire
    yield rng.choice((0.0, 0.005))
    yield Break(rng.choice(("close", "reset")))


def _up_to(rng: random.Random, answer: Answer) -> Iterator[Action]:
    """The answer up to some byte of it."""
    left = rng.randrange(sum(map(len, answer.wire)))
    for piece in answer.wire:
        if left <= 0:
            return
        yield piece[:left]
        left -= len(piece)


FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        delay, reset, truncate, truncate_head, throttle, black_hole, storm, garbage, duplicate, split, wrong_length,
        unasked, early_close,
    )
}  # fmt: skip
"""Every fault by its name."""
