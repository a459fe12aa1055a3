"""The draft index: the sessions of all tenants, and which earlier ones each draws on."""

import threading
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence

from agentinfer.sam._automaton import Calibration, SuffixAutomaton
from agentinfer.sam._segments import Segment, Tenant, merge
from agentinfer.sam._session import SessionDrafts
from agentinfer.sam._similar import most_similar, sketch

__all__ = ["DraftIndex"]


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
        self._tenants: dict[str | None, Tenant] = {}
        self._open: OrderedDict[tuple[str | None, str], SessionDrafts] = OrderedDict()
        """By tenant and key, the longest unused first."""
        self._merged: OrderedDict[tuple[Tenant, frozenset[str]], SuffixAutomaton] = OrderedDict()
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

    def _tenant(self, name: str | None) -> Tenant:
        return self._tenants.get(name) or self._tenants.setdefault(name, Tenant())
