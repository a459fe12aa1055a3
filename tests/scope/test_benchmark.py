"""The benchmark: rows side by side, a learning part, a judged part, tables."""

import importlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentinfer.corpus import Document, build
from agentinfer.evals import load_records, load_settings, ordered, split_of
from agentinfer.evals._questions import load_questions
from agentinfer.testing import MockedEndpoint, call, http, mock_endpoint, say

Main = Callable[[list[str]], int]
LESSON = "When a search brings nothing new, open the best of the documents."


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Main:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    program: Main = importlib.import_module("benchmarks.scope").main
    return program


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A command with five rows, one of which cannot be."""
    films = [Document(f"f{n}", f"Film {n}", f"Film {n} was made by Maker {n}.") for n in range(12)]
    build(films, tmp_path / "films.db")
    lines = [{"id": f"q{n}", "question": f"Who made film {n}?", "answers": [f"Maker {n}"]} for n in range(12)]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    model = '[model]\nname = "m"\nbase_url = "http://endpoint.test/v1"\n'
    rows = {
        "none": "",
        "playbook": '[plugins."agentinfer.scope:Playbook"]\n',
        "system": "[plugins.scope]\ntexts = false\nshare = 100.0\nbest_of = 1\ntrial = { hold_out = 0 }\n",
        "end": '[plugins.scope]\nplacement = "end"\n',
        "broken": "[plugins.scope]\nplacement = 7\n",
    }
    for name, plugins in rows.items():
        (tmp_path / f"scope-{name}.toml").write_text(model + plugins)
    given = [str(tmp_path / "questions.jsonl"), "--corpus", str(tmp_path / "films.db"), "--configs", str(tmp_path)]
    return [*given, "--out", str(tmp_path / "out"), "--resamples", "50", "--rows", *rows]


def answers(body: dict[str, Any]) -> Any:
    """An agent that is right once it was told the lesson, and those that write guidelines for it."""
    told = body["messages"][0]["content"]
    if told.startswith("You improve"):
        return say(json.dumps({"guideline": LESSON, "confidence": 0.9}))
    if told.startswith("Judge"):
        return say('{"scope": "strategic", "confidence": 0.95, "domain": "search"}')
    if told.startswith("You review"):
        return say('{"helpful": [], "harmful": [], "insight": "Documents help."}')
    if told.startswith("You keep"):
        return say(json.dumps({"operations": [{"type": "ADD", "section": "all", "content": LESSON}]}))
    question = next(m["content"] for m in reversed(body["messages"]) if str(m["content"]).startswith("Who made film"))
    if body["messages"][-1]["role"] != "tool":
        return call("corpus_search", query=question)
    return say(f"Maker {question[14:-1]}" if any(LESSON in str(m["content"]) for m in body["messages"]) else "nobody")


@pytest.fixture
def endpoint() -> Iterator[MockedEndpoint]:
    with mock_endpoint(handler=answers) as mocked:
        yield mocked


def test_rows_learn_then_are_judged(
    main: Main, words: list[str], endpoint: MockedEndpoint, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert err.startswith("broken: ")
    learning, judged = out[out.index("## Learning part (told: f1)") :].split("## Judged part, guidelines frozen\n")
    assert "|  | none | playbook | system |" in learning
    assert "|  | none | playbook | system | end |" in judged
    solved = next(line for line in judged.splitlines() if line.startswith("| solved"))
    assert solved.count("100.0% [100.0%, 100.0%]; +100.0 [+100.0, +100.0]") == 3
    assert "1 tried; now 1 kept, 0 trial" in judged
    assert "1 tried; now 0 kept, 1 trial" in judged
    assert "- trial, with 1.00 in " in judged
    assert "tokens for learning" in judged
    lessons = next(line for line in judged.splitlines() if line.startswith("  lessons: "))
    assert "1 strategic" in lessons

    asked = {part: load_records(tmp_path / "out" / "system" / part) for part in ("learn", "judge")}
    questions = ordered(load_questions(tmp_path / "questions.jsonl"), 0)
    for part, split in (("learn", "develop"), ("judge", "report")):
        assert [record.id for record in asked[part]] == [q.id for q in questions if split_of(q.id) == split]
    assert load_settings(tmp_path / "out" / "system" / "learn")["settings"]["feedback"] == "f1"
    assert "feedback" not in load_settings(tmp_path / "out" / "system" / "judge")["settings"]

    before = len(endpoint.requests)
    assert main(words) == 1
    again = capsys.readouterr().out
    assert len(endpoint.requests) == before, "what is finished is not asked again"
    assert again[again.index("## Learning") :] == out[out.index("## Learning") :]


def test_nothing_is_learned_while_a_row_is_judged(main: Main, words: list[str], tmp_path: Path) -> None:
    learned: list[str] = []

    def watching(body: dict[str, Any]) -> Any:
        told = body["messages"][0]["content"]
        if told.startswith(("You improve", "You review")):
            learned.append(str(body))
        return answers(body)

    with mock_endpoint(handler=watching):
        main([*words, "--signal", "none"])
    judged = [record.question for record in load_records(tmp_path / "out" / "none" / "judge")]
    assert learned
    assert not [body for body in learned if any(question in body for question in judged)]


def test_a_row_that_is_cut_short_or_refused_leaves_its_folder(
    main: Main, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with mock_endpoint(handler=lambda body: http(401, "who are you?")):
        assert main(words[:-1]) == 1
    out, err = capsys.readouterr()
    assert err.count("who are you?") == 3
    assert "end: the row system failed" in err
    assert "## Guidelines" in out
    with mock_endpoint(handler=answers):
        assert main([*words[:-1], "--minutes", "0"]) == 0
        assert "cut short after 0 s" in capsys.readouterr().out


def test_a_row_that_does_not_learn_needs_the_one_that_does(
    main: Main, words: list[str], endpoint: MockedEndpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words[: words.index("--rows")], "--rows", "end"]) == 1
    assert "end: it is judged with what the row system has learned" in capsys.readouterr().err
    assert not endpoint.requests


def test_a_row_that_was_not_asked_is_not_told_of(
    main: Main, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with mock_endpoint(handler=lambda body: http(401, "who are you?")):
        assert main([*words[: words.index("--rows")], "--rows", "system"]) == 1
    assert "end: " not in capsys.readouterr().err


def test_what_is_learned_from_is_not_judged_by(
    main: Main, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*words, "--judge-split", "develop"]) == 1
    assert "share questions" in capsys.readouterr().err
