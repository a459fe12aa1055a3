"""One session: questions asked side by side, graded, and kept as they are finished."""

import asyncio
import dataclasses
import time
from collections.abc import Callable, Mapping
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
from agentinfer.evals._account import less, machine_load, record_of, versions_of
from agentinfer.evals._errors import EvalError
from agentinfer.evals._folder import Results
from agentinfer.evals._graders import Grader
from agentinfer.evals._progress import Progress
from agentinfer.evals._prompts import Prompt, Prompter
from agentinfer.evals._questions import Question
from agentinfer.evals._record import Record
from agentinfer.evals._trajectory import trajectory_of
from agentinfer.result import RunResult
from agentinfer.usage import Usage

__all__ = ["Evaluation"]

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


class Evaluation:
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
        feedback: str | None,
    ) -> None:
        self._agent = agent
        self._questions = questions
        self._results = results
        self._prompt = prompt
        self._graders = graders
        self._on_progress = on_progress
        self._name, self._seed, self._concurrency = name, seed, concurrency
        self._feedback = feedback
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
                if self._concurrency == 1:
                    await self._agent.drain()

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
        await self._give_feedback(result, grades)
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

    async def _give_feedback(self, result: RunResult[Any], grades: Mapping[str, float]) -> None:
        """Tell the plug-ins what an answer was worth; a run that broke off says nothing about them."""
        if self._feedback is None or result.stop_reason in ("error", "cancelled"):
            return
        if self._feedback in grades:
            await result.run.feedback(grades[self._feedback], self._feedback)

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
