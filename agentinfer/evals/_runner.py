"""The runner: questions asked, answers graded, results kept."""

import asyncio
import dataclasses
import hashlib
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from agentinfer.agent import Agent
from agentinfer.errors import (
    AuthenticationFailed,
    ConnectionFailed,
    LocalModelError,
    NotRecorded,
    RateLimited,
    UnknownModel,
    UserError,
)
from agentinfer.evals._account import describe, less, machine_load, record_of, versions_of
from agentinfer.evals._errors import EvalError
from agentinfer.evals._graders import F1, ExactMatch, Grader
from agentinfer.evals._progress import Progress
from agentinfer.evals._prompts import Prompt, Prompter
from agentinfer.evals._questions import Question
from agentinfer.evals._record import Record
from agentinfer.evals._results import Results
from agentinfer.evals._trajectory import trajectory_of
from agentinfer.usage import Usage

__all__ = ["evaluate", "ordered"]

NOT_THE_QUESTION = (
    AuthenticationFailed,
    ConnectionFailed,
    LocalModelError,
    NotRecorded,
    RateLimited,
    UnknownModel,
    UserError,
)
"""Errors that say nothing about the question or the agent. A run that ends with one is not kept; nothing goes on."""


async def evaluate(
    agent_factory: Callable[[], Agent],
    questions: Iterable[Question],
    *,
    out: str | os.PathLike[str],
    name: str = "agent",
    prompt: Prompter | None = None,
    graders: Sequence[Grader] = (),
    concurrency: int = 1,
    seed: int = 0,
    limit: int | None = None,
    settings: Mapping[str, Any] | None = None,
    change: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
) -> list[Record]:
    """Ask an agent questions, grade its answers, and keep all there is to know of it in a folder.

    A question that is finished in the folder is not asked again; one that was at work when an earlier session was
    interrupted is. Each question is asked once: the share of solved ones is pass@1.

    Args:
        agent_factory: Makes the agent. It is called once, and the agent serves all questions: what its plug-ins learn
            from one question may help with the next, in the order that `seed` gives.
        questions: What is asked.
        out: The folder: `results.jsonl` with one `Record` a line, `trajectories/`, `config.json`.
        name: What the configuration is called.
        prompt: Makes what the agent is asked of a question; the question as it is unless given.
        graders: What answers are worth; the first one decides what is solved. Exact match and F1 unless given.
        concurrency: How many questions are at work at once.
        seed: Decides the order of the questions.
        limit: Ask only so many of them, the first in that order.
        settings: What tells the configuration from others and cannot be seen from the agent: the corpus, the settings
            of plug-ins. JSON-able.
        change: Go on in a folder that was made with another configuration; without it that is refused.
        on_progress: Told at the start and after each question.

    Returns:
        The records of these questions, in their order, earlier ones included.

    Raises:
        EvalError: The folder cannot be used or written, or a question is not the one it was in the folder.
        ModelError: The model cannot be reached, or refuses to serve us. What was finished is kept.
        UserError: The arguments do not go together.
    """
    if concurrency < 1:
        raise UserError(f"concurrency must be at least 1, not {concurrency}")
    if limit is not None and limit < 1:
        raise UserError(f"limit must be at least 1, not {limit}")
    chosen = ordered(questions, seed)[:limit]
    agent = agent_factory()
    graders = tuple(graders) or (ExactMatch(), F1())
    told = {
        "name": name,
        "agent": describe(agent),
        "graders": [grader.name for grader in graders],
        "seed": seed,
        "settings": dict(settings or {}),
    }
    about = {"endpoint": agent.model.endpoint, "versions": versions_of(agent.model.endpoint), "started": time.time()}
    with Results.open(out, told, about, change=change) as results:
        evaluation = _Evaluation(
            agent, chosen, results, prompt, graders, on_progress, name=name, seed=seed, concurrency=concurrency
        )
        await evaluation()
        return [results.records[question.id] for question in chosen]


def ordered(questions: Iterable[Question], seed: int) -> list[Question]:
    """The questions in the order of a seed. The order of two questions does not depend on which others there are.

    Raises:
        UserError: Two questions have one id.
    """
    chosen = list(questions)
    if len({question.id for question in chosen}) < len(chosen):
        raise UserError("two questions have one id")
    return sorted(chosen, key=lambda question: hashlib.sha256(f"{seed} {question.id}".encode()).digest())


class _Evaluation:
    """One session over a folder of results."""

    def __init__(
        self,
        agent: Agent,
        questions: list[Question],
        results: Results,
        prompt: Prompter | None,
        graders: tuple[Grader, ...],
        on_progress: Callable[[Progress], None] | None,
        *,
        name: str,
        seed: int,
        concurrency: int,
    ) -> None:
        self._agent = agent
        self._questions = questions
        self._results = results
        self._prompt = prompt
        self._graders = graders
        self._on_progress = on_progress
        self._name, self._seed, self._concurrency = name, seed, concurrency
        self._resumed = sum(question.id in results.records for question in questions)
        self._started = time.monotonic()
        self._usage = Usage()
        """Of the questions finished in this session."""

    async def __call__(self) -> None:
        for question in self._questions:
            _check_same(question, self._results.records.get(question.id))
        self._tell(None)
        left = iter([question for question in self._questions if question.id not in self._results.records])
        if self._resumed == len(self._questions):
            return

        async def worker() -> None:
            for question in left:
                self._tell(await self._ask(question))

        try:
            async with self._agent, asyncio.TaskGroup() as group:
                for _ in range(self._concurrency):
                    group.create_task(worker(), name="evaluation")
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None
        finally:
            self._results.add_other(less(self._agent.usage, self._usage))

    async def _ask(self, question: Question) -> Record:
        """Ask, grade and keep one question."""
        started = time.time()
        prompt = Prompt(text=question.question) if self._prompt is None else await self._prompt(question)
        result = await self._agent.run(prompt.text)
        load = machine_load()
        if isinstance(result.error, NOT_THE_QUESTION):
            raise result.error
        grades, problems = await self._grade(question, result.answer)
        trajectory = trajectory_of(question, prompt, result)
        record = record_of(
            question,
            prompt,
            result,
            trajectory,
            grades=grades,
            grading_errors=problems,
            solved=grades.get(self._graders[0].name, 0.0) >= 1.0,
            retrieves=bool(self._agent.tools) or self._prompt is not None,
            config=self._name,
            seed=self._seed,
            concurrency=self._concurrency,
            time=started,
            load=load,
            versions=versions_of(self._agent.model.endpoint),
        )
        self._usage += result.usage
        self._results.add(record, {**trajectory, "record": dataclasses.asdict(record)})
        return record

    async def _grade(self, question: Question, answer: str | None) -> tuple[dict[str, float], dict[str, str]]:
        """What each grader says, and what those that raise say."""
        grades: dict[str, float] = {}
        problems: dict[str, str] = {}
        for grader in self._graders:
            try:
                grades[grader.name] = 0.0 if answer is None else float(await grader.grade(question, answer))
            except Exception as error:  # noqa: BLE001 - a grader never takes the evaluation down
                problems[grader.name] = f"{type(error).__name__}: {error}"
        return grades, problems

    def _tell(self, last: Record | None) -> None:
        if self._on_progress is None:
            return
        records = [self._results.records[q.id] for q in self._questions if q.id in self._results.records]
        progress = Progress.of(
            records,
            last=last,
            total=len(self._questions),
            resumed=self._resumed,
            seconds=time.monotonic() - self._started,
        )
        notes = () if last else tuple(self._results.notes)
        self._on_progress(dataclasses.replace(progress, notes=notes))


def _check_same(question: Question, record: Record | None) -> None:
    """A question must be the one that was asked before under its id."""
    if record is not None and (record.question, record.answers) != (question.question, question.answers):
        raise EvalError(
            f"the question {question.id!r} is not the one that was asked before in this folder: give another folder"
        )
