"""A run's record, made of its result."""

import importlib.metadata
import os
import platform
from collections.abc import Mapping
from dataclasses import asdict, fields
from functools import lru_cache
from typing import Any

from agentinfer.agent import Agent
from agentinfer.evals._prompts import Prompt
from agentinfer.evals._questions import Question
from agentinfer.evals._record import ModelShare, Record
from agentinfer.evals._retrieval import SEARCH_TOOL, recall, retrieved_in
from agentinfer.evals._waste import waste_of
from agentinfer.events import Event, ModelCallFinished
from agentinfer.result import RunResult
from agentinfer.usage import Usage

__all__ = ["describe", "less", "machine_load", "record_of", "versions_of"]


def record_of(
    question: Question,
    prompt: Prompt,
    result: RunResult[Any],
    trajectory: Mapping[str, Any],
    *,
    grades: Mapping[str, float],
    grading_errors: Mapping[str, str],
    solved: bool,
    retrieves: bool,
    **circumstances: Any,
) -> Record:
    """The record of a run.

    Args:
        question: What was asked.
        prompt: How it was asked.
        result: What the run came to.
        trajectory: The run as `trajectory_of` gives it.
        grades: What the answer is worth, by grader.
        grading_errors: What graders raised.
        solved: Whether it counts as solved.
        retrieves: Whether there was anything to retrieve with.
        circumstances: The fields of `Record` that the run does not know: its configuration, the time, the machine.
    """
    usage, steps = result.usage, result.steps
    documents = (*prompt.documents, *retrieved_in(steps))
    seconds = result.seconds + prompt.seconds
    model_seconds = result.run.calls.model_seconds
    tool_seconds = sum(step.tool_seconds for step in steps) + prompt.seconds
    return Record(
        id=question.id,
        question=question.question,
        answers=question.answers,
        answer=None if result.answer is None else str(result.answer),
        grades=grades,
        grading_errors=grading_errors,
        solved=solved,
        recall=recall(question, (document.title for document in documents)) if retrieves else None,
        stop_reason=result.stop_reason,
        error=trajectory["error"],
        hops=question.hops,
        source=question.source,
        steps=len(steps),
        search_rounds=sum(any(r.call.name == SEARCH_TOOL for r in step.results) for step in steps),
        tool_calls=sum(len(step.results) for step in steps),
        model_calls=usage.calls,
        estimated_calls=usage.estimated_calls,
        prompt_tokens=usage.prompt_tokens,
        cached_tokens=usage.cached_tokens,
        completion_tokens=usage.completion_tokens,
        reasoning_tokens=usage.reasoning_tokens,
        cost=usage.cost,
        models=_shares(result.events),
        waste=waste_of(trajectory),
        seconds=round(seconds, 4),
        model_seconds=round(model_seconds, 4),
        tool_seconds=round(tool_seconds, 4),
        overhead_seconds=round(max(0.0, seconds - model_seconds - tool_seconds), 4),
        **circumstances,
    )


def _shares(events: tuple[Event, ...]) -> dict[str, ModelShare]:
    """What each model did, by the calls that gave a reply."""
    shares: dict[str, ModelShare] = {}
    for event in events:
        if isinstance(event, ModelCallFinished):
            before = shares.get(event.model, ModelShare())
            shares[event.model] = ModelShare(
                calls=before.calls + event.usage.calls,
                prompt_tokens=before.prompt_tokens + event.usage.prompt_tokens,
                completion_tokens=before.completion_tokens + event.usage.completion_tokens,
            )
    return shares


def describe(agent: Agent) -> dict[str, Any]:
    """What tells an agent from others, as far as it can be seen from outside; no secrets."""
    model = agent.model
    return {
        "model": {
            "name": model.name,
            "protocol": model.protocol.name,
            "profile": {name: _ordered(value) for name, value in asdict(model.profile).items()},
            "sampling": _plain(agent.sampling or model.sampling),
            "context_window": model.context_window,
            "pricing": _plain(model.pricing),
        },
        "instructions": agent.instructions,
        "examples": [message.to_dict() for message in agent.examples],
        "tools": list(agent.tools),
        "tools_digest": agent.tools.digest.hex(),
        "plugins": [f"{type(plugin).__module__}:{type(plugin).__qualname__}" for plugin in agent.plugins],
        "limits": _plain(agent.limits),
        "repeats": _plain(agent.repeats),
    }


def _ordered(value: Any) -> Any:
    """A set as a sorted list: its own order is another one in every process."""
    return sorted(value) if isinstance(value, set | frozenset) else value


def _plain(settings: Any) -> Any:
    if settings is None:
        return None
    return {name: getattr(settings, name) for name in type(settings).__dataclass_fields__}


def machine_load() -> float | None:
    """The machine's load average over one minute, where the system tells."""
    try:
        return round(os.getloadavg()[0], 2)
    except (AttributeError, OSError):
        return None


def less(usage: Usage, other: Usage) -> dict[str, Any]:
    """What was spent beyond something else; unknown where either is."""
    pairs = {f.name: (getattr(usage, f.name), getattr(other, f.name)) for f in fields(Usage)}
    return {name: None if one is None or two is None else one - two for name, (one, two) in pairs.items()}


@lru_cache
def versions_of(endpoint: str) -> dict[str, str]:
    """The versions of what a run is made by, and how many processors the machine has."""
    from agentinfer import __version__

    versions = {
        "agentinfer": __version__,
        "python": platform.python_version(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors",
    }
    if endpoint.startswith("local:"):
        try:
            versions["xllamacpp"] = importlib.metadata.version("xllamacpp")
        except importlib.metadata.PackageNotFoundError:
            versions["xllamacpp"] = "unknown"
    return versions
