"""The draft index: what sessions have said, per tenant, and what each is likely to say next."""

import hashlib
import math
import threading
from array import array
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import groupby
from uuid import uuid4

from agentinfer.sam._automaton import Calibration, Cursor, SuffixAutomaton
from agentinfer.sam._plain import CONTEXT, OWN
from agentinfer.sam._similar import SKETCHED_TOKENS, most_similar, sketch

__all__ = ["Draft", "DraftIndex", "Segment", "SessionDrafts", "merge"]

SEPARATOR_COUNT = 1 << 16
SEPARATORS = OWN - 1 - SEPARATOR_COUNT
"""The first of the tokens that stand between merged sessions; they are never drafted."""
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


class SessionDrafts:
    """One session, through all its turns. Made by `DraftIndex.session`."""

    def __init__(self, index: "DraftIndex", tenant: "_Tenant") -> None:
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


class _Tenant:
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


class DraftIndex:
    """Sessions and what each is likely to say next. Tenants share nothing.

    A session drafts from its own past and from the earlier sessions most similar to it. Those are chosen and merged in
    a thread; until that is done it drafts from its own past alone.

    Args:
        max_tokens: Of all earlier sessions together, four bytes each; those not chosen for longest are dropped.
        max_merged: Tokens of merged sessions, of all tenants together, about 80 bytes each. A session draws on the most
            similar ones that fit; of those merged the longest unused go, and who drew on them drafts from its own past.
        max_sessions: Sessions under way, of all tenants together; the longest unused becomes an earlier one.
        max_open: Tokens of sessions under way, of all tenants together, about 80 bytes each; the same. The session that
            is asked for stays, however long it is.
        similar: How many earlier sessions a session drafts from; `None`: from all; 0: from none.
        threaded: Whether a thread chooses and merges; else `draft` chooses, and `build` merges when it is called.
    """

    def __init__(
        self,
        *,
        max_tokens: int = 16_000_000,
        max_merged: int = 2_000_000,
        max_sessions: int = 1000,
        max_open: int = 8_000_000,
        similar: int | None = 32,
        threaded: bool = True,
    ) -> None:
        self.max_tokens = max_tokens
        self.max_merged = max_merged
        self.max_sessions = max_sessions
        self.max_open = max_open
        self.similar = similar
        self._threaded = threaded
        self._tenants: dict[str | None, _Tenant] = {}
        self._open: OrderedDict[tuple[str | None, str], SessionDrafts] = OrderedDict()
        """By tenant and key, the longest unused first."""
        self._merged: OrderedDict[tuple[_Tenant, frozenset[str]], SuffixAutomaton] = OrderedDict()
        """What was chosen, the longest unused first."""
        self._handing = threading.Lock()
        self._wanted: deque[SessionDrafts] = deque()
        self._building = threading.Lock()

    def session(self, key: str, *, tenant: str | None = None) -> SessionDrafts:
        """A session: the same object for all its turns."""
        session = self._open.get((tenant, key))
        if session is None:
            session = self._open[tenant, key] = SessionDrafts(self, self._tenant(tenant))
        self._open.move_to_end((tenant, key))
        held = sum(map(len, list(self._open.values())))
        for (name, unused), other in list(self._open.items())[:-1]:
            if len(self._open) <= self.max_sessions and held <= self.max_open:
                break
            if not other.extending:
                held -= len(other)
                self.close(unused, tenant=name)
        return session

    def open_sessions(self, tenant: str | None = None) -> frozenset[str]:
        """The keys of a tenant's sessions under way."""
        return frozenset(key for name, key in list(self._open) if name == tenant)

    def close(self, key: str, *, tenant: str | None = None) -> None:
        """End a session: from now on it is an earlier one."""
        self.share(key, tenant=tenant)
        self._open.pop((tenant, key), None)

    def share(self, key: str, *, tenant: str | None = None) -> None:
        """Let others draft from what a session has said so far; it may go on."""
        session = self._open.get((tenant, key))
        if session is None or not len(session):
            return
        segment = Segment(session.automaton.dump(), session.id)
        if session.shared is not None and session.shared != segment.id:
            session.tenant.drop(session.shared)
        session.shared = segment.id
        self.add(segment, tenant=tenant)

    def add(self, segment: Segment, *, tenant: str | None = None) -> None:
        """Add an earlier session."""
        self._tenant(tenant).add(segment)
        tenants = list(self._tenants.values())  # a list, since a thread may load meanwhile
        while sum(held.tokens for held in tenants) > self.max_tokens:
            max(tenants, key=lambda held: held.tokens).drop()

    def segments(self, tenant: str | None = None) -> list[Segment]:
        """The earlier sessions of a tenant, and what was shared of those under way, the least recently chosen first."""
        return list(self._tenant(tenant).segments.values())

    def calibrations(self, tenant: str | None = None) -> tuple[Calibration, Calibration]:
        """How far a tenant's drafts from the session itself, and from earlier ones, are to be believed."""
        here = self._tenant(tenant)
        return here.own, here.earlier

    def choose(self, start: Sequence[int], segments: Mapping[str, Segment]) -> list[str]:
        """The earlier sessions to draft from, for one that begins like this."""
        if self.similar is None or len(segments) <= self.similar:
            chosen = [*segments][::-1]
        else:
            chosen = most_similar(sketch(start), {key: held.sketch for key, held in segments.items()}, self.similar)
        room = self.max_merged
        return [key for key in chosen if (room := room - len(segments[key])) >= 0]

    def want(self, session: SessionDrafts) -> None:
        """Have the earlier sessions to draft from chosen and merged."""
        if not self._threaded:
            session.choose()
        self._wanted.append(session)
        if self._threaded and not self._building.locked():
            threading.Thread(target=self.build, name="agentinfer sam", daemon=True).start()

    def build(self) -> None:
        """Choose and merge what sessions wait for."""
        while self._wanted:
            with self._building:
                try:
                    session = self._wanted.popleft()
                except IndexError:
                    continue
                if self._threaded:
                    session.choose()
                tenant, chosen = session.tenant, session.chosen
                if chosen and (tenant, chosen) not in self._merged:
                    held = [tenant.segments.get(key) for key in chosen]
                    merged = merge([segment for segment in held if segment is not None])
                    with self._handing:
                        self._merged[tenant, chosen] = merged
                        self._bound()

    def hand(self, session: SessionDrafts) -> None:
        """Give a session what it has chosen, once that is merged."""
        with self._handing:
            merged = self._merged.get((session.tenant, session.chosen))
            if merged is not None:
                self._merged.move_to_end((session.tenant, session.chosen))
                session.take_up(merged)

    def _bound(self) -> None:
        while len(self._merged) > 1 and sum(map(len, self._merged.values())) > self.max_merged:
            _, gone = self._merged.popitem(last=False)
            for session in list(self._open.values()):
                session.let_go(gone)

    def _tenant(self, name: str | None) -> _Tenant:
        return self._tenants.get(name) or self._tenants.setdefault(name, _Tenant())
