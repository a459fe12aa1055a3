"""The runner: what is asked, graded, kept, and told."""

import asyncio
import errno
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from _asked import QUESTIONS, asked, maker, model_of, right

from agentinfer import AuthenticationFailed, ConnectionFailed, Middleware, Pricing, Run, ServerFailed, UserError
from agentinfer.background import Background
from agentinfer.corpus import Corpus, Document, build
from agentinfer.evals import (
    F1,
    EvalError,
    ExactMatch,
    Progress,
    Question,
    Record,
    evaluate,
    load_records,
    load_settings,
    one_shot,
    ordered,
    trajectory_path,
)
from agentinfer.run import Feedback
from agentinfer.search import search_agent
from agentinfer.testing import ScriptedModel, call, fail, say, usage

pytestmark = pytest.mark.anyio


@pytest.fixture
def corpus_file(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.db"
    filler = [Document(f"f{n}", f"Filler {n}", f"Nothing of note, number {n}.") for n in range(30)]
    build([Document("j", "Jaws", "Jaws is a film by Steven Spielberg."), *filler], path)
    return path


JAWS = Question(
    id="films/Jaws", question="Who made Jaws?", answers=("Spielberg",), supporting_titles=("JAWS", "Spielberg"), hops=2
)


async def test_a_line_per_question_with_all_that_was_spent(tmp_path: Path, corpus_file: Path) -> None:
    out = tmp_path / "out"
    steps = [
        call("corpus_search", query="Jaws") + usage(100, 10, cached_tokens=0),
        call("corpus_search", query="Jaws") + usage(150, 10, cached_tokens=90),
        call("open_document", id="j") + usage(200, 10, cached_tokens=140),
        say("Spielberg") + usage(250, 5, cached_tokens=190, reasoning_tokens=3),
    ]
    with ScriptedModel(*steps, name="m", pricing=Pricing(input=1.0, output=2.0)) as model:
        async with Corpus(corpus_file) as corpus:
            (record,) = await evaluate(lambda: search_agent(model, corpus), [JAWS], out=out, name="plain", seed=5)

    assert load_records(out) == [record]
    assert record == Record.from_line((out / "results.jsonl").read_text().strip())
    assert (record.id, record.answer, record.solved, record.stop_reason) == (JAWS.id, "Spielberg", True, "answered")
    assert record.grades == {"exact_match": 1.0, "f1": 1.0}
    assert (record.steps, record.search_rounds, record.tool_calls, record.model_calls) == (5, 3, 4, 4)
    assert (record.prompt_tokens, record.cached_tokens) == (700, 420)
    assert (record.completion_tokens, record.reasoning_tokens) == (35, 3)
    assert record.cost == pytest.approx((700 + 35 * 2) / 1e6)
    assert record.recall == 0.5
    assert record.models["m"].prompt_tokens == 700
    assert (record.waste.bad_steps, record.waste.bad_step_tokens) == (1, 70)
    assert record.seconds >= record.model_seconds + record.tool_seconds + record.overhead_seconds - 0.001
    assert (record.config, record.seed, record.concurrency, record.hops) == ("plain", 5, 1, 2)
    assert record.versions["agentinfer"]
    trajectory = json.loads(trajectory_path(out, JAWS.id).read_text())
    assert [step["calls"][0]["outcome"] for step in trajectory["step_results"][:4]] == ["ok", "ok", "repeated", "ok"]
    assert trajectory["messages"][-1]["content"] == "Spielberg"
    assert {"RunStarted", "ToolFinished", "RunFinished"} <= {event["kind"] for event in trajectory["events"]}
    assert load_settings(out)["settings"]["agent"]["model"]["name"] == "m"


async def test_concurrency_gives_the_same_set(tmp_path: Path) -> None:
    working = most = 0

    async def note() -> None:
        nonlocal working, most
        working += 1
        most = max(most, working)
        for _ in range(5):
            await asyncio.sleep(0)
        working -= 1

    def handler(body: dict[str, Any]) -> Any:
        from agentinfer.testing import ScriptedReply
        from agentinfer.testing._steps import Pause

        return ScriptedReply(parts=(Pause(note),)) + right(body)

    alone = await evaluate(maker(model_of()), QUESTIONS, out=tmp_path / "one")
    beside = await evaluate(maker(model_of(handler)), QUESTIONS, out=tmp_path / "three", concurrency=3)

    assert most == 3
    assert [record.id for record in beside] == [record.id for record in alone] == [q.id for q in ordered(QUESTIONS, 0)]
    assert [(r.id, r.answer) for r in beside] == [(r.id, r.answer) for r in alone]
    assert len(load_records(tmp_path / "three")) == len(QUESTIONS)


async def test_progress_tells_accuracy_cost_tokens_and_time_left(tmp_path: Path) -> None:
    told: list[Progress] = []
    model = model_of(
        lambda body: say("4" if asked(body) == "4" else "nonsense") + usage(100, 10), pricing=Pricing(input=1, output=1)
    )

    await evaluate(maker(model), QUESTIONS, out=tmp_path / "out", on_progress=told.append)

    assert [progress.done for progress in told] == [0, 1, 2, 3, 4, 5, 6]
    assert (told[0].record, told[0].accuracy, told[0].seconds_left) == (None, None, None)
    last = told[-1]
    assert (last.solved, last.accuracy, last.tokens, last.seconds_left) == (1, 1 / 6, 660, 0.0)
    assert last.cost == pytest.approx(660e-6)
    assert last.record is not None
    assert last.record.id == ordered(QUESTIONS, 0)[-1].id
    assert told[3].seconds_left == pytest.approx(told[3].seconds)


async def test_a_grader_that_raises_is_noted_and_nothing_stops(tmp_path: Path) -> None:
    class Fussy:
        name = "fussy"

        async def grade(self, question: Question, answer: str) -> float:
            if question.id == "q3":
                raise ZeroDivisionError("three is too much")
            return 0.5

    records = await evaluate(maker(model_of()), QUESTIONS, out=tmp_path / "out", graders=[ExactMatch(), Fussy()])

    raised = {record.id: record.grading_errors for record in records if record.grading_errors}
    assert raised == {"q3": {"fussy": "ZeroDivisionError: three is too much"}}
    assert all(record.solved for record in records)
    assert [record.grades.get("fussy") for record in load_records(tmp_path / "out") if record.id == "q3"] == [None]


async def test_without_an_answer_all_grades_are_0_and_no_grader_is_asked(tmp_path: Path) -> None:
    class Never:
        name = "never"

        async def grade(self, question: Question, answer: str) -> float:
            raise AssertionError("asked")

    (record,) = await evaluate(
        maker(model_of(lambda _: fail(ServerFailed("out of order", status=500)))),
        QUESTIONS[:1],
        out=tmp_path / "out",
        graders=[Never(), F1()],
    )

    assert (record.answer, record.stop_reason, record.grades) == (None, "error", {"never": 0.0, "f1": 0.0})
    assert record.error is not None
    assert "out of order" in record.error


@pytest.mark.parametrize("error", [ConnectionFailed("gone"), AuthenticationFailed("who are you?", status=401)])
async def test_an_endpoint_that_is_gone_is_no_wrong_answer(tmp_path: Path, error: Exception) -> None:
    left = iter([True, True])
    model = model_of(lambda body: right(body) if next(left, False) else fail(error))

    with pytest.raises(type(error)):
        await evaluate(maker(model), QUESTIONS, out=tmp_path / "out", concurrency=2)

    assert len(load_records(tmp_path / "out")) == 2
    records = await evaluate(maker(model_of()), QUESTIONS, out=tmp_path / "out", concurrency=2)
    assert all(record.solved for record in records)


async def test_one_shot_asks_with_what_one_search_finds(tmp_path: Path, corpus_file: Path) -> None:
    async with Corpus(corpus_file) as corpus:
        with ScriptedModel(say("Spielberg")) as model:
            (record,) = await evaluate(maker(model), [JAWS], out=tmp_path / "out", prompt=one_shot(corpus))

            asked_for = model.requests[0]["messages"][-1]["content"]
    assert "[Jaws]\nJaws is a film by Steven Spielberg." in asked_for
    assert asked_for.endswith("Question: Who made Jaws?")
    assert "tools" not in model.requests[0]
    assert (record.recall, record.steps, record.search_rounds) == (0.5, 1, 0)
    assert 0 < record.tool_seconds <= record.seconds
    assert record.waste.documents == 1
    assert record.waste.unused_documents == 0


async def test_closed_book_has_no_recall(tmp_path: Path) -> None:
    (record,) = await evaluate(maker(ScriptedModel(say("Lucas"))), [JAWS], out=tmp_path / "out")

    assert (record.recall, record.solved) == (None, False)


async def test_trajectories_of_odd_ids_do_not_meet(tmp_path: Path) -> None:
    ids = ["a/b", "a_b", "A_b", "..", "ü", "x" * 300, "a\x00b"]
    questions = [Question(id=name, question=f"What is {n}?", answers=("1",)) for n, name in enumerate(ids)]

    await evaluate(maker(model_of()), questions, out=tmp_path / "out")

    files = sorted((tmp_path / "out" / "trajectories").iterdir())
    assert len({file.name.lower() for file in files}) == len(ids)
    assert {json.loads(file.read_text())["question"]["id"] for file in files} == set(ids)


async def test_a_full_disk_stops_with_a_clear_word_and_keeps_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    synced = os.fsync

    def fsync(descriptor: int) -> None:
        if (out / "results.jsonl").read_bytes().count(b"\n") == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        synced(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(EvalError, match=r"cannot write .*results.jsonl: No space left on device.*same command goes on"):
        await evaluate(maker(model_of()), QUESTIONS, out=out)

    assert len(load_records(out)) == 2
    monkeypatch.undo()
    assert len(await evaluate(maker(model_of()), QUESTIONS, out=out)) == len(QUESTIONS)


async def test_what_interrupted_questions_spent_is_kept_apart(tmp_path: Path) -> None:
    reached = asyncio.Event()

    def handler(body: dict[str, Any]) -> Any:
        if len(model.bodies) == 3:
            reached.set()
            return say("x") + usage(1, 1) if len(body["messages"]) > 1 else call("slow") + usage(100, 10)
        return right(body) + usage(50, 5)

    async def slow() -> str:
        """Take for ever."""
        await asyncio.Event().wait()
        return ""

    model = model_of(handler)
    task = asyncio.create_task(evaluate(maker(model, tools=[slow]), QUESTIONS, out=tmp_path / "out"))
    await reached.wait()
    for _ in range(50):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    (line,) = (tmp_path / "out" / "other_usage.jsonl").read_text().splitlines()
    assert (json.loads(line)["calls"], json.loads(line)["prompt_tokens"]) == (1, 100)
    assert len(load_records(tmp_path / "out")) == 2


@pytest.mark.parametrize("wrong", [{"concurrency": 0}, {"limit": 0}])
async def test_wrong_arguments(tmp_path: Path, wrong: dict[str, int]) -> None:
    with pytest.raises(UserError, match="at least 1"):
        await evaluate(maker(model_of()), QUESTIONS, out=tmp_path / "out", **wrong)  # type: ignore[arg-type]


async def test_two_questions_of_one_id(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="one id"):
        await evaluate(maker(model_of()), [*QUESTIONS, QUESTIONS[0]], out=tmp_path / "out")


class Listening:
    """A plug-in that hears what its runs were worth, and works beside them."""

    def __init__(self) -> None:
        self.background = Background("listening")
        self.heard: list[tuple[str, float, str]] = []
        self.done: list[str] = []
        self.late: list[str] = []

    @asynccontextmanager
    async def bind(self, run: Run) -> AsyncIterator[Middleware]:
        self.late += [] if len(self.done) == len(self.heard) else [run.question]
        yield Middleware()

    async def feedback(self, run: Run, feedback: Feedback) -> None:
        self.heard.append((run.question, feedback.score, feedback.source))
        self.background.spawn(self._learn(run.question))

    async def _learn(self, question: str) -> None:
        for _ in range(20):
            await asyncio.sleep(0)
        self.done.append(question)


def half(body: dict[str, Any]) -> Any:
    number = int(asked(body))
    return fail(ServerFailed("out of order", status=500)) if number == 5 else say(str(number) if number % 2 else "no")


async def test_plugins_are_told_what_answers_are_worth_and_learn_before_the_next(tmp_path: Path) -> None:
    plugin = Listening()

    await evaluate(maker(model_of(half), plugins=[plugin]), QUESTIONS, out=tmp_path / "out", feedback="f1")

    told = {question: (score, source) for question, score, source in plugin.heard}
    assert told == {f"What is {n}?": (float(n % 2), "f1") for n in range(5)}, "a run that broke off says nothing"
    assert plugin.late == []
    assert len(plugin.done) == 5
    assert load_settings(tmp_path / "out")["settings"]["feedback"] == "f1"


async def test_plugins_are_told_nothing_unless_it_is_said(tmp_path: Path) -> None:
    plugin = Listening()

    await evaluate(maker(model_of(half), plugins=[plugin]), QUESTIONS[:2], out=tmp_path / "out")

    assert plugin.heard == []
    assert "feedback" not in load_settings(tmp_path / "out")["settings"]
    with pytest.raises(EvalError, match="feedback"):  # one that judges does not become one that teaches
        await evaluate(maker(model_of()), QUESTIONS, out=tmp_path / "out", feedback="f1")
    with pytest.raises(UserError, match="no grader 'judge'"):
        await evaluate(maker(model_of()), QUESTIONS, out=tmp_path / "other", feedback="judge")
