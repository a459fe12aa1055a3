"""What drafting would have brought, from recorded sessions: no model is asked."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from agentinfer.sam._gain import CostTable, draft_length, speed_up
from agentinfer.sam._index import DraftIndex
from agentinfer.sam._trajectories import Recorded

__all__ = ["Drafter", "IndexDrafter", "Outcome", "simulate"]


class Drafter(Protocol):
    """Something that drafts: an index, or a peer's."""

    def start(self, session: str) -> None:
        """A session begins; earlier ones are over."""

    def extend(self, tokens: Sequence[int], own: bool) -> None:
        """The session goes on; `own`: the model wrote this."""

    def draft(self, k: int) -> tuple[Sequence[int], Sequence[float] | None]:
        """What is likely to come next, `k` tokens at most, and how likely each is, where that is known."""


class IndexDrafter:
    """The draft index as a drafter.

    Args:
        floor: The least probability of a drafted token.
        across: Whether sessions draft from those before them.
        similar: From how many; `None`: from all.
    """

    def __init__(self, *, floor: float = 0.3, across: bool = False, similar: int | None = 32) -> None:
        self.floor = floor
        self._index = DraftIndex(similar=similar if across else 0, threaded=False)
        self._key = ""
        self._session = self._index.session("")

    def start(self, session: str) -> None:
        self._index.close(self._key)
        self._key = session
        self._session = self._index.session(session)

    def extend(self, tokens: Sequence[int], own: bool) -> None:
        self._session.extend(tokens, own=own)

    def draft(self, k: int) -> tuple[Sequence[int], Sequence[float] | None]:
        draft = self._session.draft(k, self.floor)
        self._index.build()  # what it wants merged is there for the next draft
        return draft.tokens, draft.probabilities


@dataclass(slots=True)
class Outcome:
    """What became of the drafts."""

    tokens: int = 0
    """That the model wrote."""
    drafted: int = 0
    accepted: int = 0
    passes: Counter[int] = field(default_factory=Counter)
    """How many forward passes there were over so many tokens: the drafted ones and one more."""

    @property
    def tokens_per_pass(self) -> float:
        """Tokens written per forward pass; 1 without drafting."""
        return self.tokens / max(self.passes.total(), 1)

    @property
    def accepted_per_pass(self) -> float:
        """Drafted tokens accepted per forward pass."""
        return self.accepted / max(self.passes.total(), 1)

    @property
    def wasted(self) -> float:
        """The share of the drafted tokens that were verified in vain, 0 to 1."""
        return 1 - self.accepted / self.drafted if self.drafted else 0.0

    def speed_up(self, costs: CostTable) -> float:
        """How many times as fast decoding would be, predicted by a cost table."""
        return speed_up(self.tokens, self.passes, costs)


def simulate(
    sessions: Iterable[Recorded],
    make: Callable[[], Drafter],
    *,
    k: int = 16,
    costs: CostTable | None = None,
    skip: int = 0,
) -> Outcome:
    """Decode recorded sessions with drafting, in their order.

    A pass verifies a draft, keeps it as far as it is what the model wrote, and gives one token more.

    Args:
        sessions: What was recorded.
        make: Makes the drafter.
        k: Tokens of a draft at most.
        costs: Where given, each draft is as long as pays by it.
        skip: How many sessions at the start only teach the drafter, and are not counted.
    """
    drafter, outcome = make(), Outcome()
    for number, session in enumerate(sessions):
        drafter.start(f"{number} {session.id}")
        for tokens, own in session.pieces:
            if own and number >= skip:
                _decode(tokens, drafter, k, costs, outcome)
            else:
                drafter.extend(tokens, own)
    return outcome


def _decode(tokens: Sequence[int], drafter: Drafter, k: int, costs: CostTable | None, outcome: Outcome) -> None:
    at, end = 0, len(tokens)
    while at < end:
        draft, chances = drafter.draft(min(k, end - at - 1))
        if costs is not None and chances is not None:
            draft = draft[: draft_length(chances, costs)]
        right = 0
        while right < len(draft) and draft[right] == tokens[at + right]:
            right += 1
        drafter.extend(tokens[at : at + right + 1], True)
        outcome.drafted += len(draft)
        outcome.accepted += right
        outcome.passes[len(draft) + 1] += 1
        at += right + 1
    outcome.tokens += end
