"""Fast and slow thinking, as endpoints are asked for them: always by a parameter or at the end of the prompt."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["THINKING", "ThinkMode", "ThinkSwitch", "Thinking"]

ThinkMode = Literal["fast", "slow", "adaptive"]
"""Hardly any reasoning before the reply; as much as it takes; or as the model itself sees fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThinkSwitch:
    """How one mode is asked for."""

    body: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the request."""
    suffix: str = ""
    """A text at the end of the prompt, in a message of the user."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Thinking:
    """How a model is told how much to think. `None`: it has no such mode."""

    fast: ThinkSwitch | None = None
    slow: ThinkSwitch | None = None
    adaptive: ThinkSwitch | None = None
    lasting: bool = True
    """Whether a suffix holds until another one is given; else for one reply."""

    def switch(self, mode: ThinkMode) -> ThinkSwitch | None:
        """How a mode is asked for."""
        switch: ThinkSwitch | None = getattr(self, mode)
        return switch


def _enable(value: bool) -> ThinkSwitch:
    return ThinkSwitch(body={"chat_template_kwargs": {"enable_thinking": value}})


THINKING: dict[str, Thinking] = {
    "reasoning_effort": Thinking(
        fast=ThinkSwitch(body={"reasoning_effort": "low"}),
        slow=ThinkSwitch(body={"reasoning_effort": "high"}),
        adaptive=ThinkSwitch(body={"reasoning_effort": "medium"}),
    ),
    # vLLM, SGLang and llama.cpp hand these to the model's chat template.
    "enable_thinking": Thinking(fast=_enable(False), slow=_enable(True)),
    # Qwen3's soft switches: the most recent one holds.
    "qwen": Thinking(fast=ThinkSwitch(suffix="/no_think"), slow=ThinkSwitch(suffix="/think")),
    # openPangu-Embedded (arXiv 2505.22375): slow unless told otherwise, at the end of each turn of the user.
    "pangu": Thinking(
        fast=ThinkSwitch(suffix="/no_think"),
        slow=ThinkSwitch(),
        adaptive=ThinkSwitch(suffix="/auto_think"),
        lasting=False,
    ),
}
"""Known ways, by the name that a profile gives; add your own."""
