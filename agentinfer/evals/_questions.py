"""Questions with known answers, and the file they come from."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from agentinfer.evals._errors import EvalError

__all__ = ["Question", "Split", "load_questions", "split_of"]

Split = Literal["develop", "report"]
"""Questions to improve an agent with, and those kept for reporting, which nobody looks at meanwhile."""

SHOWN_PROBLEMS = 10
"""Broken lines told of at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question with its answers."""

    id: str
    question: str
    answers: tuple[str, ...]
    """Each of them is right."""
    supporting_titles: tuple[str, ...] = ()
    """The titles of the documents that the answer is found in, where they are known."""
    hops: int | None = None
    """How many documents have to be put together, where that is known."""
    source: str | None = None
    """The data set it comes from."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What else its line said."""


_Text = Annotated[str, StringConstraints(min_length=1, pattern=r"\S")]


class _Line(BaseModel):
    """What a line has to be."""

    model_config = ConfigDict(extra="allow", strict=True)

    id: _Text | int
    question: _Text
    answers: list[_Text] = Field(min_length=1)
    supporting_titles: list[str] = []
    hops: int | None = None
    source: str | None = None


def split_of(id: str) -> Split:  # noqa: A002 - the field's own name
    """Which split a question belongs to: `develop` where the SHA-256 of its id is even, else `report`."""
    return "report" if hashlib.sha256(id.encode()).digest()[-1] % 2 else "develop"


def load_questions(path: str | os.PathLike[str], *, split: Split | None = None) -> list[Question]:
    """Read questions, one JSON object a line: `{"id", "question", "answers": [...], ...}`.

    Args:
        path: The file.
        split: Only the questions of this split.

    Raises:
        EvalError: The file cannot be read, a line is broken (all are named), an id is used twice, or no question is
            left.
    """
    file = Path(path)
    try:
        lines = file.read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    except OSError as error:
        raise EvalError(f"cannot read the questions {file}: {error.strerror or error}") from None
    questions: list[Question] = []
    seen: dict[str, int] = {}
    problems: list[str] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            question = _parse(line)
        except ValueError as error:
            problems.append(f"{file}:{number}: {error}")
            continue
        if question.id in seen:
            problems.append(f"{file}:{number}: the id {question.id!r} was used before, in line {seen[question.id]}")
        seen.setdefault(question.id, number)
        questions.append(question)
    if problems:
        more = len(problems) - SHOWN_PROBLEMS
        shown = "\n  ".join(problems[:SHOWN_PROBLEMS] + ([f"... and {more} more"] if more > 0 else []))
        raise EvalError(f"{len(problems)} of the lines of {file} cannot be used:\n  {shown}")
    if not questions:
        raise EvalError(f"{file} holds no question")
    chosen = [question for question in questions if split is None or split_of(question.id) == split]
    if not chosen:
        raise EvalError(f"none of the {len(questions)} questions of {file} belongs to the split {split!r}")
    return chosen


def _parse(line: bytes) -> Question:
    """The question of a line.

    Raises:
        ValueError: The line is not one; the message says why.
    """
    try:
        data = json.loads(line.decode())
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"not JSON: {error}") from None
    if not isinstance(data, dict):
        raise ValueError(  # noqa: TRY004 - all that is wrong with a line is one kind of error
            f"not a JSON object but {type(data).__name__}"
        )
    try:
        parsed = _Line.model_validate(data)
    except ValidationError as error:
        raise ValueError(_complaint(error)) from None
    return Question(
        id=str(parsed.id),
        question=parsed.question,
        answers=tuple(parsed.answers),
        supporting_titles=tuple(parsed.supporting_titles),
        hops=parsed.hops,
        source=parsed.source,
        extra=parsed.model_extra or {},
    )


def _complaint(error: ValidationError) -> str:
    """The first problem with a line, by the field it has to do with."""
    problem = error.errors(include_url=False, include_input=False)[0]
    name = str(problem["loc"][0])
    if name == "answers" and problem["type"] in ("missing", "too_short"):
        return "it has no answers"
    if problem["type"] == "missing":
        return f'it has no "{name}"'
    if problem["type"] == "string_pattern_mismatch":
        return f'"{name}" holds an empty text'
    return f'"{name}": {problem["msg"]}'
