"""How compression is to work."""

from dataclasses import dataclass
from typing import Literal

from agentinfer.errors import UserError

__all__ = ["Settings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What `Compress` was told; its arguments say what each is for."""

    start_tokens: int
    recent: int
    least: int
    notes: Literal["model", "extract", "none"]
    notes_tokens: int
    reasoning: bool
    rank: Literal["words", "model", "off"]
    keep_hits: int
    hit_share: float
    prewarm: bool
    turns: float | None
    reserve: int
    seconds: float

    def __post_init__(self) -> None:
        for name, choices in (("notes", ("model", "extract", "none")), ("rank", ("words", "model", "off"))):
            if getattr(self, name) not in choices:
                raise UserError(f"Compress({name}={getattr(self, name)!r}): it is one of {', '.join(choices)}")
        for name in ("start_tokens", "recent", "least", "reserve"):
            if getattr(self, name) < 0:
                raise UserError(f"Compress({name}={getattr(self, name)}): it cannot be negative")
        for name in ("notes_tokens", "seconds", "keep_hits"):
            if not getattr(self, name) > 0:
                raise UserError(f"Compress({name}={getattr(self, name)}): it must be positive")
        if not 0 <= self.hit_share <= 1:
            raise UserError(f"Compress(hit_share={self.hit_share}): it is between 0 and 1")
