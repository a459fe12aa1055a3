"""Tokens as text that streams: whole characters only, and nothing of a text at which to stop."""

import codecs
from collections.abc import Sequence

__all__ = ["TextStream"]


class TextStream:
    """Makes text of a model's pieces.

    Args:
        stop: Texts at which it ends; they are left out.
    """

    def __init__(self, stop: Sequence[str] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._stop = tuple(filter(None, stop))
        self._held = ""
        """What may be the beginning of a text at which to stop."""
        self.stopped = False

    def add(self, piece: bytes) -> str:
        """The text that is certain now."""
        if self.stopped:
            return ""
        text = self._held + self._decoder.decode(piece)
        ends = [(at + len(stop), at) for stop in self._stop if (at := text.find(stop)) >= 0]
        if ends:
            self.stopped, self._held = True, ""
            return text[: min(ends)[1]]
        held = max((_overlap(text, stop) for stop in self._stop), default=0)
        self._held = text[len(text) - held :]
        return text[: len(text) - held]

    def end(self) -> str:
        """What was held back, once nothing more comes."""
        text, self._held = self._held + self._decoder.decode(b"", final=True), ""
        return text


def _overlap(text: str, stop: str) -> int:
    """How many characters at the end of the text begin `stop`."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)
