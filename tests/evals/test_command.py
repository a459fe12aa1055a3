"""`agentinfer eval`, from the words on the command line to the exit code."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agentinfer.cli import main
from agentinfer.corpus import Document, build
from agentinfer.evals import load_records, load_settings, split_of
from agentinfer.testing import MockedEndpoint, call, http, mock_endpoint, say

ENDPOINT = ["--base-url", "http://endpoint.test/v1", "--model", "m"]


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "AGENTINFER_MODEL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def questions(tmp_path: Path) -> str:
    lines = [
        {
            "id": f"q{n}",
            "question": f"Who made film {n}?",
            "answers": [f"Maker {n}"],
            "supporting_titles": [f"Film {n}"],
        }
        for n in range(6)
    ]
    path = tmp_path / "questions.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    films = [Document(f"f{n}", f"Film {n}", f"Film {n} was made by Maker {n}.") for n in range(6)]
    build(films, tmp_path / "films.db")
    return str(tmp_path / "films.db")


def number(body: dict[str, Any]) -> str:
    asked = next(m["content"] for m in reversed(body["messages"]) if m["role"] == "user")
    return str(asked).rpartition(" ")[2].rstrip("?")


def searches(body: dict[str, Any]) -> Any:
    if body["messages"][-1]["role"] == "tool":
        return say(f"maker {number(body)}" if number(body) != "3" else "nobody")
    return call("corpus_search", query=f"Film {number(body)}")


def knows(body: dict[str, Any]) -> Any:
    return say(f"Maker {number(body)}")


@pytest.fixture
def endpoint() -> Iterator[MockedEndpoint]:
    with mock_endpoint(handler=searches) as mocked:
        yield mocked


@pytest.mark.usefixtures("endpoint")
def test_progress_and_a_summary(
    questions: str, corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"

    assert main(["eval", questions, "--corpus", corpus, "--out", str(out), "--concurrency", "2", *ENDPOINT]) == 0

    printed, progress = capsys.readouterr()
    assert "agent: 5 of 6 questions solved" in printed
    assert "retrieval recall" in printed
    assert "per solved" in printed
    assert progress.startswith("agent: 6 questions\n1/6 ")
    assert "6/6 " in progress
    assert "wrong nobody" in progress
    assert "83% right" in progress
    assert " left" in progress
    settings = load_settings(out)["settings"]
    assert settings["settings"]["corpus"] == {"file": "films.db", "documents": 6}
    assert settings["settings"]["mode"] == "agent"

    assert main(["eval", questions, "--corpus", corpus, "--out", str(out), "--json", "--quiet", *ENDPOINT]) == 0
    printed, progress = capsys.readouterr()
    assert json.loads(printed)["agent"]["solved"] == 5
    assert progress == ""


@pytest.mark.parametrize("mode", ["closed-book", "one-shot"])
def test_the_baselines(
    mode: str, questions: str, corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    with mock_endpoint(handler=knows) as endpoint:
        words = ["eval", questions, "--corpus", corpus, "--out", str(out), "--mode", mode, *ENDPOINT]
        assert main(words) == 0

    assert f"agent, {mode}: 6 of 6 questions solved" in capsys.readouterr().out
    assert all("tools" not in body for body in endpoint.requests)
    shown = [body["messages"][-1]["content"] for body in endpoint.requests]
    assert all(("Passages:" in text) == (mode == "one-shot") for text in shown)
    assert {record.recall for record in load_records(out)} == ({1.0} if mode == "one-shot" else {None})


@pytest.mark.usefixtures("endpoint")
def test_split_limit_and_steps(questions: str, corpus: str, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    words = ["eval", questions, "--corpus", corpus, "--out", out, "--split", "develop", "--max-steps", "1", *ENDPOINT]

    assert main([*words, "--limit", "2"]) == 0
    first = [record.id for record in load_records(out)]
    assert len(first) == 2
    assert {split_of(name) for name in first} == {"develop"}
    assert {record.stop_reason for record in load_records(out)} == {"steps"}

    assert main(words) == 0
    assert [record.id for record in load_records(out)][:2] == first


@pytest.mark.usefixtures("endpoint")
def test_grades_as_feedback_are_part_of_what_a_folder_is(
    questions: str, corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    words = ["eval", questions, "--corpus", corpus, "--out", out, "--quiet", *ENDPOINT]

    assert main([*words, "--feedback", "f1"]) == 0
    assert capsys.readouterr().out.startswith("agent, told f1: 5 of 6")
    assert load_settings(out)["settings"]["feedback"] == "f1"
    assert main(words) == 2
    assert "feedback" in capsys.readouterr().err


def test_an_endpoint_that_refuses_us_ends_it(
    questions: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    left = iter([True, True])
    with mock_endpoint(handler=lambda body: knows(body) if next(left, False) else http(401, "who are you?")):
        assert main(["eval", questions, "--mode", "closed-book", "--out", str(tmp_path / "out"), *ENDPOINT]) == 1

    told = capsys.readouterr().err
    assert "who are you?" in told
    assert "2 of 6 questions are finished; the same command goes on" in told


def test_record_and_replay(questions: str, corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["eval", questions, "--corpus", corpus, "--quiet", *ENDPOINT]
    tape = str(tmp_path / "tape")
    with mock_endpoint(handler=searches):
        assert main([*words, "--out", str(tmp_path / "live"), "--record", tape]) == 0
    live = capsys.readouterr().out

    with mock_endpoint(handler=searches) as endpoint:
        assert main([*words, "--out", str(tmp_path / "replayed"), "--replay", tape]) == 0
        assert endpoint.requests == []
        replayed = capsys.readouterr().out
        assert replayed.startswith("agent, replayed: 5 of 6")
        assert replayed.splitlines()[1:6] == live.splitlines()[1:6]
        # What was not recorded ends it: an evaluation is not to be made up of misses.
        other = [*words, "--out", str(tmp_path / "missed"), "--replay", tape, "--mode", "closed-book"]
        assert main(other) == 1
    assert "0 of 6 questions are finished" in capsys.readouterr().err


def test_a_configuration_file(questions: str, corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "mine.toml"
    config.write_text(
        '[model]\nname = "m"\nbase_url = "http://endpoint.test/v1"\npricing = {input = 10.0, output = 20.0}\n'
        '[judge]\nname = "judge"\nbase_url = "http://endpoint.test/v1"\n[limits]\nsteps = 5\n'
    )
    out = tmp_path / "out"
    words = ["eval", questions, "--corpus", corpus, "--config", str(config), "--out", str(out)]

    def handler(body: dict[str, Any]) -> Any:
        return say("yes") if body["model"] == "judge" else searches(body)

    with mock_endpoint(handler=handler):
        assert main([*words, "--max-seconds", "100"]) == 0

        printed, progress = capsys.readouterr()
        assert "mine: 5 of 6 questions solved" in printed
        assert "judge                 1.000" in printed
        assert "cost" in progress
        limits = load_settings(out)["settings"]["agent"]["limits"]
        assert (limits["steps"], limits["seconds"]) == (5, 100)

        assert main(["ask", "Who made film 1?", "--corpus", corpus, "--config", str(config)]) == 0
        assert capsys.readouterr().out == "maker 1\n"

    config.write_text(config.read_text().replace("steps = 5", "steps = 6"))
    assert main([*words, "--max-seconds", "100"]) == 2
    assert "agent.limits.steps: 5 became 6" in capsys.readouterr().err


@pytest.mark.usefixtures("endpoint")
def test_all_runs_each_variant_in_a_folder_of_its_own(
    questions: str, corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from agentinfer import _plugins as plugins

    known = {"one": "test_config:Patient", "two": "test_config:Handy", "absent": "agentinfer.absent:Absent"}
    monkeypatch.setattr(plugins, "PLUGINS", known)
    out = tmp_path / "out"
    words = ["eval", questions, "--corpus", corpus, "--limit", "2", "--config", "all", "--out", str(out), *ENDPOINT]

    assert main(words) == 0

    printed, told = capsys.readouterr()
    assert "skipped, since not installed: absent" in told
    assert sorted(path.name for path in out.iterdir()) == ["all", "one", "plain", "two"]
    assert load_settings(out / "all")["settings"]["agent"]["plugins"][2:] == [
        "test_config:Patient",
        "test_config:Handy",
    ]
    assert {record.config for record in load_records(out / "one")} == {"one"}
    assert "all: " in printed


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["missing.jsonl", "--mode", "closed-book", *ENDPOINT], "cannot read the questions missing.jsonl"),
        (["broken.jsonl", "--mode", "closed-book", *ENDPOINT], "broken.jsonl:1: not JSON"),
        (["good.jsonl", *ENDPOINT], "there is nothing to search"),
        (["good.jsonl", "--mode", "closed-book"], "no model to ask"),
        (["good.jsonl", "--corpus", "missing.db", *ENDPOINT], "missing.db"),
        (["good.jsonl", "--mode", "closed-book", "--limit", "0", *ENDPOINT], "limit must be at least 1"),
        (["good.jsonl", "--mode", "closed-book", "--config", "no.toml", *ENDPOINT], "no.toml"),
        (["good.jsonl", "--mode", "closed-book", "--config", "a", "--config", "b", *ENDPOINT], "one configuration"),
        (["good.jsonl", "--mode", "closed-book", "--config", "m.toml", *ENDPOINT], "--base-url, --model cannot be"),
        (["good.jsonl", "--mode", "closed-book", "--replay", "no-tape", *ENDPOINT], "no-tape"),
    ],
)
def test_wrong_use_is_told_in_one_line(
    words: list[str],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.jsonl").write_text("{\n")
    Path("good.jsonl").write_text('{"id": "a", "question": "Who?", "answers": ["Ann"]}\n')
    Path("m.toml").write_text('[model]\nname = "m"\nbase_url = "http://endpoint.test/v1"\n')

    assert main(["eval", *words, "--out", "out"]) == 2

    printed, told = capsys.readouterr()
    assert complaint in told
    assert "Traceback" not in told
    assert printed == ""


def test_the_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["eval", "--help"])
    assert leaving.value.code == 0
    assert "closed-book" in capsys.readouterr().out


def test_neither_the_library_nor_the_command_line_loads_it_unasked() -> None:
    program = (
        "import sys, agentinfer, agentinfer.cli; agentinfer.cli._parser(); "
        "print([name for name in ('agentinfer.evals', 'agentinfer.config', 'yaml', 'tomllib') if name in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout == "[]\n"
