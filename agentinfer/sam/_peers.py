"""Peers to compare with: n-gram lookup, and those that are installed elsewhere."""

import importlib
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from agentinfer.sam._simulate import Drafter

__all__ = ["NgramLookup", "SuffixTreePeer", "peers"]

SUFFIX_TREE = "arctic_inference.suffix_decoding._C"


class NgramLookup:
    """Prompt lookup, as engines have it: the longest n-gram at the end is looked up, and what followed it copied.

    Args:
        least: The shortest n-gram looked up.
        most: The longest.
    """

    def __init__(self, least: int = 2, most: int = 5) -> None:
        self._sizes = range(most, least - 1, -1)
        self._text: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}

    def start(self, session: str) -> None:
        self._text, self._after = [], {}

    def extend(self, tokens: Sequence[int], own: bool) -> None:
        text = self._text
        for token in tokens:
            for size in self._sizes:
                if len(text) >= size:
                    self._after[tuple(text[-size:])] = len(text)
            text.append(token)

    def draft(self, k: int) -> tuple[Sequence[int], Sequence[float] | None]:
        for size in self._sizes:
            if len(self._text) > size and (at := self._after.get(tuple(self._text[-size:]))) is not None:
                return self._text[at : at + k], None
        return [], None


class SuffixTreePeer:
    """ArcticInference's suffix decoding: a tree per session, and one of what the model wrote in all sessions.

    Args:
        factor: Tokens drafted at most per token matched.
        least: The least probability of a drafted token.
        across: Whether the second tree is used.
    """

    def __init__(self, factor: float = 1.0, least: float = 0.1, across: bool = False) -> None:
        self._new: Any = importlib.import_module(SUFFIX_TREE).SuffixTree
        self._settings = (factor, 0.0, least, False)
        self._across = across
        self._tree, self._all, self._number = self._new(64), self._new(64), 0
        self._tail: list[int] = []

    def start(self, session: str) -> None:
        self._tree, self._tail = self._new(64), []
        self._number += 1

    def extend(self, tokens: Sequence[int], own: bool) -> None:
        self._tree.extend(0, list(tokens))
        if own and self._across:
            self._all.extend(self._number, list(tokens))
        self._tail = [*self._tail, *tokens][-64:]

    def draft(self, k: int) -> tuple[Sequence[int], Sequence[float] | None]:
        if not self._tail:
            return [], None
        best = self._tree.speculate(self._tail, k, *self._settings)
        if self._across:
            other = self._all.speculate(self._tail, k, *self._settings)
            best = other if other.score > best.score else best
        return best.token_ids, None


def peers(paths: Iterable[Path], *, across: bool) -> tuple[list[tuple[str, Callable[[], Drafter]]], list[str]]:
    """The peers that can be had, each with the settings worth trying, and the names of those that cannot.

    Args:
        paths: Folders to import from beside those of the installation.
        across: Whether to draft from earlier sessions.
    """
    sys.path[:0] = [str(path.resolve()) for path in paths if str(path.resolve()) not in sys.path]
    found: list[tuple[str, Callable[[], Drafter]]] = [
        (f"n-gram lookup from {least}", partial(NgramLookup, least)) for least in (1, 2, 3)
    ]
    try:
        importlib.import_module(SUFFIX_TREE)
    except ImportError:
        return found, ["ArcticInference"]
    settings = [(factor, least) for factor in (1.0, 2.0, 4.0) for least in (0.1, 0.5)]
    found += [
        (f"ArcticInference {factor:g}x p>={least}", partial(SuffixTreePeer, factor, least, across))
        for factor, least in settings
    ]
    return found, []
