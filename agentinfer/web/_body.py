"""Reading a response's body within bounds, however it is compressed, and making text of it."""

import codecs
import re
import zlib
from typing import TYPE_CHECKING, Protocol

from agentinfer.errors import ToolError

if TYPE_CHECKING:
    import httpx

__all__ = ["ACCEPT_ENCODING", "decode", "read_body"]

ACCEPT_ENCODING = "gzip, deflate"
"""What can be unpacked piece by piece, with a bound on each piece."""

_META = re.compile(rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]{1,40})""", re.IGNORECASE)
_PROLOG = re.compile(rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.:-]{1,40})""", re.IGNORECASE)
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_CHARSETS = {
    # What pages call it, when asked of `codecs`, and what it is then read as: the larger set that browsers take.
    "ascii": "cp1252", "iso8859-1": "cp1252", "iso8859-9": "cp1254", "gb2312": "gb18030", "gbk": "gb18030",
    "shift_jis": "cp932", "euc_kr": "cp949", "utf-16": "utf-16-le",
    **{same: same for same in (
        "utf-8", "utf-16-le", "utf-16-be", "gb18030", "big5", "big5hkscs", "cp932", "cp949", "euc_jp", "iso2022_jp",
        "koi8-r", "koi8-u", "mac-roman", "tis-620", "cp874", *(f"cp125{n}" for n in range(9)),
        *(f"iso8859-{n}" for n in (2, 3, 4, 5, 6, 7, 8, 10, 11, 13, 14, 15, 16)),
    )},
}  # fmt: skip


class _Unpacker(Protocol):
    def unpack(self, data: bytes, limit: int) -> bytes:
        """At most `limit` bytes of what the data unpacks to."""


async def read_body(response: "httpx.Response", limit: int) -> tuple[bytes, bool]:
    """The first bytes of an unread body, and whether there were more.

    Counted is both what arrives and what it unpacks to, so neither a huge body nor a bomb takes more memory than
    the limit.

    Raises:
        ToolError: It is packed in a way that cannot be read, or badly.
        httpx.TransportError: The connection broke.
    """
    if response.is_stream_consumed:  # a mock's, which is there in full
        return response.content[:limit], len(response.content) > limit
    unpacker = _unpacker(response.headers.get("content-encoding", ""))
    body = bytearray()
    arrived = 0
    async for piece in response.aiter_raw(65_536):
        arrived += len(piece)
        body += unpacker.unpack(piece, limit + 1 - len(body))
        if len(body) > limit or arrived > limit:
            return bytes(body[:limit]), True
    return bytes(body), False


def _unpacker(encoding: str) -> _Unpacker:
    match encoding.strip().lower():
        case "" | "identity":
            return _Plain()
        case "gzip" | "x-gzip":
            return _Zlib(zlib.MAX_WBITS | 16)
        case "deflate":
            return _Zlib(zlib.MAX_WBITS)
        case other:
            raise ToolError(f"It is compressed in a way that cannot be read: {other[:40]!r}")


class _Plain:
    def unpack(self, data: bytes, limit: int) -> bytes:
        return data[:limit]


class _Zlib:
    """Gzip and deflate, the latter also without its header, as some servers send it."""

    def __init__(self, wbits: int) -> None:
        self._wbits = wbits
        self._stream = zlib.decompressobj(wbits)
        self._started = False

    def unpack(self, data: bytes, limit: int) -> bytes:
        if not data or self._stream.eof:  # what follows the end of a stream is padding
            return b""
        try:
            unpacked = self._stream.decompress(data, limit)
        except zlib.error:
            if self._started or self._wbits != zlib.MAX_WBITS:
                raise ToolError("Its compressed content is damaged") from None
            self._wbits = -zlib.MAX_WBITS
            self._stream = zlib.decompressobj(self._wbits)
            return self.unpack(data, limit)
        self._started = True
        return unpacked


def decode(body: bytes, charset: str | None) -> str:
    """The text of a body: by its byte order mark, the charset its sender names, the one it names itself, or a guess."""
    for mark, name in _BOMS:
        if body.startswith(mark):
            return body[len(mark) :].decode(name, "replace")
    named = _META.search(body[:4096]) or _PROLOG.search(body[:200])
    inside = _known(named[1].decode("ascii", "replace")) if named else None
    if inside is not None and inside.startswith("utf-16"):  # it could not have been read if that were so
        inside = "utf-8"
    if known := _known(charset or "") or inside:
        return body.decode(known, "replace")
    try:
        # Not final: the body may have been cut within a character.
        return codecs.getincrementaldecoder("utf-8")().decode(body)
    except UnicodeDecodeError:
        return body.decode("cp1252", "replace")


def _known(label: str) -> str | None:
    """The charset of this name among those that pages are written in; Python's others are not for strangers' data."""
    try:
        return _CHARSETS.get(codecs.lookup(label.strip("\"' ")).name)
    except (LookupError, ValueError):
        return None
