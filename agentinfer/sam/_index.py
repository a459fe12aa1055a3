"""The draft index: what sessions have said, per tenant, and what each is likely to say next."""

import hashlib
import threading
from array import array
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from agentinfer.sam._automaton import Calibration, Cursor, SuffixAutomaton
from agentinfer.sam._plain import CONTEXT, OWN
from agentinfer.sam._similar import SKETCHED_TOKENS, most_similar, sketch

__all__ = ["Draft", "DraftIndex", "Segment", "SessionDrafts", "merge"]

SEPARATOR_COUNT = 1 << 16
SEPARATORS = OWN - 1 - SEPARATOR_COUNT
"""The first of the tokens that stand between merged sessions; they are never drafted."""


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
    """

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.id = hashlib.blake2b(text, digest_size=16).hexdigest()
        self.sketch = sketch([entry & ~OWN for entry in array("I", text[: 4 * SKETCHED_TOKENS])])

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
        self._index = index
        self._tenant = tenant
        self._automaton = SuffixAutomaton(tenant.own)
        self._start: list[int] = []
        self._tail: list[int] = []
        self._chosen: frozenset[str] = frozenset()
        """The earlier sessions drafted from,"""
        self._chosen_at = 0
        """and how long this one was when they were chosen."""
        self._merged: SuffixAutomaton | None = None
        """They, once they are merged,"""
        self._cursor: Cursor | None = None
        """and where this session stands in them."""
        self.shared: str | None = None
        """The segment by which others may draft from it already."""

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
        self._automaton.extend(tokens, own=own)
        if self._cursor is not None:
            self._cursor.follow(tokens, own=own)
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
        if self._cursor is None:
            return here
        before = Draft(*self._cursor.draft(k, floor), earlier=True)
        if before.tokens and max(before.tokens) >= SEPARATORS:  # an earlier session ended here
            before = before.cut(next(at for at, token in enumerate(before.tokens) if token >= SEPARATORS))
        return before if before.expected > here.expected else here

    def _look_back(self) -> None:
        """Choose earlier sessions, anew when this one's beginning has doubled; take them up once they are merged."""
        segments, length = self._tenant.segments, len(self._start)
        if segments and length and length >= 2 * self._chosen_at:
            others = {key: held for key, held in list(segments.items()) if key != self.shared}
            chosen = frozenset(self._index.choose(self._start, others))
            self._chosen_at = length
            for key in chosen:
                segments.move_to_end(key)
            if chosen != self._chosen:
                self._chosen = chosen
                self._index.want(self._tenant, chosen)
        merged = self._tenant.merged.get(self._chosen)
        if merged is not None and merged is not self._merged:
            self._merged = merged
            self._cursor = Cursor(merged, self._tenant.earlier)
            self._cursor.follow(self._tail)


class _Tenant:
    """What one tenant's sessions have said."""

    def __init__(self) -> None:
        self.sessions: OrderedDict[str, SessionDrafts] = OrderedDict()
        self.segments: OrderedDict[str, Segment] = OrderedDict()
        """By use, the least recently used first."""
        self.merged: OrderedDict[frozenset[str], SuffixAutomaton] = OrderedDict()
        """Automata of several segments, the oldest first."""
        self.own = Calibration()
        """How far a session's own past is to be believed,"""
        self.earlier = Calibration()
        """and earlier sessions."""


class DraftIndex:
    """Sessions and what each is likely to say next. Tenants share nothing.

    A session drafts from its own past and from the earlier sessions most similar to it. Those are merged in a thread;
    until that is done it drafts from its own past alone.

    Args:
        max_tokens: Of all earlier sessions together, four bytes each; those not chosen for longest are dropped.
        max_merged: Tokens of merged sessions that are kept, about 80 bytes each.
        max_sessions: Sessions under way; the longest unused becomes an earlier one.
        similar: How many earlier sessions a session drafts from; `None`: from all; 0: from none.
        threaded: Whether a thread merges; else `build` does, when it is called.
    """

    def __init__(
        self,
        *,
        max_tokens: int = 16_000_000,
        max_merged: int = 2_000_000,
        max_sessions: int = 1000,
        similar: int | None = 32,
        threaded: bool = True,
    ) -> None:
        self.max_tokens = max_tokens
        self.max_merged = max_merged
        self.max_sessions = max_sessions
        self.similar = similar
        self._threaded = threaded
        self._tenants: dict[str | None, _Tenant] = {}
        self._wanted: deque[tuple[_Tenant, frozenset[str]]] = deque()
        self._building = threading.Lock()

    def session(self, key: str, *, tenant: str | None = None) -> SessionDrafts:
        """A session: the same object for all its turns."""
        here = self._tenant(tenant)
        session = here.sessions.get(key)
        if session is None:
            session = here.sessions[key] = SessionDrafts(self, here)
        here.sessions.move_to_end(key)
        while len(here.sessions) > self.max_sessions:
            self.close(next(iter(here.sessions)), tenant=tenant)
        return session

    def open_sessions(self, tenant: str | None = None) -> frozenset[str]:
        """The keys of a tenant's sessions under way."""
        return frozenset(self._tenant(tenant).sessions)

    def close(self, key: str, *, tenant: str | None = None) -> None:
        """End a session: from now on it is an earlier one."""
        self.share(key, tenant=tenant)
        self._tenant(tenant).sessions.pop(key, None)

    def share(self, key: str, *, tenant: str | None = None) -> None:
        """Let others draft from what a session has said so far; it may go on."""
        here = self._tenant(tenant)
        session = here.sessions.get(key)
        if session is None or not len(session):
            return
        segment = Segment(session.automaton.dump())
        if session.shared is not None and session.shared != segment.id:
            here.segments.pop(session.shared, None)
        session.shared = segment.id
        self.add(segment, tenant=tenant)

    def add(self, segment: Segment, *, tenant: str | None = None) -> None:
        """Add an earlier session."""
        self._tenant(tenant).segments.setdefault(segment.id, segment)
        tenants = list(self._tenants.items())  # lists, since a thread may load meanwhile
        sizes = {name: sum(map(len, list(held.segments.values()))) for name, held in tenants}
        while sum(sizes.values()) > self.max_tokens:  # drop wherever the most is held
            name = max(sizes, key=sizes.__getitem__)
            sizes[name] -= len(self._tenants[name].segments.popitem(last=False)[1])

    def segments(self, tenant: str | None = None) -> list[Segment]:
        """The earlier sessions of a tenant, the least recently chosen first; none that may go on."""
        here = self._tenant(tenant)
        going_on = {session.shared for session in list(here.sessions.values())}
        return [segment for segment in list(here.segments.values()) if segment.id not in going_on]

    def calibrations(self, tenant: str | None = None) -> tuple[Calibration, Calibration]:
        """How far a tenant's drafts from the session itself, and from earlier ones, are to be believed."""
        here = self._tenant(tenant)
        return here.own, here.earlier

    def choose(self, start: Sequence[int], segments: Mapping[str, Segment]) -> list[str]:
        """The earlier sessions to draft from, for one that begins like this."""
        if self.similar is None or len(segments) <= self.similar:
            return list(segments)
        return most_similar(sketch(start), {key: held.sketch for key, held in list(segments.items())}, self.similar)

    def want(self, tenant: "_Tenant", chosen: frozenset[str]) -> None:
        """Have sessions merged."""
        if not chosen or chosen in tenant.merged:
            return
        self._wanted.append((tenant, chosen))
        if self._threaded and not self._building.locked():
            threading.Thread(target=self.build, name="agentinfer sam", daemon=True).start()

    def build(self) -> None:
        """Merge what sessions wait for."""
        while self._wanted:
            with self._building:
                try:
                    tenant, chosen = self._wanted.popleft()
                except IndexError:
                    return
                held = [tenant.segments.get(key) for key in chosen]
                if chosen not in tenant.merged:
                    tenant.merged[chosen] = merge([segment for segment in held if segment is not None])
                while len(tenant.merged) > 1 and sum(map(len, list(tenant.merged.values()))) > self.max_merged:
                    tenant.merged.popitem(last=False)

    def _tenant(self, name: str | None) -> _Tenant:
        return self._tenants.setdefault(name, _Tenant())
