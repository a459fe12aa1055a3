"""What becomes of a draft: a pure function of what a model made of it and of what is known."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from agentinfer.errors import UserError
from agentinfer.scope._guideline import (
    MAX_CHARS,
    Guideline,
    Source,
    Status,
    opposed,
    problem_of,
    similarity,
    wording_of,
)
from agentinfer.scope._reach import Task, binding_of, emptiness_of
from agentinfer.scope._reading import Classification, Draft
from agentinfer.scope._words import EXAMPLES

__all__ = ["AcceptPolicy", "Decision", "decide", "find_same", "flaw_of"]

UNREAD = 0.5
"""The confidence of a draft that does not say one so that it can be read: enough for one task, never for all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptPolicy:
    """When a draft is taken, and for how long. The thresholds are those of SCOPE (arXiv 2512.15374).

    Raises:
        UserError: A share is not between 0 and 1, or a number is not positive.
    """

    confidence: float = 0.5
    """A draft whose author is less sure is not taken."""
    strategic: float = 0.85
    """The classifier has to be as sure as this for a guideline to outlive its task."""
    same: float = 0.75
    """Texts that share so many of their words say the same."""
    named: float = 0.0
    """Texts of which the classifier says that they say the same have to share so many; small models say it of all."""
    per_run: int = 8
    """Tactical guidelines of one run."""
    per_domain: int = 10
    """Active strategic guidelines of one domain; above it the domain is consolidated."""
    max_chars: int = MAX_CHARS

    def __post_init__(self) -> None:
        if not all(0 <= share <= 1 for share in (self.confidence, self.strategic, self.same, self.named)):
            raise UserError("AcceptPolicy: confidence, strategic, same and named are shares between 0 and 1")
        if min(self.per_run, self.per_domain, self.max_chars) < 1:
            raise UserError("AcceptPolicy: per_run, per_domain and max_chars are at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What becomes of a draft."""

    stream: Literal["strategic", "tactical", "support", "rejected"]
    """`support`: it is a further source of the guideline `supports`."""
    reason: str
    domain: str = "general"
    confidence: float = 0.0
    status: Status | None = None
    """Of a strategic one."""
    supports: str | None = None


def decide(
    draft: Draft,
    classified: Classification,
    *,
    known: Iterable[Guideline],
    tactical: Iterable[str],
    source: Source,
    policy: AcceptPolicy,
    task: Task | None = None,
) -> Decision:
    """What becomes of a draft.

    Args:
        draft: What was proposed.
        classified: What the classifier makes of it.
        known: All guidelines of the memory, retired ones too: what did not help is not learned again.
        tactical: What this run was told already.
        source: Where the draft comes from.
        policy: The thresholds.
        task: What the run was about: a draft that is bound to it, or holds its answer, does not outlive it.
    """
    tactical = list(tactical)
    task = task or Task(question="")
    if flaw := flaw_of(draft.text, task, policy):
        return Decision(stream="rejected", reason=flaw)
    confidence = UNREAD if draft.confidence is None else draft.confidence
    if confidence < policy.confidence:
        return Decision(stream="rejected", reason=f"its author is not sure of it ({confidence:.2f})")
    # Of what is quarantined only the very same words count: another wording may hide what strangers added to it.
    wording = wording_of(draft.text)
    known = [g for g in known if g.status != "quarantined" or source.tainted or wording_of(g.text) == wording]
    named = [g for g in known if g.id == classified.duplicate_of and g.status != "quarantined"]
    same = find_same(draft.text, known, policy.same) or find_same(draft.text, named, policy.named)
    bound = binding_of(draft.text, task)
    if same is not None:
        if same.status == "retired":
            return Decision(stream="rejected", reason=f"as {same.id}, which was retired: {same.reason}")
        if bound:  # it would lift the quarantine of what holds an answer
            return Decision(stream="rejected", reason=f"says what {same.id} says, and {bound}")
        return Decision(stream="support", reason=f"says what {same.id} says", supports=same.id)
    if classified.duplicate:
        return Decision(stream="rejected", reason="the classifier knows it already")
    if any(_says_the_same(draft.text, text, policy.same) for text in tactical):
        return Decision(stream="rejected", reason="this run was told already")
    domain = classified.domain or "general"
    if bound is None and classified.strategic and (classified.confidence or 0.0) >= policy.strategic:
        status: Status = "quarantined" if source.tainted else "trial"
        reason = "drawn from what tools returned" if source.tainted else "to be shown to help"
        return Decision(stream="strategic", reason=reason, domain=domain, confidence=confidence, status=status)
    if len(tactical) >= policy.per_run:
        return Decision(stream="rejected", reason=f"this run has {len(tactical)} guidelines of its own already")
    unread = "for this task: no classifier said otherwise" if classified.strategic is None else "for this task"
    reason = f"for this task: it {bound}" if bound else unread
    return Decision(stream="tactical", reason=reason, domain=domain, confidence=confidence)


def flaw_of(text: str, task: Task, policy: AcceptPolicy) -> str | None:
    """Why a text is no guideline for anything; nothing where it is one."""
    if any(similarity(text, example) >= policy.same for example in EXAMPLES):
        return "an example that its author was shown"
    return problem_of(text, max_chars=policy.max_chars) or emptiness_of(text, task.instructions)


def find_same(text: str, known: Iterable[Guideline], same: float) -> Guideline | None:
    """The guideline that says the same in much the same words, in whatever domain; active ones first."""
    close = [g for g in known if _says_the_same(text, g.text, same)]
    return min(close, key=lambda g: (g.status == "retired", -similarity(text, g.text)), default=None)


def _says_the_same(one: str, other: str, same: float) -> bool:
    return similarity(one, other) >= same and not opposed(one, other)
