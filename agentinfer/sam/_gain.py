"""When drafting pays: pure functions of what is expected, and of what was measured."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

from agentinfer.errors import UserError

__all__ = ["CostTable", "draft_length", "prediction_floor", "speed_up"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostTable:
    """What one forward pass costs, measured on one engine at one batch size and context length.

    Example:
        `CostTable(costs={1: 1.0, 2: 1.6, 4: 2.8, 8: 6.2, 16: 7.5})`: verifying 4 tokens takes 2.8 times as long as
        decoding one.
    """

    costs: Mapping[int, float]
    """By the tokens of a pass (the drafted ones and one more), in any one unit; 1 must be there."""
    batch: int = 1
    """Sequences decoded at once."""
    context: int = 0
    """Tokens of context."""
    drafting: float = 0.0
    """What making a draft costs, in the same unit."""
    _sizes: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if 1 not in self.costs or any(size < 1 or cost <= 0 for size, cost in self.costs.items()):
            raise UserError("a cost table needs the cost of 1 token; all sizes and costs must be positive")
        object.__setattr__(self, "_sizes", tuple(sorted(self.costs)))

    def cost(self, tokens: int) -> float:
        """Of one pass over so many tokens: between measured sizes on a line, beyond them as their last slope."""
        sizes, costs = self._sizes, self.costs
        at = bisect_left(sizes, tokens)
        if at < len(sizes) and sizes[at] == tokens:
            return costs[tokens]
        if len(sizes) == 1:
            return costs[1]
        low, high = (sizes[at - 1], sizes[at]) if at < len(sizes) else sizes[-2:]
        slope = (costs[high] - costs[low]) / (high - low)
        return costs[low] + slope * (tokens - low)

    @classmethod
    def nearest(cls, tables: Sequence["CostTable"], *, batch: int, context: int) -> "CostTable":
        """The table measured closest to a batch size and a context length; of the batch sizes, rather the larger."""
        if not tables:
            raise UserError("there is no cost table")
        larger = min((table.batch for table in tables if table.batch >= batch), default=None)
        chosen = max(table.batch for table in tables) if larger is None else larger
        return min((t for t in tables if t.batch == chosen), key=lambda table: abs(table.context - context))


def draft_length(probabilities: Sequence[float], costs: CostTable, *, margin: float = 0.02) -> int:
    """How much of a draft to verify: the length with the most tokens per unit of cost.

    Args:
        probabilities: Of each drafted token: that the draft is right up to and with it.
        costs: What passes cost on this engine, at this batch size and context.
        margin: The gain over not drafting, as a share, below which nothing is drafted.

    Returns:
        0 where drafting would not be faster.
    """
    plain = 1.0 / costs.cost(1)
    best, most = 0, plain * (1.0 + margin)
    for length, expected in enumerate(accumulate(probabilities), 1):
        speed = (1.0 + expected) / (costs.cost(length + 1) + costs.drafting)
        if speed > most:
            best, most = length, speed
    return best


def speed_up(tokens: int, pass_sizes: Mapping[int, int], costs: CostTable) -> float:
    """How many times as fast drafting was, by a cost table.

    Args:
        tokens: Written in all.
        pass_sizes: How many passes there were over so many tokens each.
        costs: What passes cost.
    """
    spent = sum((costs.cost(size) + costs.drafting) * count for size, count in pass_sizes.items())
    return tokens * costs.cost(1) / spent if spent else 1.0


def prediction_floor(worth: float, trust: float = 1.0) -> float:
    """The probability from which on sending a token in a `prediction` pays.

    Args:
        worth: How many rejected tokens, each billed as one written, an accepted one is worth: it comes sooner.
        trust: Tokens accepted so far per token expected to be.
    """
    return 1.0 / ((1.0 + worth) * trust) if worth > 0 and trust > 0 else float("inf")
