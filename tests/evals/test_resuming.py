"""A folder of results after an interruption, a crash, a change."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from _asked import QUESTIONS, asked, maker, model_of

from agentinfer import Limits, Sampling
from agentinfer.evals import EvalError, Progress, Question, evaluate, load_records, load_settings, ordered
from agentinfer.testing import ScriptedModel

pytestmark = pytest.mark.anyio

ORDER = [question.id for question in ordered(QUESTIONS, 0)]


async def finished(out: Path, number: int, **settings: Any) -> ScriptedModel:
    model = model_of()
    await evaluate(maker(model), QUESTIONS, out=out, limit=number, **settings)
    return model


async def test_a_finished_question_is_not_asked_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    await finished(out, 2)
    before = (out / "results.jsonl").read_bytes()
    told: list[Progress] = []

    model = await finished(out, 5, on_progress=told.append)

    assert [f"q{asked(body)}" for body in model.requests] == ORDER[2:5]
    assert (out / "results.jsonl").read_bytes().startswith(before)
    assert [record.id for record in load_records(out)] == ORDER[:5]
    assert (told[0].done, told[0].resumed, told[-1].done, told[-1].total) == (2, 2, 5, 5)
    assert (await finished(out, 5)).requests == []


async def test_half_a_last_line_is_moved_aside_and_its_question_asked_again(tmp_path: Path) -> None:
    out = tmp_path / "out"
    await finished(out, 3)
    results = out / "results.jsonl"
    whole = results.read_bytes()
    start = whole.rstrip(b"\n").rindex(b"\n") + 1
    half = whole[start : start + 200]
    results.write_bytes(whole[:start] + half)
    told: list[Progress] = []

    assert len(load_records(out)) == 2
    model = await finished(out, 3, on_progress=told.append)

    assert [f"q{asked(body)}" for body in model.requests] == [ORDER[2]]
    assert [record.id for record in load_records(out)] == ORDER[:3]
    assert (out / "results.broken").read_bytes() == half + b"\n"
    assert told[0].notes == (
        "half a line at the end of results.jsonl was moved to results.broken; its question is asked again",
    )
    assert told[1].notes == ()


async def test_any_cut_of_the_file_can_be_gone_on_with(tmp_path: Path) -> None:
    out = tmp_path / "out"
    await finished(out, 2)
    whole = (out / "results.jsonl").read_bytes()
    for cut in (*range(0, len(whole), 97), len(whole) - 1, len(whole)):
        (out / "results.jsonl").write_bytes(whole[:cut])
        await finished(out, 2)
        assert sorted(record.id for record in load_records(out)) == sorted(ORDER[:2])


async def test_a_broken_line_in_the_middle_is_refused_and_nothing_is_changed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    await finished(out, 3)
    lines = (out / "results.jsonl").read_text().splitlines(keepends=True)
    broken = lines[0] + lines[1][:50] + "\n" + lines[2]
    (out / "results.jsonl").write_text(broken)

    with pytest.raises(EvalError, match=r"results.jsonl:2 is broken"):
        await finished(out, 3)

    assert (out / "results.jsonl").read_text() == broken


async def test_two_results_of_one_question_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    await finished(out, 1)
    line = (out / "results.jsonl").read_text()
    (out / "results.jsonl").write_text(line * 2)

    with pytest.raises(EvalError, match=r"results.jsonl:2: there is a result of"):
        await finished(out, 1)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"limits": Limits(steps=3)}, "agent.limits.steps: 30 became 3"),
        ({"instructions": "Be brief."}, 'agent.instructions: "" became "Be brief."'),
        ({"sampling": Sampling(temperature=0.5)}, "agent.model.sampling.temperature: null became 0.5"),
    ],
)
async def test_another_agent_is_refused(tmp_path: Path, settings: dict[str, Any], told: str) -> None:
    out = tmp_path / "out"
    await finished(out, 1)

    with pytest.raises(EvalError) as raised:
        await evaluate(maker(model_of(), **settings), QUESTIONS, out=out)

    assert told in str(raised.value)
    assert "give another folder" in str(raised.value)
    assert len(load_records(out)) == 1


async def test_another_seed_or_setting_is_refused_unless_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "out"
    await finished(out, 1, settings={"corpus": "one"})
    for change in ({"seed": 1, "settings": {"corpus": "one"}}, {"settings": {"corpus": "two"}}, {}):
        with pytest.raises(EvalError, match="another configuration"):
            await finished(out, 2, **change)
    told: list[Progress] = []

    await finished(out, 2, settings={"corpus": "two"}, change=True, on_progress=told.append)

    assert 'settings.corpus: "one" became "two"' in told[0].notes[0]
    assert json.loads((out / "config.1.json").read_text())["settings"]["settings"] == {"corpus": "one"}
    assert load_settings(out)["settings"]["settings"] == {"corpus": "two"}
    assert len(load_records(out)) == 2


async def test_another_question_under_the_same_id_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    await finished(out, 1)
    other = [Question(id=question.id, question="Another?", answers=("x",)) for question in QUESTIONS]

    with pytest.raises(EvalError, match="is not the one that was asked before"):
        await evaluate(maker(model_of()), other, out=out)


async def test_results_of_another_version_or_without_a_configuration_are_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    await finished(out, 1)
    config = json.loads((out / "config.json").read_text())
    (out / "config.json").write_text(json.dumps({**config, "version": 99}))
    with pytest.raises(EvalError, match="is of version 99, this library reads version 1"):
        await finished(out, 1)
    (out / "config.json").unlink()
    with pytest.raises(EvalError, match=r"holds results and no config.json"):
        await finished(out, 1)


async def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"

    async def again(*_: Any) -> None:
        with pytest.raises(EvalError, match="another evaluation is at work"):
            await finished(out, 1)
        told.append("refused")

    told: list[str] = []
    from agentinfer.evals import Prompt

    async def prompt(question: Question) -> Prompt:
        await again()
        return Prompt(text=question.question)

    await finished(out, 1, prompt=prompt)

    assert told == ["refused"]


async def test_a_file_where_the_folder_should_be(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")

    with pytest.raises(EvalError, match="cannot write"):
        await finished(tmp_path / "out", 1)


PROGRAM = """
import sys
from agentinfer.cli import main
from agentinfer.testing import hang, mock_endpoint, say

questions, out, stuck = sys.argv[1:]


def handler(body):
    asked = body["messages"][-1]["content"]
    return hang() if asked == stuck else say(asked.rpartition(" ")[2].rstrip("?"))


with mock_endpoint(handler=handler) as endpoint:
    model = ["--base-url", endpoint.base_url, "--model", "m"]
    sys.exit(main(["eval", questions, "--out", out, "--mode", "closed-book", "--concurrency", "1", *model]))
"""


def interrupted(tmp_path: Path, signal_: signal.Signals, *, at: int) -> tuple[int, str]:
    """Run an evaluation in a process of its own, and end it while it asks its question number `at`."""
    questions = tmp_path / "questions.jsonl"
    lines = [{"id": q.id, "question": q.question, "answers": list(q.answers)} for q in QUESTIONS]
    questions.write_text("".join(json.dumps(line) + "\n" for line in lines))
    stuck = ordered(QUESTIONS, 0)[at - 1].question if at else ""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(questions), str(tmp_path / "out"), stuck],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stderr is not None
    told = ""
    for line in process.stderr:
        told += line
        if at and line.startswith(f"{at - 1}/"):
            process.send_signal(signal_)
    process.stderr.close()
    return process.wait(timeout=30), told


async def test_after_a_kill_the_same_command_goes_on(tmp_path: Path) -> None:
    code, _ = interrupted(tmp_path, signal.SIGKILL, at=4)
    assert code == -signal.SIGKILL
    assert [record.id for record in load_records(tmp_path / "out")] == ORDER[:3]

    code, told = interrupted(tmp_path, signal.SIGKILL, at=0)

    assert code == 0
    assert "agent, closed-book: 6 questions, 3 of them finished before" in told
    assert [record.id for record in load_records(tmp_path / "out")] == ORDER
    assert all(record.solved for record in load_records(tmp_path / "out"))


async def test_ctrl_c_leaves_what_is_finished_and_says_so(tmp_path: Path) -> None:
    code, told = interrupted(tmp_path, signal.SIGINT, at=3)

    assert code == 130
    assert "2 of 6 questions are finished; the same command goes on" in told
    assert "Traceback" not in told
    assert [record.id for record in load_records(tmp_path / "out")] == ORDER[:2]
