"""Configurations side by side."""

import random
import time
from pathlib import Path
from typing import Any

import pytest
from _made_up import folder, made_up, record

from agentinfer.evals import EvalError, ModelShare, Record
from agentinfer.evals._compare import Comparison, compare


def compared(path: Path, *runs: list[Record], **options: Any) -> Comparison:
    directories = [folder(path / f"run{number}", records) for number, records in enumerate(runs)]
    return compare(directories, **options)


def estimates(comparison: Comparison, at: int = 0) -> dict[str, float]:
    return {name: interval.estimate for name, interval in comparison.figures[at].items() if interval is not None}


def test_figures_of_one_run(tmp_path: Path) -> None:
    records = [
        record("a", solved=True, steps=2, prompt_tokens=100, cached_tokens=50, completion_tokens=20, seconds=4.0),
        record("b", steps=6, prompt_tokens=300, cached_tokens=None, completion_tokens=60, seconds=8.0, recall=0.5),
    ]
    figures = estimates(compared(tmp_path, records))
    assert figures["solved"] == figures["grade:f1"] == 0.5
    assert figures["recall"] == 0.5
    assert figures["steps"] == 4
    assert figures["steps_per_solved"] == 8
    assert figures["tokens_per_step"] == 480 / 8
    assert figures["tokens_per_solved"] == 480
    assert figures["seconds_per_solved"] == 12
    assert figures["cached_share"] == 0.5  # of the question that tells
    assert figures["cost"] == 0.01


def test_what_is_unknown_is_left_out(tmp_path: Path) -> None:
    comparison = compared(tmp_path, [record("a", cost=None), record("b")], [record("a"), record("b")])
    assert comparison.figures[0]["cost"] is None
    assert comparison.figures[1]["cost"] is not None
    assert comparison.duels[0].differences["cost"] is None
    assert comparison.figures[0]["steps_per_solved"] is None  # nothing was solved
    assert "recall" not in {measure.name for measure in comparison.measures}
    assert "reasoning_tokens" not in {measure.name for measure in comparison.measures}


def test_only_questions_in_both_are_compared(tmp_path: Path) -> None:
    first = [record("a", solved=True), record("b", steps=10), record("only")]
    second = [record("c", steps=99), record("b", steps=4, solved=True), record("a")]
    duel = compared(tmp_path, first, second).duels[0]
    assert duel.common == 2
    assert [(one.id, other.id) for one, other in duel.wins] == [("b", "b")]
    assert [(one.id, other.id) for one, other in duel.losses] == [("a", "a")]
    steps = duel.differences["steps"]
    assert steps is not None
    assert steps.interval.estimate == -3


def test_the_large_models_share(tmp_path: Path) -> None:
    models = {"big": ModelShare(calls=1), "small": ModelShare(calls=3)}
    records = [record("a", models=models)]
    known = folder(tmp_path / "known", records, large="big")
    unknown = folder(tmp_path / "unknown", records)
    only_small = folder(tmp_path / "only", [record("a", models={"small": ModelShare(calls=2)})], large="big")
    comparison = compare([known, unknown, only_small])
    shares = [figures["large_share"] for figures in comparison.figures]
    assert [share and share.estimate for share in shares] == [0.25, None, 0.0]
    assert estimates(compare([unknown], large="small"))["large_share"] == 0.75


def test_the_order_of_lines_does_not_matter(tmp_path: Path) -> None:
    runs = made_up(1, 30), made_up(2, 30, skill=0.6)
    shuffled = [random.Random(3).sample(run, len(run)) for run in runs]
    one, other = compared(tmp_path / "one", *runs), compared(tmp_path / "other", *shuffled)
    assert one.figures == other.figures
    assert [duel.differences for duel in one.duels] == [duel.differences for duel in other.duels]


def test_the_seed_decides(tmp_path: Path) -> None:
    directories = [folder(tmp_path / name, made_up(seed, 30)) for seed, name in enumerate("ab")]
    assert compare(directories, seed=1).figures == compare(directories, seed=1).figures
    assert compare(directories, seed=1).figures != compare(directories, seed=2).figures


def test_the_same_results_do_not_differ(tmp_path: Path) -> None:
    duel = compared(tmp_path, made_up(1, 40), made_up(1, 40)).duels[0]
    known = [difference for difference in duel.differences.values() if difference is not None]
    assert known
    assert {(d.interval.low, d.interval.estimate, d.interval.high, d.verdict) for d in known} == {(0, 0, 0, "the same")}
    assert not duel.wins
    assert not duel.losses


def verdict(path: Path, first: list[int], second: list[int], margin: float = 0.1) -> str:
    runs = [[record(str(n), steps=steps) for n, steps in enumerate(run)] for run in (first, second)]
    difference = compared(path, *runs, margin=margin).duels[0].differences["steps"]
    assert difference is not None
    return difference.verdict


def test_verdicts(tmp_path: Path) -> None:
    assert verdict(tmp_path / "1", [4] * 20, [2] * 20) == "better"
    assert verdict(tmp_path / "2", [4] * 20, [6] * 20) == "worse"
    assert verdict(tmp_path / "3", [4] * 20, [1, 3] * 10) == "better, how much is inconclusive"
    assert verdict(tmp_path / "4", [4] * 20, [1, 3] * 10, margin=0.5) == "better"
    assert verdict(tmp_path / "5", [4] * 20, [2, 6] * 10) == "inconclusive"
    assert verdict(tmp_path / "6", [4] * 20, [2, 6] * 10, margin=1) == "the same"


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    one = folder(tmp_path / "one", [record("a")])
    with pytest.raises(EvalError, match="no question in common"):
        compare([one, folder(tmp_path / "other", [record("b")])])
    with pytest.raises(EvalError, match="no finished question"):
        compare([one, folder(tmp_path / "empty", [])])
    with pytest.raises(EvalError, match="no results"):
        compare([tmp_path / "nowhere"])
    with pytest.raises(EvalError, match="positive"):
        compare([one], resamples=0)
    with pytest.raises(EvalError, match="positive"):
        compare([one], margin=float("nan"))


def test_folders_of_one_name_are_told_apart(tmp_path: Path) -> None:
    folders = [folder(tmp_path / parent / "plain", [record("a")]) for parent in "ab"]
    comparison = compare([*folders, folder(tmp_path / "other", [record("a")])])
    assert [run.name for run in comparison.runs] == [str(folders[0]), str(folders[1]), "other"]


def test_a_hundred_questions_take_no_time(tmp_path: Path) -> None:
    directories = [folder(tmp_path / name, made_up(seed, 100)) for seed, name in enumerate("ab")]
    started = time.process_time()
    compare(directories)
    assert time.process_time() - started < 5
