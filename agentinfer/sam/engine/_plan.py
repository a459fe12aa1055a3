"""What an engine decides between two forward passes: pure functions."""

from collections.abc import Callable, Sequence

from agentinfer.sam._gain import CostTable, draft_length
from agentinfer.sam._session import Draft

__all__ = ["Trust", "accepted_tokens", "common_prefix", "planned_draft"]


def common_prefix(held: Sequence[int], wanted: Sequence[int]) -> int:
    """How many tokens at the beginning of a prompt are in the KV cache already."""
    for at, (one, other) in enumerate(zip(held, wanted, strict=False)):
        if one != other:
            return at
    return min(len(held), len(wanted))


class Trust:
    """How far the probabilities of drafts can be believed: tokens that came true for each that was expected to.

    The index counts how often each kind of proposal comes true, and has to see many of each. This is one figure, which
    a handful of drafts corrects where a model writes less predictably than those that the priors were fitted to.
    """

    START = 4.0
    """Tokens that were expected before the first draft, of which half came true."""
    KEPT = 0.97
    """How much of what was seen counts still, one pass later."""

    def __init__(self) -> None:
        self._expected, self._accepted = self.START, self.START / 2

    @property
    def share(self) -> float:
        """What probabilities are to be multiplied by, 0 to 1."""
        return min(1.0, self._accepted / self._expected)

    def note(self, draft: Draft, verified: int, written: Sequence[int]) -> None:
        """Learn from what was written where a draft was proposed.

        Args:
            draft: All of it, whether verified or not.
            verified: How many of its tokens were; of one that was not, the first token tells something too.
            written: What the model wrote instead.
        """
        told = max(verified, 1)
        self._expected = self.KEPT * self._expected + sum(draft.probabilities[:told])
        self._accepted = self.KEPT * self._accepted + common_prefix(draft.tokens[:told], written)


def planned_draft(draft: Draft, tables: Sequence[CostTable], *, context: int, trust: float = 1.0) -> list[int]:
    """As much of a draft as pays by the table measured closest to this context; nothing without a table.

    Args:
        draft: What is likely to come next.
        tables: What passes cost on this engine.
        context: Tokens in the KV cache.
        trust: What its probabilities are multiplied by.
    """
    if not draft.tokens or not tables:
        return []
    table = CostTable.nearest(tables, batch=1, context=context)
    return draft.tokens[: draft_length([trust * p for p in draft.probabilities], table)]


def accepted_tokens(draft: Sequence[int], choose: Callable[[int], int], is_end: Callable[[int], bool]) -> list[int]:
    """What one pass over a draft gives: the drafted tokens that the model chooses as well, and the one after them.

    Whatever the draft, these are the tokens that the model would have chosen one by one: a drafted token only saves
    the pass. This holds for sampled tokens too, as each is drawn from the model's own distribution (the draft being
    certain of its token, the rule of Leviathan et al., arXiv 2211.17192, comes down to this).

    Args:
        draft: The tokens verified.
        choose: The model's choice after the first `n` of them. Asked once for each `n`, in order.
        is_end: Whether a token ends the text; nothing is asked after it.
    """
    chosen: list[int] = []
    for at in range(len(draft) + 1):
        token = choose(at)
        chosen.append(token)
        if is_end(token) or at == len(draft) or token != draft[at]:
            break
    return chosen
