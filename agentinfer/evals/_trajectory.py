"""A run's full trajectory as JSON-able data."""

import dataclasses
from typing import Any

from agentinfer.evals._prompts import Prompt
from agentinfer.evals._questions import Question
from agentinfer.evals._retrieval import retrieved
from agentinfer.events import Event, RunFinished
from agentinfer.result import RunResult
from agentinfer.step import StepResult

__all__ = ["trajectory_of"]


def trajectory_of(question: Question, prompt: Prompt, result: RunResult[Any]) -> dict[str, Any]:
    """All that is known of a run: the question, the result with its transcript, its steps, its events.

    What `RunResult.to_dict` gives stands at the top; beside it:

    - `question`: the question, its answers and its supporting titles,
    - `given`: the documents that were put into the prompt,
    - `step_results`: per step its model, usage, seconds, answer, problem, and the outcome, seconds and documents of
      each tool call,
    - `events`: what happened, the deltas of replies left out.
    """
    return {
        "question": dataclasses.asdict(question),
        **result.to_dict(),
        "given": [dataclasses.asdict(document) for document in prompt.documents],
        "step_results": [_step(step) for step in result.steps],
        "events": [_event(event) for event in result.events],
    }


def _event(event: Event) -> dict[str, Any]:
    if isinstance(event, RunFinished):  # the result stands beside it
        return {"kind": event.kind, "time": event.time}
    return event.to_dict()


def _step(step: StepResult) -> dict[str, Any]:
    return {
        "index": step.index,
        "model": step.model,
        "text": step.message.content,
        "reasoning": step.message.reasoning,
        "answer": step.answer,
        "problem": step.problem,
        "usage": dataclasses.asdict(step.usage),
        "seconds": step.seconds,
        "model_seconds": step.model_seconds,
        "tool_seconds": step.tool_seconds,
        "calls": [
            {
                "id": tool_result.call.id,
                "name": tool_result.call.name,
                "arguments": tool_result.call.arguments,
                "outcome": tool_result.outcome,
                "seconds": tool_result.seconds,
                "documents": [dataclasses.asdict(document) for document in retrieved(tool_result)],
            }
            for tool_result in step.results
        ],
    }
