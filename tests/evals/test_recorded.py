"""A real model's own words: a search agent over eighteen passages of the CIA World Factbook (public domain), recorded.

The recording answers exact requests only. After a change of what is sent (instructions, protocol, tools) make it anew:

    agentinfer corpus build tests/evals/recorded/documents.jsonl --out /tmp/countries.db
    rm -r tests/evals/recorded/tape
    agentinfer eval tests/evals/recorded/questions.jsonl --corpus /tmp/countries.db --local --max-steps 6 \\
        --out /tmp/recorded --record tests/evals/recorded/tape

and look at what came of it before it is kept.
"""

from pathlib import Path

import pytest

from agentinfer.cli import main
from agentinfer.corpus import build
from agentinfer.evals import load_records

RECORDED = Path(__file__).parent / "recorded"
COMMAND = ["eval", str(RECORDED / "questions.jsonl"), "--local", "--max-steps", "6", "--replay", str(RECORDED / "tape")]


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    build(RECORDED / "documents.jsonl", tmp_path / "countries.db")
    return str(tmp_path / "countries.db")


def test_a_recorded_model_answers_as_it_did(corpus: str, tmp_path: Path) -> None:
    assert main([*COMMAND, "--corpus", corpus, "--out", str(tmp_path / "out"), "--quiet"]) == 0

    records = {record.id: record for record in load_records(tmp_path / "out")}
    assert {name: (record.answer, record.solved) for name, record in records.items()} == {
        "ocean-suva": ("The South Pacific Ocean", True),
        "capital-laos": ("Vientiane", True),
        "airports-nepal": ("51", True),
        "airports-thimphu": ("4", True),
    }
    assert all(record.prompt_tokens > record.completion_tokens > 0 for record in records.values())


def test_a_request_that_was_not_recorded_is_told_of(
    corpus: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = [*COMMAND, "--corpus", corpus, "--out", str(tmp_path / "out"), "--quiet", "--mode", "closed-book"]
    assert main(command) == 1
    assert "holds no answer to this request. The nearest it knows is" in capsys.readouterr().err
