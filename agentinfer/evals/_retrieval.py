"""What a run retrieved, and how much of it was what the question needs."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentinfer.evals._questions import Question
from agentinfer.step import StepResult
from agentinfer.tools import ToolResult

__all__ = ["SEARCH_TOOL", "Retrieved", "recall", "retrieved", "retrieved_in"]

SEARCH_TOOL = "corpus_search"
OPEN_TOOL = "open_document"

_SHOWN_HIT = re.compile(r"^\[(?P<id>[^\]\n]+)\] (?P<title>.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrieved:
    """A document, or a passage of one, that a run was shown."""

    id: str
    """Its id, where that is known, else its title."""
    title: str
    text: str = ""
    """What of it was shown."""
    opened: bool = False
    """Whether the model asked for it in full."""


def retrieved(result: ToolResult) -> list[Retrieved]:
    """The documents that a tool's result shows: those of `corpus_search`, `open_document`, or a tool like them.

    A tool is like them if what it returns is a list of objects that have a `title`, as a `Hit` has.
    """
    if result.outcome != "ok":
        return []
    if isinstance(result.value, Sequence) and not isinstance(result.value, str | bytes):
        return [_of(entry) for entry in result.value if isinstance(getattr(entry, "title", None), str)]
    if result.call.name == OPEN_TOOL:
        title, _, text = result.content.partition("\n")
        return [Retrieved(id=title, title=title, text=text, opened=True)]
    if result.call.name == SEARCH_TOOL:  # a plug-in may have kept the text of a result only
        return [Retrieved(id=found["id"], title=found["title"]) for found in _SHOWN_HIT.finditer(result.content)]
    return []


def _of(entry: object) -> Retrieved:
    title = str(getattr(entry, "title", ""))
    text = getattr(entry, "snippet", None) or getattr(entry, "text", None) or ""
    return Retrieved(id=str(getattr(entry, "id", title)), title=title, text=str(text))


def retrieved_in(steps: Iterable[StepResult]) -> list[Retrieved]:
    """The documents that the steps of a run were shown, in order."""
    return [document for step in steps for result in step.results for document in retrieved(result)]


def recall(question: Question, titles: Iterable[str]) -> float | None:
    """The share of the question's supporting titles among these, 0 to 1; `None` where it names none."""
    wanted = {_folded(title) for title in question.supporting_titles}
    return len(wanted & {_folded(title) for title in titles}) / len(wanted) if wanted else None


def _folded(title: str) -> str:
    return " ".join(title.casefold().split())
