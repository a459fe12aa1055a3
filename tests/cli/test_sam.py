import json
from pathlib import Path

import pytest

from agentinfer.cli import main

REPLY = "The capital of Laos is Vientiane, on the Mekong."


@pytest.fixture
def chats(tmp_path: Path) -> str:
    lines = []
    for number in range(4):
        turns = [{"role": "user", "content": f"{number}?"}, {"role": "assistant", "content": REPLY}] * 2
        lines.append(json.dumps({"id": f"c{number}", "messages": turns}) + "\n")
    path = tmp_path / "chats.jsonl"
    path.write_text("".join(lines))
    return str(path)


def test_a_sweep(chats: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    costs = tmp_path / "costs.json"
    costs.write_text('{"1": 1, "17": 1.1}')
    options = [
        "-k",
        "4",
        "16",
        "--floor",
        "0.1",
        "0.5",
        "--costs",
        str(costs),
        "--tokenizer",
        "bytes",
        "--peers",
        "--json",
    ]
    assert main(["sam", "simulate", chats, *options]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    ours = [row for row in rows if row["drafter"].startswith("agentinfer")]
    assert [(row["drafter"], row["k"]) for row in ours] == [
        ("agentinfer floor=0.1", 4),
        ("agentinfer floor=0.5", 4),
        ("agentinfer floor=0.1", 16),
        ("agentinfer floor=0.5", 16),
    ]
    assert all(row["tokens_per_pass"] > 1.2 and row["predicted_speed_up"] > 1.0 for row in ours)
    assert any(row["drafter"].startswith("n-gram") for row in rows)


def test_earlier_sessions(chats: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = {}
    for flag in ([], ["--across"]):
        assert (
            main(["sam", "simulate", chats, "--skip", "2", "--floor", "0.1", "--tokenizer", "bytes", "--json", *flag])
            == 0
        )
        found[bool(flag)] = json.loads(capsys.readouterr().out)["tokens_per_pass"]
    assert found[True] > found[False]


def test_a_table_for_people(chats: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sam", "simulate", chats, "--tokenizer", "bytes"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "4 sessions, tokens by bytes"
    assert len(lines) == 5


@pytest.mark.parametrize(
    "options",
    [
        ["-k", "0"],
        ["--skip", "4"],
        ["--skip", "-1"],
        ["--tokenizer", "no_such_encoding"],
        ["--costs", "/does/not/exist"],
    ],
)
def test_used_wrongly(chats: str, options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sam", "simulate", chats, *options]) == 2
    assert capsys.readouterr().err.startswith("agentinfer: ")


@pytest.mark.parametrize("content", ["[" * 100_000, '{"1": 1' + "0" * 400 + "}", "{", "[]"])
def test_costs_that_are_no_table(chats: str, tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    costs = tmp_path / "costs.json"
    costs.write_text(content)
    assert main(["sam", "simulate", chats, "--tokenizer", "bytes", "--costs", str(costs)]) == 2
    assert "is no table of costs" in capsys.readouterr().err
