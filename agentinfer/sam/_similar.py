"""Which earlier sessions are like this one: sketches of their beginnings."""

import heapq
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

__all__ = ["SKETCHED_TOKENS", "most_similar", "sketch"]

Key = TypeVar("Key", bound=Hashable)

SKETCHED_TOKENS = 4096
"""How much of a session is looked at: its instructions and its first turns."""
SKETCH = 256


def sketch(tokens: Sequence[int]) -> frozenset[int]:
    """The smallest hashes of the token triples at a session's beginning (bottom-k, Broder 1997)."""
    start = tokens[:SKETCHED_TOKENS]
    triples = set(zip(start, start[1:], start[2:], strict=False))
    return frozenset(heapq.nsmallest(SKETCH, map(hash, triples)))


def most_similar(here: frozenset[int], others: Mapping[Key, frozenset[int]], count: int) -> list[Key]:
    """The keys of the most similar sketches, best first; what many share, such as a system prompt, weighs little."""
    holders = Counter(value for other in others.values() for value in other & here)
    scores = {key: sum(1 / holders[value] for value in other & here) for key, other in others.items()}
    return heapq.nlargest(count, scores, key=scores.__getitem__)
