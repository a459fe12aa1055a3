"""Earlier sessions: what each has said, those of one tenant, and several as one automaton."""

import hashlib
import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import groupby

from agentinfer.sam._automaton import Calibration, SuffixAutomaton
from agentinfer.sam._plain import OWN
from agentinfer.sam._similar import SKETCHED_TOKENS, sketch

__all__ = ["SEPARATORS", "Segment", "Tenant", "merge"]

SEPARATOR_COUNT = 1 << 16
SEPARATORS = OWN - 1 - SEPARATOR_COUNT
"""The first of the tokens that stand between merged sessions; they are never drafted."""


class Segment:
    """An earlier session.

    Args:
        text: What `SuffixAutomaton.dump` gave.
        session: Names the session, which may go on; unless given, the text is all that it said.
    """

    def __init__(self, text: bytes, session: str | None = None) -> None:
        self.text = text
        self.session = session
        self.id = hashlib.blake2b(text, digest_size=16).hexdigest()

    @cached_property
    def sketch(self) -> frozenset[int]:
        """By which it is told how similar its beginning is to another's."""
        return sketch([entry & ~OWN for entry in array("I", self.text[: 4 * SKETCHED_TOKENS])])

    def __len__(self) -> int:
        return len(self.text) // 4


def merge(segments: Sequence[Segment]) -> SuffixAutomaton:
    """One automaton of several sessions, so that what they share is counted together."""
    automaton = SuffixAutomaton()
    for number, segment in enumerate(segments):
        for own, piece in groupby(array("I", segment.text), OWN.__and__):
            automaton.extend([entry & ~OWN for entry in piece], own=bool(own))
        automaton.extend([SEPARATORS + number % SEPARATOR_COUNT])
    return automaton


class Tenant:
    """What one tenant's sessions have said."""

    def __init__(self) -> None:
        self.segments: OrderedDict[str, Segment] = OrderedDict()
        """By use, the least recently used first. A thread may load, or choose, meanwhile."""
        self.tokens = 0
        """Of all segments together."""
        self.own = Calibration()
        """How far a session's own past is to be believed,"""
        self.earlier = Calibration()
        """and earlier sessions."""
        self._changing = threading.Lock()

    def add(self, segment: Segment) -> None:
        """Add a segment, unless it is there."""
        with self._changing:
            if self.segments.setdefault(segment.id, segment) is segment:
                self.tokens += len(segment)

    def touch(self, keys: Iterable[str]) -> None:
        """Note that segments are used; those dropped meanwhile are passed over."""
        with self._changing:
            for key in keys:
                if key in self.segments:
                    self.segments.move_to_end(key)

    def drop(self, key: str | None = None) -> None:
        """Drop a segment if it is there; unless one is named, the least recently used."""
        with self._changing:
            if key is None:
                key = next(iter(self.segments), None)
            if key is not None and key in self.segments:
                self.tokens -= len(self.segments.pop(key))
