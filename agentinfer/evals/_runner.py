"""The runner: questions asked, answers graded, results kept."""

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from agentinfer.agent import Agent
from agentinfer.errors import (
    UserError,
)
from agentinfer.evals._account import describe, versions_of
from agentinfer.evals._folder import Results
from agentinfer.evals._graders import F1, ExactMatch, Grader
from agentinfer.evals._progress import Progress
from agentinfer.evals._prompts import Prompter
from agentinfer.evals._questions import Question
from agentinfer.evals._record import Record
from agentinfer.evals._session import Evaluation

__all__ = ["evaluate", "ordered"]


async def evaluate(
    agent_factory: Callable[[], Agent],
    questions: Iterable[Question],
    *,
    out: str | os.PathLike[str],
    name: str = "agent",
    prompt: Prompter | None = None,
    graders: Sequence[Grader] = (),
    feedback: str | None = None,
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
        feedback: The grader whose grades plug-ins are told (`Run.feedback`), for them to learn from: they know right
            answers then, so no such question says what the agent is worth. They are told nothing unless it is given.
        concurrency: How many questions are at work at once. With one, what plug-ins do beside a question, such as
            learning from it, is done before the next.
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
    if feedback is not None and feedback not in [grader.name for grader in graders]:
        raise UserError(f"there is no grader {feedback!r} whose grades could be feedback")
    told = {
        "name": name,
        "agent": describe(agent),
        "graders": [grader.name for grader in graders],
        "seed": seed,
        "settings": dict(settings or {}),
        **({} if feedback is None else {"feedback": feedback}),
    }
    about = {"endpoint": agent.model.endpoint, "versions": versions_of(agent.model.endpoint), "started": time.time()}
    with Results.open(out, told, about, change=change) as results:
        evaluation = Evaluation(
            agent,
            chosen,
            results,
            prompt,
            graders,
            on_progress,
            name=name,
            seed=seed,
            concurrency=concurrency,
            feedback=feedback,
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
