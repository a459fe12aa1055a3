"""The sessions behind the rows of an engine's batch, told from each other by nothing but their tokens."""

import time
from array import array
from typing import Any

from agentinfer.sam._index import DraftIndex
from agentinfer.sam._session import SessionDrafts

__all__ = ["Batch", "Followed"]

MAX_SESSIONS = 1000
"""Sessions that may go on, beside those in the batch,"""
MAX_TOKENS = 8_000_000
"""and the tokens of them all, about 80 bytes each."""
RESTS_AFTER = 30.0
"""Seconds without a token after which others may draft from a session."""
CHECKED = 64
"""Tokens before the end by which a request is known from one pass to the next; and those that a session hears again
where it goes on before its end. What is mistaken for another only drafts worse."""


class Followed:
    """A session that the drafter follows through its requests."""

    def __init__(self, key: str, drafts: SessionDrafts) -> None:
        self.key = key
        self.drafts = drafts
        self.tokens = array("i")
        """As the engine has them. The index may have more: replies that the next request did not come back with."""
        self.prompt = 0
        """Tokens of the last request's prompt."""
        self.used = 0.0
        self.shared = 0
        """How many tokens of it others may draft from."""

    def continued_by(self, row: Any, length: int) -> bool:
        """Whether a row of tokens begins with all of this, as far as its end tells."""
        seen = len(self.tokens)
        start = max(seen - CHECKED, 0)
        return 0 < seen <= length and row[start:seen].tolist() == self.tokens[start:].tolist()

    def common(self, row: Any, length: int) -> int:
        """How many tokens a row has in common with this from the first one on."""
        high = min(len(self.tokens), length)
        here, there = self.tokens[:high].tobytes(), row[:high].tobytes()
        if here == there:
            return high
        low, size = 0, self.tokens.itemsize
        while high - low > 1:
            middle = (low + high) // 2
            part = slice(low * size, middle * size)
            low, high = (middle, high) if here[part] == there[part] else (low, middle)
        return low

    def back_to(self, length: int) -> None:
        """Go on from an earlier place."""
        if length < len(self.tokens):
            del self.tokens[length:]
            self.drafts.extend(self.tokens[-CHECKED:].tolist())

    def extend(self, tokens: list[int], *, own: bool) -> None:
        """Hear what is new."""
        self.drafts.extend(tokens, own=own)
        self.tokens.extend(tokens)
        self.used = time.monotonic()


class Batch:
    """The sessions in the batch, and those that may come back to it. Not to be used by two threads at once.

    Args:
        index: What they draft from.
        tenant: Whose they are.
    """

    def __init__(self, index: DraftIndex, tenant: str | None) -> None:
        self.unsaved = False
        """Whether sessions are over, or rest, that are not saved; who saves them says so here."""
        self._index = index
        self._tenant = tenant
        self._rows: dict[int, Followed] = {}
        self._known: dict[str, Followed] = {}
        """The longest unused first."""
        self._number = 0

    def keep(self, count: int, rows: Any, lengths: Any) -> None:
        """Keep of the rows those that go on with what was in them.

        Args:
            count: How many rows there are.
            rows: Their tokens.
            lengths: How many each has.
        """
        self._rows = {
            number: followed
            for number, followed in self._rows.items()
            if number < count and followed.continued_by(rows[number], int(lengths[number]))
        }

    def follow(self, number: int, row: Any, length: int, sampled: int) -> Followed:
        """The session in a row, with what is new in it. Rows are reused and moved by the engine."""
        followed = self._rows.get(number)
        if followed is None or not followed.continued_by(row, length):
            self._rows.pop(number, None)
            followed = self._rows[number] = self._find(row, length)
            followed.prompt = length - sampled
        seen = len(followed.tokens)
        written = max(length - sampled, seen)
        if seen < written:
            followed.extend(row[seen:written].tolist(), own=False)
        if written < length:
            followed.extend(row[written:length].tolist(), own=True)
        return followed

    def _find(self, row: Any, length: int) -> Followed:
        """The session that a request goes on with; else a new one.

        It is the one with most in common, if its last prompt is there whole: the reply behind it may come back
        otherwise, without its reasoning, say. A session that is in another row is taken as it is, or not at all.
        """
        running = {followed.key for followed in self._rows.values()}
        best, most = None, 0
        for known in self._known.values():
            if known.prompt > length or row[known.prompt - 1] != known.tokens[known.prompt - 1]:
                continue
            common = known.common(row, length)
            whole = common == len(known.tokens)
            if common > most and common >= known.prompt and (whole or known.key not in running):
                best, most = known, common
        if best is not None:
            best.back_to(most)
            self._known[best.key] = self._known.pop(best.key)
            return best
        self.share()
        self._number += 1
        key = str(self._number)
        followed = self._known[key] = Followed(key, self._index.session(key, tenant=self._tenant))
        self._make_room(running | {key})
        return followed

    def share(self) -> None:
        """Let others draft from the sessions that rest."""
        rested = time.monotonic() - RESTS_AFTER
        for known in self._known.values():
            if known.used <= rested and known.shared != len(known.drafts):
                self._index.share(known.key, tenant=self._tenant)
                known.shared = len(known.drafts)
                self.unsaved = True

    def _make_room(self, running: set[str]) -> None:
        """End the longest unused sessions where there are too many, or they are too long."""
        resting = [known for known in self._known.values() if known.key not in running]
        held = sum(len(known.drafts) for known in self._known.values())
        for number, known in enumerate(resting):
            if len(resting) - number <= MAX_SESSIONS and held <= MAX_TOKENS:
                break
            held -= len(known.drafts)
            del self._known[known.key]
            self._index.close(known.key, tenant=self._tenant)
            self.unsaved = True

    def close(self) -> None:
        """End all sessions."""
        self._rows.clear()
        self._known.clear()
        for key in self._index.open_sessions(self._tenant):
            self._index.close(key, tenant=self._tenant)
