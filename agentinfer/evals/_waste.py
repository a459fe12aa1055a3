"""What a run spent to no effect, as a pure function of its trajectory."""

from collections.abc import Mapping
from typing import Any

from agentinfer.evals._graders import normalise
from agentinfer.evals._record import Waste

__all__ = ["waste_of"]

CHARS_PER_TOKEN = 4
TELLING_CHARS = 3
"""A shorter answer, as `no` is, is found in too many texts to tell that one was used."""


def waste_of(trajectory: Mapping[str, Any]) -> Waste:
    """Account for what a run spent to no effect.

    Args:
        trajectory: A run as `DIR/trajectories` keeps it.
    """
    steps = trajectory["step_results"]
    bad = [step for step in steps if _is_bad(step)]
    shown, unused = _documents(trajectory)
    return Waste(
        rebilled_tokens=sum(e["lost_tokens"] for e in trajectory["events"] if e["kind"] == "PrefixBreak"),
        bad_steps=len(bad),
        bad_step_tokens=sum(_fresh_tokens(step["usage"]) for step in bad),
        discarded_tokens=_discarded(trajectory),
        documents=len(shown),
        unused_documents=len(unused),
        unused_tokens=sum(unused.values()) // CHARS_PER_TOKEN,
    )


def _is_bad(step: Mapping[str, Any]) -> bool:
    if step["problem"]:
        return True
    return bool(step["calls"]) and all(call["outcome"] != "ok" for call in step["calls"])


def _fresh_tokens(usage: Mapping[str, Any]) -> int:
    """Tokens that the endpoint had to compute."""
    fresh = usage["prompt_tokens"] - (usage["cached_tokens"] or 0) + usage["completion_tokens"]
    return max(0, int(fresh))


def _discarded(trajectory: Mapping[str, Any]) -> int:
    """Tokens that calls for steps took beyond those of the steps."""
    spent = trajectory["usage_by_purpose"].get("step")
    if spent is None:
        return 0
    kept = sum(s["usage"]["prompt_tokens"] + s["usage"]["completion_tokens"] for s in trajectory["step_results"])
    return max(0, int(spent["prompt_tokens"] + spent["completion_tokens"] - kept))


def _documents(trajectory: Mapping[str, Any]) -> tuple[dict[str, list[Mapping[str, Any]]], dict[str, int]]:
    """The documents shown, by title, and those never used with the characters that showing them took."""
    shown: dict[str, list[Mapping[str, Any]]] = {}
    first_shown: dict[str, int] = {}
    given = [(0, document) for document in trajectory["given"]]
    found = [
        (step["index"], document)
        for step in trajectory["step_results"]
        for call in step["calls"]
        for document in call["documents"]
    ]
    for index, document in given + found:
        title = normalise(document["title"])
        shown.setdefault(title, []).append(document)
        first_shown.setdefault(title, index)
    answer = normalise(str(trajectory["answer"] or ""))
    unused = {
        title: sum(len(document["title"]) + len(document["text"]) for document in documents)
        for title, documents in shown.items()
        if not _is_used(title, documents, answer, _written_after(trajectory, first_shown[title]))
    }
    return shown, unused


def _is_used(title: str, documents: list[Mapping[str, Any]], answer: str, written: str) -> bool:
    if any(document["opened"] for document in documents):
        return True
    if title and f" {title} " in f" {written} ":
        return True
    if len(answer) < TELLING_CHARS:
        return False
    return any(f" {answer} " in f" {normalise(document['text'])} " for document in documents)


def _written_after(trajectory: Mapping[str, Any], index: int) -> str:
    """What the model wrote in the steps after this one: texts, arguments of calls, the answer."""
    texts = [str(trajectory["answer"] or "")]
    for step in trajectory["step_results"]:
        if step["index"] > index:
            texts += [step["text"], *(call["arguments"] for call in step["calls"])]
    return normalise(" ".join(texts))
