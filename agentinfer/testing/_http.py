"""As much HTTP/1.1 as an endpoint needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

__all__ = ["BadRequest", "HttpRequest", "answer_bytes", "chunk_bytes", "head_bytes", "take_request"]


class BadRequest(Exception):
    """This is no request that can be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpRequest:
    """A request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes


def take_request(buffer: bytearray) -> HttpRequest | None:
    """Take one whole request off the start of a buffer; nothing where it is not all there yet.

    Raises:
        BadRequest: It cannot be read.
    """
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        return None
    try:
        request_line, *lines = buffer[:end].decode("latin-1").split("\r\n")
        method, path, version = request_line.split(" ")
        pairs = (line.split(":", 1) for line in lines)
        headers = {name.strip().lower(): value.strip() for name, value in pairs}
        length = int(headers.get("content-length", "0"))
    except ValueError:
        raise BadRequest("This is no HTTP request") from None
    if not version.startswith("HTTP/1.") or "transfer-encoding" in headers or length < 0:
        raise BadRequest("A request of this kind is not understood")
    start = end + 4
    if len(buffer) < start + length:
        return None
    body = bytes(buffer[start : start + length])
    del buffer[: start + length]
    return HttpRequest(method=method, path=path, headers=headers, body=body)


def head_bytes(status: int, headers: Mapping[str, str]) -> bytes:
    """An answer's status line and headers."""
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else "Status"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def answer_bytes(status: int, headers: Mapping[str, str], body: bytes) -> bytes:
    """A whole answer."""
    return head_bytes(status, {**headers, "content-length": str(len(body))}) + body


def chunk_bytes(data: bytes) -> bytes:
    """One chunk of an answer with `transfer-encoding: chunked`; the last one is empty."""
    return b"%x\r\n%b\r\n" % (len(data), data)
