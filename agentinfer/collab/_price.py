"""Whether going back to a weaker model pays, given what it has not seen."""

from dataclasses import dataclass
from typing import Literal

from agentinfer.ledger import Price

__all__ = ["Economy", "Offer", "pays"]

Economy = Literal["seconds", "cost", "off"]
"""What a return has to save: time, money, or nothing."""


NEGLIGIBLE = 0.25
"""Seconds of reading that no return is put off for: measured times vary by more than they would tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What a model would take for the next steps. `None` is unknown."""

    price: Price
    """Of the next prompt."""
    step_seconds: float | None = None
    """Of one of its steps so far."""
    step_cost: float | None = None


def pays(here: Offer, there: Offer, *, steps: int, economy: Economy) -> bool:
    """Whether a return saves more than it costs: true where that cannot be known.

    Args:
        here: The model at work.
        there: The one to go back to.
        steps: How many steps it is expected to make.
        economy: What counts.
    """
    if economy == "off":
        return True
    if economy == "seconds":
        reading, other = there.price.seconds, here.price.seconds
        step, other_step = there.step_seconds, here.step_seconds
    else:
        reading, other = there.price.cost, here.price.cost
        step, other_step = there.step_cost, here.step_cost
    if reading is None or other is None or step is None or other_step is None:
        return True
    least = NEGLIGIBLE if economy == "seconds" else 0.0
    return reading - other < max(steps * (other_step - step), least)
