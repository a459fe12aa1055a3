"""Peers to compare with: n-gram lookup, SAM-Decoding's rule, and those that are installed elsewhere."""

import importlib
import sys
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from agentinfer.sam._simulate import Drafter

__all__ = ["NgramLookup", "SamDecoding", "SuffixTreePeer", "peers"]

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


class _FirstPlaces:
    """A suffix automaton whose states know where they ended first, and where a text stands in it."""

    def __init__(self) -> None:
        self.text: list[int] = []
        self._targets: list[dict[int, int]] = [{}]
        self._length, self._link, self._end = [0], [-1], [0]
        self._whole = self._state = self._matched = 0

    def append(self, token: int) -> None:
        """The text of the automaton goes on."""
        targets, length, link, end = self._targets, self._length, self._link, self._end
        self.text.append(token)
        new, state = len(length), self._whole
        self._add({}, len(self.text), len(self.text))
        while state >= 0 and token not in targets[state]:
            targets[state][token] = new
            state = link[state]
        if state < 0:
            link[new] = 0
        else:
            known = targets[state][token]
            if length[known] != length[state] + 1:
                copy = len(length)
                self._add(dict(targets[known]), length[state] + 1, end[known])
                link[copy], link[known] = link[known], copy
                while state >= 0 and targets[state].get(token) == known:
                    targets[state][token] = copy
                    state = link[state]
                known = copy
            link[new] = known
        self._whole = new

    def stand_at_end(self) -> None:
        """The longest end of the automaton's own text that stands earlier in it."""
        self._state = max(self._link[self._whole], 0)
        self._matched = self._length[self._state]

    def follow(self, token: int) -> None:
        """Another text goes on."""
        state, matched = self._state, self._matched
        while state >= 0 and token not in self._targets[state]:
            state = self._link[state]
            matched = self._length[state] if state >= 0 else 0
        self._state, self._matched = (0, 0) if state < 0 else (self._targets[state][token], matched + 1)

    def leave(self) -> None:
        """Another text begins."""
        self._state = self._matched = 0

    def draft(self, k: int, factor: int) -> tuple[int, list[int]]:
        """How long the match is, and what followed its first place: of a shorter match where too little does."""
        state, matched = self._state, self._matched
        while matched and len(self.text) - self._end[state] < min(k, factor * matched):
            state = self._link[state]
            matched = self._length[state]
        end = self._end[state]
        return matched, self.text[end : end + min(k, factor * matched)] if matched else []

    def _add(self, targets: dict[int, int], length: int, end: int) -> None:
        self._targets.append(targets)
        self._length.append(length)
        self._link.append(-1)
        self._end.append(end)


class SamDecoding:
    """Our implementation of SAM-Decoding's rule (arXiv 2411.10666), without the model that drafts where it does not.

    An automaton of the session and one of all sessions before; the session's is followed unless its match is more than
    `BIAS` tokens shorter. The draft is what followed the match's first place, `factor` tokens per token matched and 40
    at most.

    Args:
        factor: Tokens drafted per token matched.
        least: The shortest match that is followed.
        across: Whether the second automaton is used.
    """

    BIAS = 5
    MOST = 40

    def __init__(self, factor: int = 4, least: int = 1, across: bool = False) -> None:
        self._factor, self._least, self._across = factor, least, across
        self._here, self._before = _FirstPlaces(), _FirstPlaces()

    def start(self, session: str) -> None:
        if self._across:
            for token in self._here.text:
                self._before.append(token)
            self._before.leave()
        self._here = _FirstPlaces()

    def extend(self, tokens: Sequence[int], own: bool) -> None:
        for token in tokens:
            self._here.append(token)
            self._before.follow(token)

    def draft(self, k: int) -> tuple[Sequence[int], Sequence[float] | None]:
        most = min(k, self.MOST)
        self._here.stand_at_end()
        matched, draft = self._here.draft(most, self._factor)
        if self._across:
            other, elsewhere = self._before.draft(most, self._factor)
            if matched < other - self.BIAS:
                matched, draft = other, elsewhere
        return draft if matched >= self._least else [], None


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
    found += [
        (f"SAM-Decoding's rule, ours: {factor}x from {least}", partial(SamDecoding, factor, least, across))
        for factor, least in ((1, 1), (2, 1), (4, 1), (4, 2), (4, 3))
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
