"""The benchmark reads finished folders."""

import asyncio
import importlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agentinfer.evals import Record, Waste
from agentinfer.scope import Add, Move, Space, SqliteStore

from ._made import guideline

Main = Callable[[list[str]], int]


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Main:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    program: Main = importlib.import_module("benchmarks.scope").main
    return program


def record(name: str, *, solved: bool, time: float) -> Record:
    numbers = dict.fromkeys(
        ["steps", "search_rounds", "tool_calls", "model_calls", "estimated_calls", "prompt_tokens", "completion_tokens",
         "seconds", "model_seconds", "tool_seconds", "overhead_seconds", "seed", "load"], 1,
    )  # fmt: skip
    unknown = dict.fromkeys(["recall", "error", "cached_tokens", "reasoning_tokens", "cost"])
    fields: dict[str, Any] = {
        **numbers, **unknown, "answers": ("a",), "answer": "a", "grades": {"exact_match": float(solved)}, "models": {},
        "stop_reason": "answered", "config": "c", "versions": {}, "concurrency": 1,
    }  # fmt: skip
    return Record(id=name, question=name, solved=solved, time=time, waste=Waste(), **fields)


def results(path: Path, solved: int, *, reverse: bool = False) -> Path:
    """Twelve questions, of which the judged part solves so many."""
    names = [f"q{number:02}" for number in range(12)]
    records = [
        record(name, solved=number >= 12 - solved, time=float(-number if reverse else number))
        for number, name in enumerate(names)
    ]
    path.mkdir()
    (path / "results.jsonl").write_text("".join(f"{one.to_line()}\n" for one in records))
    return path


async def _fill(path: Path) -> None:
    store = SqliteStore(path)
    texts = ["Look twice before you leap.", "Never look back at all.", "Mind what others say."]
    await store.apply(Space(), [Add(guideline(text, id=f"g-{n}")) for n, text in enumerate(texts)], author="t")
    await store.apply(Space(), [Move("g-0", "kept", "helpful"), Move("g-1", "retired", "harmful")], author="t")
    await store.aclose()


def test_figures_of_both_parts(main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain, scope = results(tmp_path / "plain", 2), results(tmp_path / "scope", 6)
    (scope / "other_usage.jsonl").write_text('{"prompt_tokens": 900, "completion_tokens": 100, "cost": null}\n')
    asyncio.run(_fill(tmp_path / "g.db"))
    words = ["--learn", "4", str(plain), str(scope), "--store", f"scope={tmp_path / 'g.db'}", "--resamples", "200"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert "learning part: 4 questions" in out
    judged = out[out.index("judged part: 8 questions") :]
    assert "25.0%" in judged
    assert "75.0%" in judged
    assert "+50.0" in judged
    assert "scope: 1,000 tokens beside the questions" in out
    assert "scope, default: 3 tried; now 1 kept, 1 trial, 1 retired, 0 quarantined" in out


def test_folders_that_do_not_go_together(main: Main, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plain, other = results(tmp_path / "plain", 2), results(tmp_path / "other", 2, reverse=True)
    assert main(["--learn", "4", str(plain), str(other)]) == 2
    assert "another order" in capsys.readouterr().err
    assert main(["--learn", "12", str(plain)]) == 2
    assert main(["--learn", "1", str(tmp_path / "missing")]) == 2
