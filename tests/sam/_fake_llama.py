"""A model that is a function, with the KV cache's rules checked: what the engine's tests run on."""

import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

END = 256
START = 2
"""Stands where a reply begins."""


class FakeLlama:
    """Tokens are bytes. `model` says what follows on all tokens so far."""

    def __init__(self, model: Callable[[Sequence[int]], int], *, context: int = 100_000, batch: int = 8) -> None:
        self.model = model
        self.context = context
        self.batch = batch
        self.rewinds = True
        self.tokens: list[int] = []
        self.passes: list[int] = []
        """Tokens of each pass that gave logits."""
        self.read = 0
        """Tokens of passes that gave none."""
        self.closed = False
        self._first = 0
        self._silent = 0
        self.gate: threading.Semaphore | None = None
        """Each pass waits for it, where there is one."""

    def decode(self, tokens: Sequence[int], start: int, *, logits: int = 0) -> None:
        assert start == len(self.tokens), "a pass follows on what the cache holds"
        assert len(tokens) <= max(self.batch, 128)
        assert len(self.tokens) + len(tokens) <= self.context
        if self.gate is not None:
            assert self.gate.acquire(timeout=10)
        self.tokens += tokens
        self._first, self._silent = start, len(tokens) - logits
        if logits:
            self.passes.append(len(tokens))
        else:
            self.read += len(tokens)

    def wait(self) -> None:
        pass

    def forget(self, start: int) -> bool:
        assert start <= len(self.tokens)
        if not self.rewinds:
            return False
        del self.tokens[start:]
        return True

    def clear(self) -> None:
        self.tokens.clear()

    def close(self) -> None:
        self.closed = True

    def choose(self, at: int) -> int:
        """What `Chooser.choose` gives at temperature 0."""
        assert at >= self._silent, "nobody asked for the logits there"
        return self.model(self.tokens[: self._first + at + 1])

    def is_end(self, token: int) -> bool:
        return token == END

    def tokenize(self, text: str) -> list[int]:
        return list(text.encode())

    def piece(self, token: int) -> bytes:
        return b"" if token == END else bytes([token])


class FakeTemplate:
    def __init__(self, llama: FakeLlama) -> None:
        pass

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        return "".join(f"{message['role']}:{message['content']}\n" for message in messages) + chr(START)


class FakeChooser:
    def __init__(self, llama: FakeLlama, **settings: Any) -> None:
        self.choose = llama.choose

    def close(self) -> None:
        pass


def replying(reply: Callable[[str], str]) -> Callable[[Sequence[int]], int]:
    """A model that answers the text before its reply."""

    def model(tokens: Sequence[int]) -> int:
        start = len(tokens) - 1 - tokens[::-1].index(START)
        text = reply(bytes(tokens[:start]).decode()).encode()
        at = len(tokens) - start - 1
        return text[at] if at < len(text) else END

    return model


def gguf(folder: Path) -> Path:
    """A file where a model's should be."""
    path = folder / "fake.gguf"
    path.write_bytes(b"GGUF")
    return path
