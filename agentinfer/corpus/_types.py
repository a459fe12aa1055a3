"""The values that go into a corpus and come out of it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Document:
    """One text that can be found and opened."""

    id: str
    """What names it within its corpus; unique."""

    title: str
    """What a person calls it; several documents may share a title."""

    text: str
    """The whole text."""


@dataclass(frozen=True, slots=True)
class Hit:
    """One search result."""

    id: str
    """The document's id."""

    title: str
    """The document's title."""

    snippet: str
    """The passage that fits the query best, on one line, about 300 characters."""

    score: float
    """The BM25 score: higher is better; comparable only within one search."""


@dataclass(frozen=True, slots=True)
class Skip:
    """Something that was left out of a corpus."""

    where: str
    """The file, `file:line`, or the document's id."""

    reason: str
    """Why it was left out."""

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


@dataclass(frozen=True, slots=True)
class BuildReport:
    """What a build did."""

    documents: int
    """How many documents the corpus holds."""

    skipped: int
    """How many files, lines or documents were left out."""

    seconds: float
    """How long it took."""
