"""When forgetting pays: pure functions of what is known of a run.

A prompt that was shortened in its middle has to be read anew from there on, and the notes cost calls of their own. That
pays only over enough further turns; and since each cut costs that much, several results are better put away together.
Near the end of the window there is no choice.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from agentinfer.usage import Pricing

__all__ = ["Decision", "Option", "Outlook", "Prices", "break_cost", "decide", "expected_turns", "saving"]

UNKNOWN = Pricing(input=1.0, cached_input=0.25, output=4.0)
"""What tokens cost beside each other where no price is known: as in today's price lists, where cached ones cost a tenth
to a half of others."""
FEW_RUNS = 5
"""Runs of which at least is known how long they went, before that is believed."""
LEAST_TURNS = 4.0
"""Turns that a run is expected to go on where nothing is known of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """What a token costs, in any one currency."""

    hit: float
    """Of the prompt, where the endpoint has it cached."""
    miss: float
    """Of the prompt, where it has not."""
    output: float
    notes_input: float
    """Of the prompt of the model that writes the notes."""
    notes_output: float

    @classmethod
    def of(cls, agent: Pricing | None, notes: Pricing | None) -> "Prices":
        """The prices of two models; usual ratios where one of them is not known, since prices do not compare then."""
        if agent is None or notes is None:
            agent = notes = UNKNOWN
        hit = agent.input if agent.cached_input is None else agent.cached_input
        return cls(hit=hit, miss=agent.input, output=agent.output, notes_input=notes.input, notes_output=notes.output)


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One cut that could be made. All in tokens."""

    kept: int
    """Of the prompt before the first change: the prefix that stays cached."""
    removed: int
    """Of the results that would go."""
    added: int
    """Of what would come in their place: the notes, and a line for each result."""
    carried: float = 0.0
    """What the results that would go were sent for so far, since they could have gone: tokens times turns."""
    notes_prompt: int = 0
    """What the calls that write the notes read anew."""
    notes_cached: int = 0
    """What they read from the agent's own cached prefix."""
    notes_completion: int = 0
    """What they write."""

    @property
    def gain(self) -> int:
        """Tokens that each further prompt is shorter."""
        return self.removed - self.added


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """Where a run stands."""

    total: int
    """Tokens of the next prompt."""
    growth: float
    """Tokens that a turn adds."""
    turns: float
    """Turns that are still expected."""
    lag: float = 2.0
    """Turns from the start of the work until the notes are there."""
    hit_share: float = 1.0
    """The share of an old prompt that the endpoint is expected to have cached, 0 to 1."""
    window: int | None = None
    """Tokens that the model can hold."""
    reserve: int = 0
    """Tokens of the window kept free: for the reply, and for the work itself."""
    prewarm: bool = True
    """Whether the new prefix would be sent once before it is used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """Whether to start."""

    option: Option | None
    """The cut to prepare; `None`: none."""
    reason: Literal["pays", "window", "too early", "does not pay", "nothing to cut"]
    saving: float = 0.0
    """What is expected to be saved, in the currency of the prices; negative where the window forces it."""


def saving(option: Option, outlook: Outlook, prices: Prices) -> float:
    """What a cut saves over the turns still expected, less what it costs.

    A turn would have read the removed tokens, mostly from the cache. Against that stand what the break costs, and what
    the calls that write the notes read and write.
    """
    saved = option.gain * _turn(outlook, prices) * max(outlook.turns - outlook.lag, 0.0)
    notes = option.notes_prompt * prices.notes_input + option.notes_completion * prices.notes_output
    return saved - break_cost(option, outlook, prices) - notes


def break_cost(option: Option, outlook: Outlook, prices: Prices) -> float:
    """What a cut costs however much it removes.

    Behind the cut all is read anew, the call that warms the new prefix reads all of it once more, and the agent's own
    model reads its history where it writes the notes.
    """
    turn = _turn(outlook, prices)
    anew = outlook.total - option.removed + option.added - option.kept + outlook.growth * outlook.lag
    cost = anew * (prices.miss - turn) + option.notes_cached * turn
    return cost + ((option.kept + anew) * turn + prices.output if outlook.prewarm else 0.0)


def decide(options: Sequence[Option], outlook: Outlook, prices: Prices) -> Decision:
    """Whether to start the work for one of these cuts: the one that saves most, or gains most where room runs out.

    It is too early while carrying the results has cost less than the break would. That is the interval at which the two
    together cost least (the economic order quantity); and whatever the turns to come turn out to be, it costs at most
    twice as much as knowing them (the ski rental problem).
    """
    useful = [option for option in options if option.gain > 0]
    if not useful:
        return Decision(option=None, reason="nothing to cut")
    if _room_runs_out(outlook):
        widest = max(useful, key=lambda option: option.gain)
        return Decision(option=widest, reason="window", saving=saving(widest, outlook, prices))
    best = max(useful, key=lambda option: saving(option, outlook, prices))
    gained = saving(best, outlook, prices)
    if gained <= 0:
        return Decision(option=None, reason="does not pay", saving=gained)
    if best.carried * _turn(outlook, prices) < break_cost(best, outlook, prices):
        return Decision(option=None, reason="too early", saving=gained)
    return Decision(option=best, reason="pays", saving=gained)


def _turn(outlook: Outlook, prices: Prices) -> float:
    """What a turn pays for a token of its old prompt."""
    return outlook.hit_share * prices.hit + (1 - outlook.hit_share) * prices.miss


def expected_turns(done: int, left: int | None, lengths: Iterable[int] = ()) -> float:
    """Turns that a run is still expected to make.

    Args:
        done: Turns made.
        left: Turns that its limits leave.
        lengths: How many turns earlier runs had in all. Those that were longer than this one tell how it may go on;
            where there are too few of them, a run is expected to go on for as long as it has gone on.
    """
    longer = [length - done for length in lengths if length > done]
    turns = fmean(longer) if len(longer) >= FEW_RUNS else max(float(done), LEAST_TURNS)
    return turns if left is None else min(turns, float(max(left, 0)))


def _room_runs_out(outlook: Outlook) -> bool:
    """Whether the window would be full when the notes are ready, were they started a turn later."""
    if outlook.window is None:
        return False
    return outlook.total + outlook.growth * (outlook.lag + 1) + outlook.reserve >= outlook.window
