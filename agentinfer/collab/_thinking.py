"""How much a model is to think in a step, and how a request says so."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from agentinfer.collab._policy import PolicyState
from agentinfer.collab._tiers import Think
from agentinfer.errors import UserError
from agentinfer.models import THINKING, Model, Sampling, Thinking, ThinkMode, ThinkSwitch

__all__ = ["mode_of", "sampling_for", "switch_for", "thinking_of"]


def mode_of(think: Think | None, state: PolicyState, *, stale: int, errors: int) -> ThinkMode | None:
    """The mode of a step. Of its own accord it is slow where the run has been hard: at the start, and without progress.

    Args:
        think: What the tier says.
        state: Where the run stands.
        stale: Steps in a row that showed nothing new.
        errors: Steps in a row in which all tools failed.
    """
    if think != "auto":
        return think
    trouble = state.failures + state.noes + state.missing + stale + errors
    return "slow" if state.phase != "execute" or not state.steps or trouble else "fast"


def thinking_of(model: Model) -> Thinking | None:
    """How a model is told how much to think, where it can be.

    Raises:
        UserError: Its profile names a way that is not known.
    """
    name = model.profile.thinking
    if name is not None and name not in THINKING:
        raise UserError(f"There is no way of thinking {name!r}. Known: {', '.join(THINKING)}")
    return None if name is None else THINKING[name]


def switch_for(thinking: Thinking | None, mode: ThinkMode | None, told: str) -> ThinkSwitch:
    """What to send so that a model thinks so; a suffix only where it does not hold already.

    Args:
        thinking: How the model is told.
        mode: How it is to think.
        told: The suffix that was given last, to whichever model.
    """
    if thinking is None:
        return ThinkSwitch()
    if mode is None and told:  # what another tier was told does not hold for this one
        mode = "slow"
    switch = thinking.switch(mode) if mode else None
    if switch is None:
        return ThinkSwitch()
    return dataclasses.replace(switch, suffix="") if thinking.lasting and switch.suffix == told else switch


def sampling_for(given: Sampling | None, run_model: Model, model: Model, body: Mapping[str, Any]) -> Sampling | None:
    """How a model is to write: as its own settings say, where the request's are only those of the run's model.

    Args:
        given: The request's settings.
        run_model: The run's model, whose settings the loop fills in.
        model: Who is asked.
        body: Further fields of the request.
    """
    if given is not None and dataclasses.replace(given, max_tokens=run_model.sampling.max_tokens) == run_model.sampling:
        cap = given.max_tokens
        own = model.sampling.max_tokens
        given = dataclasses.replace(model.sampling, max_tokens=min(cap, own) if cap and own else cap or own)
    if not body:
        return given
    given = given or model.sampling
    return dataclasses.replace(given, extra=_merged(given.extra, body))


def _merged(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """Two tables as one; what both hold as tables is put together too."""
    merged = dict(first)
    for name, value in second.items():
        old = merged.get(name)
        merged[name] = _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged
