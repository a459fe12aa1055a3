"""The trail: where, earlier in the text, the counterpart of what the model writes stands.

A match ends where a value differs from that of the last time. The trail goes on: over a value of as many tokens, or to
the nearest place where what was written stands again. So the rest of an action is proposed as it was with other values.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from agentinfer.sam._calibration import CHANGED, HISTORY, KEPT, UNKNOWN

__all__ = ["OWN", "Trail"]

OWN = 1 << 31
"""Marks the tokens that the model wrote."""
NOWHERE = 1 << 31
REACH = 32
"""Tokens within which a trail looks for its way after a difference."""
PATIENCE = 8
"""Differences after which a trail among the model's own words gives way to one among those of others."""


@dataclass(slots=True)
class Trail:
    """A place in a text, moved on by every token that the model writes."""

    at: int = NOWHERE
    """The place of the counterpart of what comes next; beyond the text where there is none."""
    mark: int = NOWHERE
    """The place of the first difference, while it is not overcome."""
    misses: int = 0
    """Differences since then."""
    history: int = 0
    """Which of the last `HISTORY` tokens were the same as their counterparts, the latest in the lowest bit."""

    def copy(self) -> "Trail":
        """Another at the same place."""
        return replace(self)

    def leave(self) -> None:
        """Somebody else speaks."""
        self.at, self.mark, self.misses, self.history = NOWHERE, NOWHERE, 0, 0

    def fate(self, text: Sequence[int], token: int) -> int:
        """What has become of the counterpart, now that this token was written."""
        if self.at >= len(text):
            return UNKNOWN
        return KEPT if text[self.at] & ~OWN == token else CHANGED

    def follow(self, text: Sequence[int], kept: int | None, token: int) -> None:
        """Move on.

        Args:
            text: The text, its entries marked with `OWN`.
            kept: The place in it of what was expected by the longest match.
            token: What was written.
        """
        somewhere = self.at < len(text)
        history = self.history << 1 & (1 << HISTORY) - 1
        if somewhere and text[self.at] & ~OWN == token:
            if self.history & 1:
                self.mark, self.misses = NOWHERE, 0
            self.at += 1
            self.history = history | 1
            return
        leaves = kept is not None and (not somewhere or text[kept] & OWN or self.misses >= PATIENCE)
        if kept is not None and leaves and text[kept] & ~OWN == token:
            self.at, self.mark, self.misses = kept + 1, NOWHERE, 0
            self.history = history | 1 if somewhere else 0
            return
        if somewhere:
            self.mark = min(self.mark, self.at)
            self.misses += 1
            self.history = history
        elif kept is not None:
            self.at, self.mark, self.misses, self.history = kept, kept, 1, 0
        else:
            self.leave()
            return
        for at in range(self.mark + 1, min(self.mark + REACH + 1, len(text))):
            if text[at] & ~OWN == token:
                self.mark, self.at = at, at + 1
                return
        self.at += 1
