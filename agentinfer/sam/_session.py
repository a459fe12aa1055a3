"""One session, and what it is likely to say next: by its own past, or by the earlier sessions that it has chosen."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from agentinfer.sam._automaton import Cursor, SuffixAutomaton
from agentinfer.sam._plain import CONTEXT
from agentinfer.sam._segments import SEPARATORS, Tenant
from agentinfer.sam._similar import SKETCHED_TOKENS

if TYPE_CHECKING:
    from agentinfer.sam._index import DraftIndex

__all__ = ["Draft", "SessionDrafts"]

AGAIN = 1000
"""Tokens by which a session has to go on before what was let go of is merged for it once more."""


@dataclass(frozen=True, slots=True)
class Draft:
    """Tokens that are likely to come next."""

    tokens: list[int] = field(default_factory=list)
    probabilities: list[float] = field(default_factory=list)
    """Of each token: that the draft is right up to and with it, 0 to 1."""
    earlier: bool = False
    """Whether it comes from earlier sessions."""

    @property
    def expected(self) -> float:
        """How many of its tokens are expected to be accepted."""
        return sum(self.probabilities)

    def cut(self, length: int) -> "Draft":
        """Its first tokens."""
        return (
            self
            if length >= len(self.tokens)
            else Draft(self.tokens[:length], self.probabilities[:length], self.earlier)
        )


class SessionDrafts:
    """One session, through all its turns. Made by `DraftIndex.session`."""

    def __init__(self, index: "DraftIndex", tenant: Tenant) -> None:
        self.id = uuid4().hex
        """It is the same in all segments that are made of this session."""
        self.tenant = tenant
        """What the sessions of its tenant have said."""
        self._index = index
        self._automaton = SuffixAutomaton(tenant.own)
        self._start: list[int] = []
        self._tail: list[int] = []
        self.chosen: frozenset[str] = frozenset()
        """The earlier sessions drafted from,"""
        self._chosen_at = 0
        """and how long this one's beginning was when they were chosen."""
        self._again_at: float = math.inf
        """The length at which they are chosen anew, where they were let go of."""
        self._merged: SuffixAutomaton | None = None
        """They, once they are merged,"""
        self._cursor: Cursor | None = None
        """and where this session stands in them."""
        self.shared: str | None = None
        """The segment by which others may draft from it already."""
        self.extending = False
        """Whether a thread is at work on it."""

    def __len__(self) -> int:
        return len(self._automaton)

    @property
    def automaton(self) -> SuffixAutomaton:
        """All that was said in this session."""
        return self._automaton

    def extend(self, tokens: Sequence[int], *, own: bool = False) -> None:
        """The session goes on.

        Args:
            tokens: What was said.
            own: Whether the model wrote it.

        Raises:
            ValueError: One is not a token; nothing was added.
        """
        self.extending = True
        try:
            self._automaton.extend(tokens, own=own)
        finally:
            self.extending = False
        if (cursor := self._cursor) is not None:
            cursor.follow(tokens, own=own)
        self._tail = [*self._tail, *tokens[-CONTEXT:]][-CONTEXT:]
        if len(self._start) < SKETCHED_TOKENS:
            self._start += tokens[: SKETCHED_TOKENS - len(self._start)]

    def draft(self, k: int, floor: float = 0.1) -> Draft:
        """What is likely to come next, by this session or by the earlier ones, whichever draft should go further.

        Args:
            k: How many tokens at most.
            floor: The draft ends before a token that is less likely than this to be accepted.
        """
        here = Draft(*self._automaton.draft(k, floor))
        self._look_back()
        if (cursor := self._cursor) is None:
            return here
        before = Draft(*cursor.draft(k, floor), earlier=True)
        if before.tokens and max(before.tokens) >= SEPARATORS:  # an earlier session ended here
            before = before.cut(next(at for at, token in enumerate(before.tokens) if token >= SEPARATORS))
        return before if before.expected > here.expected else here

    def _look_back(self) -> None:
        """Have earlier sessions chosen, anew when this one's beginning has doubled; take them up once merged."""
        length = len(self._start)
        due = length >= 2 * self._chosen_at or len(self) >= self._again_at
        if due and length and self.tenant.segments:
            self._chosen_at, self._again_at = length, math.inf
            self._index.want(self)
        self._index.hand(self)

    def take_up(self, merged: SuffixAutomaton) -> None:
        """Draft from earlier sessions that are merged."""
        if merged is not self._merged:
            cursor = Cursor(merged, self.tenant.earlier)
            cursor.follow(self._tail)
            self._merged, self._cursor = merged, cursor

    def let_go(self, merged: SuffixAutomaton) -> None:
        """Draft from them no more."""
        if merged is self._merged:
            self._merged = self._cursor = None
            self._again_at = len(self) + AGAIN

    def choose(self) -> None:
        """Choose the earlier sessions to draft from."""
        others = {key: held for key, held in list(self.tenant.segments.items()) if key != self.shared}
        self.chosen = frozenset(self._index.choose(self._start.copy(), others))
        self.tenant.touch(self.chosen)
