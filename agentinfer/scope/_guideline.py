"""What a guideline is: one line of advice, where it came from, and what has become of it."""

import re
import time
import unicodedata
import uuid
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from agentinfer.errors import UserError

__all__ = [
    "DOMAINS",
    "MAX_CHARS",
    "Guideline",
    "Kind",
    "Origin",
    "Source",
    "Space",
    "Status",
    "clean",
    "key_of",
    "new_id",
    "opposed",
    "problem_of",
    "similarity",
    "wording_of",
]

Kind = Literal["corrective", "enhancement", "person", "imported"]
"""Born of an error or a stall; of a step that worked and was wasteful; written by a person; from another store."""

Status = Literal["quarantined", "trial", "kept", "retired"]
"""`quarantined`: never shown to a run. `trial`: shown to some runs and held out of others, until evidence is in.
`kept`: shown to (nearly) all. `retired`: no longer shown, and not learned again."""

Origin = Literal["run", "tool", "person", "import"]
"""What a guideline was drawn from: the course of a run; texts that tools returned; a person; another store."""

DOMAINS = ("planning", "tools", "search", "reading", "answering", "efficiency", "general")
"""What guidelines are about. A domain that holds too many is consolidated."""

MAX_CHARS = 500
"""Characters of a guideline. A longer one is refused: cut in the middle it may say the opposite."""

_MARKS = re.compile(
    r"[<＜]\s*[|｜/]?\s*(?:[|｜]|tool-data|(?:start|end)_of_turn|im_(?:start|end)|tool_(?:call|response)"
    r"|(?:s|sys|bos|eos|think)\s*[>＞])|\[/?(?:INST|TOOL_CALLS|TOOL_RESULTS|AVAILABLE_TOOLS)\]",
    re.IGNORECASE,
)
"""What chat templates and fences write between the turns of a conversation."""
_BULLET = re.compile(r"^(?:[-*•#>]+|\d{1,2}[.)])\s+")
_WORD = re.compile(r"\w+")
_STOP = re.compile(r"(?<=\S)[.,;:!]+(?=\s|$)")
"""What ends a sentence, or a part of one."""
_NEGATION = re.compile(r"\b(?:not|never|no|nor|without|cannot)\b|n['’]t\b")
_FIGURE = re.compile(r"[<>≤≥≠]=?|(?<!\w)[-+−]?\d[\d.,]*")


@dataclass(frozen=True, slots=True)
class Space:
    """Whose guidelines: nothing of one space is ever shown in another."""

    tenant: str | None = None
    memory: str = "default"
    """A tenant may have several memories: one per agent, or one per perspective."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One occasion on which a guideline was learned. Sources survive every merge."""

    origin: Origin
    run: str = ""
    step: int | None = None
    note: str = ""
    at: float = field(default_factory=time.time)
    """Seconds since the epoch."""

    @property
    def tainted(self) -> bool:
        """Whether a stranger may have written it."""
        return self.origin in ("tool", "import")


@dataclass(frozen=True, slots=True, kw_only=True)
class Guideline:
    """One guideline. Immutable: deltas make a changed one with the same id."""

    id: str
    text: str
    kind: Kind
    status: Status
    rationale: str = ""
    domain: str = "general"
    confidence: float = 0.5
    """What its author made of it, 0 to 1. It orders, it never decides: evidence does."""
    sources: tuple[Source, ...]
    merged: tuple[str, ...] = ()
    """The ids of guidelines that this one stands for, too."""
    reason: str = ""
    """Why it has its status."""
    created: float = field(default_factory=time.time)

    @property
    def active(self) -> bool:
        """Whether runs may be shown it."""
        return self.status in ("trial", "kept")

    @property
    def tainted(self) -> bool:
        """Whether all that speaks for it may have been written by strangers."""
        return all(source.tainted for source in self.sources)

    def replace(self, **changes: Any) -> "Guideline":
        """This guideline with some fields changed."""
        return replace(self, **changes)

    def supported(self, *sources: Source) -> "Guideline":
        """With further sources, each once. A quarantined one goes on trial once an untainted one is among them."""
        new = tuple(source for source in dict.fromkeys(sources) if source not in self.sources)
        with_all = self.replace(sources=self.sources + new)
        if self.status == "quarantined" and not with_all.tainted:
            person = any(source.origin == "person" for source in new)
            return with_all.replace(
                status="trial", reason="approved by a person" if person else "a second, untainted source"
            )
        return with_all

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able data."""
        return dict(_adapter().dump_python(self, mode="json"))

    @classmethod
    def from_dict(cls, data: Any) -> "Guideline":
        """The guideline that `to_dict` made this of.

        Raises:
            UserError: The data is none.
        """
        try:
            return _adapter().validate_python(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise UserError(f"not a guideline: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None


@lru_cache
def _adapter() -> TypeAdapter[Guideline]:
    return TypeAdapter(Guideline)


def new_id() -> str:
    """An id that no other process gives."""
    return f"g-{uuid.uuid4().hex[:12]}"


def clean(text: str) -> str:
    """A text on one line: no line ends, control or invisible characters, bullets, or quotes around it."""
    shown = "".join(" " if c.isspace() else "" if unicodedata.category(c)[0] == "C" else c for c in text)
    shown = _BULLET.sub("", " ".join(shown.split()))
    return shown[1:-1].strip() if len(shown) > 1 and shown[0] == shown[-1] and shown[0] in "\"'`" else shown


def problem_of(text: str, *, max_chars: int = MAX_CHARS) -> str | None:
    """Why a cleaned text cannot be a guideline; nothing where it can."""
    if len(key_of(text)) < 8:
        return "empty, or too short to tell anybody anything"
    if len(text) > max_chars:
        return f"longer than {max_chars} characters"
    if _MARKS.search(text):
        return "holds marks of a chat template or a fence"
    return None


def key_of(text: str) -> str:
    """Equal for texts that differ only in case, punctuation and spaces: also for `5` and `-5`, `C++` and `C#`."""
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def wording_of(text: str) -> str:
    """Equal for the very same words: the texts differ in case, spaces, and what ends a sentence or a part of it.

    Texts of one wording have one key, too.
    """
    return _STOP.sub("", " ".join(unicodedata.normalize("NFKC", text).casefold().split()))


def similarity(one: str, other: str) -> float:
    """How far two texts use the same words, 0 to 1: shared words by those of the longer text."""
    words, others = set(key_of(one).split()), set(key_of(other).split())
    return len(words & others) / max(len(words), len(others)) if words and others else 0.0


def opposed(one: str, other: str) -> bool:
    """Whether texts differ in what few words show: one of them negates, or they compare otherwise (`> 5`, `< 5`)."""
    texts = [unicodedata.normalize("NFKC", text).casefold() for text in (one, other)]
    negated = [bool(_NEGATION.search(text)) for text in texts]
    figures = [sorted(found.rstrip(".,") for found in _FIGURE.findall(text)) for text in texts]
    return negated[0] != negated[1] or (all(figures) and figures[0] != figures[1])
