"""Counting tokens without a network.

A counter gives a raw count per piece of text, and learns from the usage that the endpoint reports how far its counts
are off. `counter_for` picks the best one that can be had: tiktoken where its table is on disk, else an estimate.
"""

import hashlib
import importlib.util
import os
import re
import tempfile
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Protocol

__all__ = ["EstimateCounter", "TiktokenCounter", "TokenCounter", "counter_for"]

_HIGH_BYTES = bytes(range(0x80, 0x100))
_OPENAI_MODEL = re.compile(r"^(?:openai/)?(gpt-|o\d|chatgpt-|text-embedding-)")
_TABLES = {
    "cl100k_base": "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    "o200k_base": "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
}
"""The SHA-256 of tables. tiktoken downloads one that is missing or damaged, so it is asked only for whole ones."""
_TABLE_URL = "https://openaipublic.blob.core.windows.net/encodings/{name}.tiktoken"


class TokenCounter(Hashable, Protocol):
    """Counts tokens of text that is about to be sent."""

    name: str
    """Counters of one name give the same raw counts."""

    def prepare(self) -> None:
        """Load what counting needs. Called once, off the event loop, before the first count."""

    def count(self, text: bytes) -> float:
        """The raw count of UTF-8 text."""

    def observe(self, counted: float, reported: int) -> None:
        """Learn that a prompt of raw count `counted` was reported by the endpoint as `reported` tokens."""

    def calibrate(self, counted: float) -> int:
        """A raw count corrected by what was observed."""


class _Calibrated:
    """The ratio of reported to counted tokens, learned as a moving average."""

    def __init__(self) -> None:
        self._ratio = 1.0
        self._observed = False

    def prepare(self) -> None:
        """Nothing to load."""

    def observe(self, counted: float, reported: int) -> None:
        if counted <= 0 or reported <= 0:
            return
        ratio = min(max(reported / counted, 0.1), 10.0)  # a server's nonsense must not make every estimate nonsense
        self._ratio = ratio if not self._observed else 0.7 * self._ratio + 0.3 * ratio
        self._observed = True

    def calibrate(self, counted: float) -> int:
        return round(counted * self._ratio)


class EstimateCounter(_Calibrated):
    """0.25 token per ASCII character and 0.6 per other one, corrected by reported usage.

    Uncorrected it is off by about -19 % (HTML) to +17 % (English).
    """

    name = "estimate"

    def count(self, text: bytes) -> float:
        """The raw count of UTF-8 text; a character beyond ASCII takes about three bytes."""
        ascii_bytes = len(text.translate(None, _HIGH_BYTES))
        return 0.25 * ascii_bytes + 0.6 * (len(text) - ascii_bytes) / 2.6


class TiktokenCounter(_Calibrated):
    """tiktoken's own count.

    Args:
        encoding: The name of a tiktoken encoding whose table is on disk, such as `o200k_base`.

    Raises:
        FileNotFoundError: The table is not on disk, or damaged. It is never downloaded.
    """

    def __init__(self, encoding: str) -> None:
        super().__init__()
        self.name = encoding
        path = _table_path(encoding)
        if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != _TABLES.get(encoding):
            raise FileNotFoundError(f"tiktoken's table {encoding} is not on disk ({path})")
        self._encode: Callable[[str], list[int]] | None = None

    def prepare(self) -> None:
        """Load the table, which takes about half a second."""
        import tiktoken

        self._encode = tiktoken.get_encoding(self.name).encode_ordinary

    def count(self, text: bytes) -> float:
        """The number of tokens."""
        if self._encode is None:
            self.prepare()
        assert self._encode is not None
        return float(len(self._encode(text.decode(errors="replace"))))


def counter_for(model: str) -> TokenCounter:
    """The best counter that can be had for a model without a network."""
    if _OPENAI_MODEL.match(model) and importlib.util.find_spec("tiktoken"):
        encoding = "cl100k_base" if re.search(r"gpt-(3\.5|4($|-))", model) else "o200k_base"
        try:
            return TiktokenCounter(encoding)
        except FileNotFoundError:
            pass
    return EstimateCounter()


def _table_path(encoding: str) -> Path:
    """Where tiktoken keeps a downloaded table: a file named by the SHA-1 of its address."""
    directory = os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR")
    name = hashlib.sha1(_TABLE_URL.format(name=encoding).encode(), usedforsecurity=False).hexdigest()
    return Path(directory or Path(tempfile.gettempdir()) / "data-gym-cache") / name
