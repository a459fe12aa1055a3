"""Question files, good and bad."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from agentinfer.evals import EvalError, Question, load_questions, ordered, split_of


def file_of(path: Path, *lines: Any) -> Path:
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    path.write_text("\n".join(texts) + "\n", encoding="utf-8")
    return path


def line(name: Any = "a", **fields: Any) -> dict[str, Any]:
    return {"id": name, "question": "Who?", "answers": ["Ann"], **fields}


def test_a_line_is_a_question(tmp_path: Path) -> None:
    path = file_of(
        tmp_path / "q.jsonl",
        "\ufeff" + json.dumps(line("a", supporting_titles=["T"], hops=2, source="made up", level="hard")),
        "",
        line(7),
    )

    assert load_questions(path) == [
        Question(
            id="a",
            question="Who?",
            answers=("Ann",),
            supporting_titles=("T",),
            hops=2,
            source="made up",
            extra={"level": "hard"},
        ),
        Question(id="7", question="Who?", answers=("Ann",)),
    ]


@pytest.mark.parametrize(
    ("bad", "complaint"),
    [
        ('{"id": "b", "question"', "not JSON"),
        ("[1]", "not a JSON object but list"),
        ({"id": "b", "question": "Who?"}, "it has no answers"),
        (line("b", answers=[]), "it has no answers"),
        (line("b", answers="Ann"), '"answers": Input should be a valid list'),
        (line("b", answers=["Ann", " "]), '"answers" holds an empty text'),
        (line("b", question=" "), '"question" holds an empty text'),
        ({"question": "Who?", "answers": ["Ann"]}, 'it has no "id"'),
        (line(True), '"id"'),
        (line(1.5), '"id"'),
        (line("b", hops="two"), '"hops"'),
        (line("a"), "the id 'a' was used before, in line 1"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, bad: Any, complaint: str) -> None:
    path = file_of(tmp_path / "q.jsonl", line("a"), bad, line("c"))

    with pytest.raises(EvalError) as raised:
        load_questions(path)

    assert f"{path}:2: " in str(raised.value)
    assert complaint in str(raised.value)


def test_all_broken_lines_are_told_of_at_once_but_not_too_many(tmp_path: Path) -> None:
    path = file_of(tmp_path / "q.jsonl", line("a"), *["{"] * 15)

    with pytest.raises(EvalError, match=r"15 of the lines") as raised:
        load_questions(path)

    assert f"{path}:2: " in str(raised.value)
    assert f"{path}:11: " in str(raised.value)
    assert f"{path}:12: " not in str(raised.value)
    assert "and 5 more" in str(raised.value)


def test_bytes_that_are_no_text(tmp_path: Path) -> None:
    path = tmp_path / "q.jsonl"
    path.write_bytes(b'{"id": "\xff"}\n')

    with pytest.raises(EvalError, match="not UTF-8"):
        load_questions(path)


@pytest.mark.parametrize(("make", "complaint"), [(False, "cannot read"), (True, "holds no question")])
def test_nothing_to_ask(tmp_path: Path, make: bool, complaint: str) -> None:
    path = tmp_path / "q.jsonl"
    if make:
        path.write_text("\n\n")

    with pytest.raises(EvalError, match=complaint):
        load_questions(path)


def test_splits_go_by_the_parity_of_the_hash(tmp_path: Path) -> None:
    path = file_of(tmp_path / "q.jsonl", *(line(f"q{n}") for n in range(20)))

    develop, report = load_questions(path, split="develop"), load_questions(path, split="report")

    assert {q.id for q in develop} | {q.id for q in report} == {f"q{n}" for n in range(20)}
    assert all(int(hashlib.sha256(q.id.encode()).hexdigest(), 16) % 2 == 0 for q in develop)
    assert all(split_of(q.id) == "report" for q in report)


def test_an_empty_split_is_an_error(tmp_path: Path) -> None:
    name = next(f"q{n}" for n in range(100) if split_of(f"q{n}") == "report")

    with pytest.raises(EvalError, match="belongs to the split"):
        load_questions(file_of(tmp_path / "q.jsonl", line(name)), split="develop")


def test_a_seed_orders_questions_whatever_their_order_and_company() -> None:
    questions = [Question(id=str(n), question="?", answers=("!",)) for n in range(30)]

    order = [q.id for q in ordered(questions, 1)]

    assert [q.id for q in ordered(questions[::-1], 1)] == order
    assert [q.id for q in ordered(questions[:9], 1)] == [name for name in order if int(name) < 9]
    assert [q.id for q in ordered(questions, 2)] != order
