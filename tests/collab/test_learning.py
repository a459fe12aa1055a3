"""What is learned from finished evaluations: a router, how far verdicts can be believed, and what it all was worth."""

import json
import random
from pathlib import Path
from typing import Any

import pytest

from agentinfer import Agent, Limits, Sampling, UserError
from agentinfer.collab.__main__ import main as collab_command
from agentinfer.collab.calibration import Calibration, calibrate, judged_in
from agentinfer.collab.router import FEATURES, Outcome, Routed, Router, RouterModel, fit_router
from agentinfer.evals import ModelShare, Question, Record, Waste, evaluate, load_records
from agentinfer.testing import ScriptedModel, say
from benchmarks.collab import Speeds, rows_of
from benchmarks.collab import main as benchmark
from benchmarks.even_pace import Pace, paces_of, seconds_at
from collab._pair import collab, large, look, look_up, small, troubles

EASY = "When was the town of X{n} founded?"
HARD = "Who is the wife of the director of the film that the author of X{n} wrote?"


def record(number: int, *, solved: bool, steps: int, seconds: float, models: dict[str, int], hard: bool) -> Record:
    return Record(
        id=f"q{number}", question=(HARD if hard else EASY).format(n=number), answers=("a",), answer="a",
        grades={"exact_match": float(solved)}, solved=solved, recall=None, stop_reason="answered", error=None,
        steps=steps, search_rounds=1, tool_calls=1, model_calls=steps, estimated_calls=0, prompt_tokens=100,
        cached_tokens=0, completion_tokens=10, reasoning_tokens=None, cost=None,
        models={name: ModelShare(calls=calls) for name, calls in models.items()}, waste=Waste(), seconds=seconds,
        model_seconds=seconds, tool_seconds=0.0, overhead_seconds=0.0, config="c", seed=0, concurrency=1, time=0.0,
        load=None, versions={},
    )  # fmt: skip


def folder(path: Path, records: list[Record], model: str) -> Path:
    path.mkdir()
    (path / "results.jsonl").write_text("".join(f"{one.to_line()}\n" for one in records))
    settings = {"version": 1, "settings": {"agent": {"model": {"name": model}}}, "about": {}}
    (path / "config.json").write_text(json.dumps(settings))
    return path


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path]:
    """The large model solves all, in 4 steps of 2 s; the small one the easy ones, in 4 of 1 s; together all, in 5."""
    chance = random.Random(3)
    kinds = [chance.random() < 0.5 for _ in range(60)]
    one = [record(n, solved=True, steps=4, seconds=8, models={"big": 4}, hard=h) for n, h in enumerate(kinds)]
    other = [record(n, solved=not h, steps=4, seconds=4, models={"tiny": 4}, hard=h) for n, h in enumerate(kinds)]
    both = [
        record(n, solved=True, steps=5, seconds=6, models={"big": 1, "tiny": 4}, hard=h) for n, h in enumerate(kinds)
    ]
    return (
        folder(tmp_path / "large", one, "big"),
        folder(tmp_path / "small", other, "tiny"),
        folder(tmp_path / "both", both, "big"),
    )


# The router


def outcomes(count: int = 80, noise: float = 0.0) -> list[Outcome]:
    chance = random.Random(5)
    rows = []
    for number in range(count):
        hard = chance.random() < 0.4
        needed = hard != (chance.random() < noise)
        rows.append(Outcome((HARD if hard else EASY).format(n=number), True, not needed))
    return rows


def test_a_router_learns_which_questions_need_the_large_model() -> None:
    router = fit_router(outcomes(noise=0.1))
    assert router.score(HARD.format(n=999)) > 0.6
    assert router.score(EASY.format(n=999)) < 0.4
    assert 0 < router.score("") < 1
    assert all(0 <= score <= 1 for score in router.scores)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 0.75, 1.0])
def test_the_threshold_gives_the_wanted_share(share: float) -> None:
    names = ("Paris", "the old town hall of Ulm", "3 ships", "who that wrote which book of whom")
    rows = [
        Outcome(f"What is {names[n % 4]} {'x' * (n % 13)} {'of ' * (n % 7)}?", n % 3 > 0, n % 2 > 0) for n in range(90)
    ]
    router = fit_router(rows)
    limit = router.threshold(share)
    given = sum(router.score(row.question) >= limit for row in rows) / len(rows)
    assert given == pytest.approx(share, abs=0.05)


def test_all_alike_is_fine() -> None:
    router = fit_router([Outcome("What is it?", False, False)] * 3)
    assert router.score("What is it?") < 0.5
    with pytest.raises(UserError, match="nothing to fit"):
        fit_router([])


def test_a_router_is_kept(tmp_path: Path) -> None:
    router = fit_router(outcomes())
    router.save(tmp_path / "r.json")
    assert RouterModel.load(tmp_path / "r.json") == router
    (tmp_path / "r.json").write_text("{}")
    with pytest.raises(UserError, match="cannot read the router"):
        RouterModel.load(tmp_path / "r.json")
    (tmp_path / "r.json").write_text(router.model_copy(update={"features": ("words",)}).model_dump_json())
    with pytest.raises(UserError, match="fit it again"):
        RouterModel.load(tmp_path / "r.json")
    with pytest.raises(UserError, match="cannot read the router"):
        RouterModel.load(tmp_path / "missing.json")
    assert len(FEATURES) == len(router.weights)


async def test_each_question_is_answered_by_one_model(tmp_path: Path) -> None:
    fit_router(outcomes()).save(tmp_path / "r.json")
    with (
        large(look(1), say("by the large one"), sampling=Sampling(temperature=0.5)) as big,
        small(look(1), say("by the small one"), sampling=Sampling(temperature=0.1)) as little,
    ):
        plugin = Router(little, path=tmp_path / "r.json", share=0.4)
        agent = Agent(big, tools=[look_up], plugins=[plugin], limits=Limits(tokens=9_999))
        hard, easy = await agent.run(HARD.format(n=1)), await agent.run(EASY.format(n=1))
    assert (hard.answer, easy.answer) == ("by the large one", "by the small one")
    assert [step.model for step in (*hard.steps, *easy.steps)] == ["large", "large", "small", "small"]
    assert not troubles(hard) + troubles(easy)
    (routed,) = [event for event in easy.events if isinstance(event, Routed)]
    assert (routed.model, routed.score < routed.threshold) == ("small", True)
    assert little.requests[0]["temperature"] == 0.1
    with pytest.raises(UserError, match="a share is between 0 and 1"):
        Router(little, path=tmp_path / "r.json", share=2)


def test_fitting_from_folders(folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    one, other, _ = folders
    out = one.parent / "router.json"
    assert collab_command(["fit-router", "--large", str(one), "--small", str(other), "--out", str(out)]) == 0
    wins = sum(not record.solved for record in load_records(other))
    assert f"60 questions, {wins} solved by the large model alone" in capsys.readouterr().out
    router = RouterModel.load(out)
    assert router.score(HARD.format(n=1)) > 0.8 > 0.2 > router.score(EASY.format(n=1))
    assert collab_command(["fit-router", "--large", "nowhere", "--small", str(other), "--out", str(out)]) == 2
    assert "nowhere" in capsys.readouterr().err


# Calibration


def judged(step: int, said: str, *, fresh: bool = True, vetoes: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"kind": "ProgressJudged", "step": step, "model": "small", "said": said, "vetoes": vetoes, "fresh": fresh}


def steps(*titles: str) -> list[dict[str, Any]]:
    """A step for each title of a document that it shows; nothing for an empty one."""
    return [
        {"index": number, "calls": [{"documents": [{"title": title}]}] if title else []}
        for number, title in enumerate(titles, 1)
    ]


def test_what_came_after_a_verdict() -> None:
    run = {
        "question": {"supporting_titles": ["Jaws", "Steven Spielberg"]},
        "step_results": steps("Shark", "JAWS", "Jaws", "steven  spielberg", ""),
        "events": [judged(n, "yes") for n in (1, 2, 3, 4)] + [{"kind": "StepStarted"}],
        "record": {"solved": False},
    }
    assert [one.gained for one in judged_in(run, horizon=1)] == [False, True, False, True]
    assert [one.gained for one in judged_in(run, horizon=2)] == [True, True, True, True]
    solved = {**run, "record": {"solved": True}, "events": [judged(5, "no")]}
    assert [(one.gained, one.solved) for one in judged_in(solved)] == [(True, True)]


def test_without_supporting_documents_anything_new_is_a_gain() -> None:
    run = {"step_results": steps("", "", ""), "events": [judged(1, "yes"), judged(2, "no", fresh=False)]}
    assert [(one.gained, one.solved) for one in judged_in(run, horizon=1)] == [(True, None), (False, None)]
    assert list(judged_in({})) == []


def test_calibration() -> None:
    run = {
        "step_results": steps("", "", "", ""),
        "events": [
            judged(1, "yes"),
            judged(2, "yes", fresh=False, vetoes=("same_search",)),
            judged(3, "no"),
            judged(4, "missing", fresh=False),
        ],
    }
    rows = {row.said: row for row in calibrate([run], horizon=1)}
    assert (rows["yes"].count, rows["yes"].wrong, rows["yes"].overruled, rows["yes"].overruled_gained) == (2, 1, 1, 0)
    assert (rows["no"].wrong, rows["missing"].wrong) == (1, None)
    assert isinstance(rows["no"], Calibration)


async def test_calibration_of_kept_trajectories(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def big(body: dict[str, Any]) -> Any:
        return look(sum(m["role"] == "assistant" for m in body["messages"]), True)

    def little(body: dict[str, Any]) -> Any:
        turn = sum(m["role"] == "assistant" for m in body["messages"])
        return say("1") if turn >= 4 else look(turn, False)

    plugin = collab(ScriptedModel(handler=little, name="small"))
    agent = Agent(ScriptedModel(handler=big, name="large"), tools=[look_up], plugins=[plugin])
    questions = [Question(id=f"q{n}", question=f"What is {n}?", answers=("1",)) for n in range(2)]
    records = await evaluate(lambda: agent, questions, out=tmp_path / "out")
    assert set(records[0].models) == {"large", "small"}
    assert collab_command(["calibrate", str(tmp_path / "out")]) == 0
    table = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["large", "yes", "6", "100%", "100%", "0%", "0", "-"] in table
    assert ["small", "no", "2", "100%", "100%", "100%", "0", "-"] in table
    assert collab_command(["calibrate", str(tmp_path)]) == 2


# The comparison


def test_rows_of_a_comparison(folders: tuple[Path, Path, Path]) -> None:
    one, other, both = folders
    speeds, _, rows = rows_of(one, other, [both])
    assert speeds == Speeds(large=2.0, small=1.0)
    alone, tiny, pair = rows
    assert (alone.share, alone.ceiling, alone.speed_up) == (1.0, 1.0, (1.0, 1.0, 1.0))
    assert (tiny.share, tiny.ceiling, tiny.verdict) == (0.0, 2.0, "below")
    assert pair.share == pytest.approx(0.2)
    assert pair.ceiling == pytest.approx(2 / (0.2 * 2 + 0.8 * 1))
    assert pair.speed_up[0] == pytest.approx(8 / 6)
    assert pair.of_ceiling == pytest.approx((8 / 6) / (2 / 1.2))
    assert (pair.difference[0], pair.verdict) == (0.0, "within")


def test_the_table(folders: tuple[Path, Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    one, other, both = folders
    assert benchmark(["--large", str(one), "--small", str(other), str(both)]) == 0
    out = capsys.readouterr().out
    assert "a call takes 2.00 s (large), 1.00 s (small)" in out
    assert "1.33 [1.33, 1.33]" in out
    assert benchmark(["--large", str(one), "--small", "nowhere"]) == 2


def test_few_questions_that_tell_nothing_apart_are_inconclusive(tmp_path: Path) -> None:
    for count, verdict in ((29, "inconclusive"), (30, "within")):
        one, other = (
            [record(n, solved=n % 2 == 0, steps=1, seconds=1, models={name: 1}, hard=False) for n in range(count)]
            for name in "bs"
        )
        *_, rows = rows_of(folder(tmp_path / f"a{count}", one, "b"), folder(tmp_path / f"b{count}", other, "s"), [])
        assert (rows[1].difference, rows[1].verdict) == ((0.0, 0.0, 0.0), verdict)


def spoken(model: str, seconds: float, *, first: float, read: int, cached: int, written: int) -> dict[str, Any]:
    usage = {"prompt_tokens": read + cached, "cached_tokens": cached, "completion_tokens": written}
    event = {"kind": "ModelCallFinished", "model": model, "seconds": seconds, "first_token_seconds": first}
    return {"events": [{**event, "usage": usage}], "record": {"id": model, "seconds": seconds + 1}}


def test_a_model_has_one_pace_over_all_runs() -> None:
    quiet = spoken("m", 3.0, first=1.0, read=100, cached=900, written=20)
    busy = spoken("m", 9.0, first=5.0, read=200, cached=0, written=20)
    other = spoken("n", 1.0, first=1.0, read=10, cached=0, written=0)
    paces = paces_of([quiet, busy, other])
    assert paces == {"m": Pace(read=6 / 300, write=6 / 40), "n": Pace(read=0.1, write=0.0)}
    assert seconds_at(quiet, paces) == pytest.approx(1 + 2 + 3)
    assert seconds_at(busy, paces) == pytest.approx(1 + 4 + 3)


def test_an_interval_that_is_too_wide_is_inconclusive(tmp_path: Path) -> None:
    chance = random.Random(1)
    one = [record(n, solved=chance.random() < 0.5, steps=1, seconds=1, models={"b": 1}, hard=False) for n in range(12)]
    other = [
        record(n, solved=chance.random() < 0.5, steps=1, seconds=1, models={"s": 1}, hard=False) for n in range(12)
    ]
    *_, rows = rows_of(folder(tmp_path / "a", one, "b"), folder(tmp_path / "b", other, "s"), [])
    assert rows[1].verdict == "inconclusive"
