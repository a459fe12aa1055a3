"""Conversations: what was said in a session is there for its next run."""

import asyncio
import itertools
import weakref
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from agentinfer.tools import Workspace
from agentinfer.transcript import View

__all__ = ["Sessions"]

Key = tuple[str | None, str]
"""(tenant, session): what one tenant said is never shown to another."""


@dataclass(slots=True)
class _Session:
    transcript: View = field(default_factory=View)
    view: View = field(default_factory=View)
    workspace: Workspace | None = None
    runs: int = 0
    """At work or waiting."""
    locks: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = field(
        default_factory=weakref.WeakKeyDictionary
    )
    """Runs of one session follow each other."""


class Sessions:
    """The conversations an agent remembers, in memory.

    Args:
        limit: How many; the longest unused go first.
    """

    def __init__(self, limit: int = 1000) -> None:
        self._limit = limit
        self._sessions: OrderedDict[Key, _Session] = OrderedDict()

    @asynccontextmanager
    async def turn(self, tenant: str | None, session: str) -> AsyncIterator[None]:
        """Wait for the session's other runs to end."""
        entry = self._sessions.setdefault((tenant, session), _Session())
        self._sessions.move_to_end((tenant, session))
        entry.runs += 1
        self._forget()
        try:
            async with entry.locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
                yield
        finally:
            entry.runs -= 1

    def _forget(self) -> None:
        """Drop the longest unused sessions beyond the limit; one with a run stays."""
        surplus = len(self._sessions) - self._limit
        if surplus > 0:
            unused = (key for key, entry in self._sessions.items() if not entry.runs)
            for key in list(itertools.islice(unused, surplus)):
                del self._sessions[key]

    def load(self, tenant: str | None, session: str) -> tuple[View, View]:
        """The transcript and the view so far."""
        entry = self._sessions.get((tenant, session)) or _Session()
        return entry.transcript, entry.view

    def workspace(self, tenant: str | None, session: str, make: Callable[[], Workspace]) -> Workspace:
        """The session's own workspace: what one run kept, the next can read."""
        entry = self._sessions.setdefault((tenant, session), _Session())
        if entry.workspace is None:
            entry.workspace = make()
        return entry.workspace

    def save(self, tenant: str | None, session: str, transcript: View, view: View) -> None:
        """Remember where a run has left them."""
        entry = self._sessions.setdefault((tenant, session), _Session())
        entry.transcript, entry.view = transcript, view
