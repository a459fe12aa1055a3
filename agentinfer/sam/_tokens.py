"""Text as the numbers that a draft index is made of, and back."""

from collections.abc import Sequence
from typing import Protocol

from agentinfer.tokens import TiktokenCounter

__all__ = ["ByteTokenizer", "TiktokenTokenizer", "Tokenizer", "tokenizer_for"]


class Tokenizer(Protocol):
    """Makes tokens of text. Indexes made with different tokenizers do not fit each other."""

    name: str
    end: int
    """The token that stands after each message; `encode` never gives it."""
    per_token: float
    """Tokens of a model per token of this one, about."""

    def encode(self, text: str) -> list[int]:
        """The tokens of a text."""

    def decode(self, tokens: Sequence[int]) -> str:
        """The text of tokens; what is cut at its end is left out."""


class ByteTokenizer:
    """The bytes of UTF-8: needs nothing, and a draft is of about four times as many."""

    name = "bytes"
    end = 256
    per_token = 0.25

    def encode(self, text: str) -> list[int]:
        return list(text.encode(errors="replace"))

    def decode(self, tokens: Sequence[int]) -> str:
        return bytes(tokens).decode(errors="ignore")


class TiktokenTokenizer:
    """tiktoken's tokens.

    Args:
        encoding: The name of an encoding whose table is on disk.

    Raises:
        FileNotFoundError: The table is not on disk. It is never downloaded.
        ImportError: tiktoken is not installed.
    """

    end = 2**30
    per_token = 1.0

    def __init__(self, encoding: str) -> None:
        TiktokenCounter(encoding)  # refuses a table that is not on disk
        import tiktoken

        self.name = encoding
        self._encoding = tiktoken.get_encoding(encoding)

    def encode(self, text: str) -> list[int]:
        return self._encoding.encode_ordinary(text)

    def decode(self, tokens: Sequence[int]) -> str:
        return self._encoding.decode_bytes(list(tokens)).decode(errors="ignore")


def tokenizer_for(name: str | None) -> Tokenizer:
    """A tokenizer by name: `bytes`, or an encoding of tiktoken; unless given, tiktoken's where its table is on disk."""
    if name == "bytes":
        return ByteTokenizer()
    try:
        return TiktokenTokenizer(name or "o200k_base")
    except (FileNotFoundError, ImportError):
        if name is not None:
            raise
        return ByteTokenizer()
