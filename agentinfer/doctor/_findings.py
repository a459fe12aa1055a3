"""What a probe found, as a value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Finding", "Findings", "Verdict", "clean", "no", "unclear", "yes"]

Verdict = Literal["yes", "no", "unclear"]

MAX_WORDS = 240
"""Characters of one finding's words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """The answer to one question about an endpoint."""

    verdict: Verdict
    words: str
    """What was seen, in one line."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """What follows for the profile, and figures: plain JSON values."""


class Findings(dict[str, Finding]):
    """Findings by the names of their probes; a probe that was not made has none."""

    def yes(self, name: str) -> bool:
        """Whether a probe found that the endpoint can."""
        return name in self and self[name].verdict == "yes"

    def no(self, name: str) -> bool:
        """Whether a probe found that the endpoint cannot."""
        return name in self and self[name].verdict == "no"

    def get_data(self, name: str, key: str) -> Any:
        """A value that a probe found, `None` where there is none."""
        return self[name].data.get(key) if name in self else None


def yes(words: str, **data: Any) -> Finding:
    """The endpoint can."""
    return Finding(verdict="yes", words=clean(words), data=data)


def no(words: str, **data: Any) -> Finding:
    """The endpoint cannot."""
    return Finding(verdict="no", words=clean(words), data=data)


def unclear(words: str, **data: Any) -> Finding:
    """It cannot be told."""
    return Finding(verdict="unclear", words=clean(words), data=data)


def clean(text: str) -> str:
    """A stranger's text as one line that is safe to print."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MAX_WORDS else line[: MAX_WORDS - 1] + "…"
