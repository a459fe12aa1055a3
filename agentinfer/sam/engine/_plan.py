"""What an engine decides between two forward passes: pure functions."""

from collections.abc import Callable, Sequence

from agentinfer.sam._gain import CostTable, draft_length
from agentinfer.sam._index import Draft

__all__ = ["accepted_tokens", "common_prefix", "planned_draft"]


def common_prefix(held: Sequence[int], wanted: Sequence[int]) -> int:
    """How many tokens at the beginning of a prompt are in the KV cache already."""
    for at, (one, other) in enumerate(zip(held, wanted, strict=False)):
        if one != other:
            return at
    return min(len(held), len(wanted))


def planned_draft(draft: Draft, tables: Sequence[CostTable], *, context: int) -> list[int]:
    """As much of a draft as pays by the table measured closest to this context; nothing without a table.

    Args:
        draft: What is likely to come next.
        tables: What passes cost on this engine.
        context: Tokens in the KV cache.
    """
    if not draft.tokens or not tables:
        return []
    table = CostTable.nearest(tables, batch=1, context=context)
    return draft.tokens[: draft_length(draft.probabilities, table)]


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
