"""From a situation to a guideline: draft, select, classify, decide, keep; and room made where a domain is full."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from agentinfer.errors import BudgetSpent, MissingExtra, ModelError
from agentinfer.scope._accept import AcceptPolicy, Decision, decide, flaw_of
from agentinfer.scope._author import Author
from agentinfer.scope._deltas import Add, Change, Delta, Move, Snapshot, Support
from agentinfer.scope._guideline import DOMAINS, Guideline, Source, Space, Status, new_id
from agentinfer.scope._optimise import crowd_out, plan, read_relations
from agentinfer.scope._reach import Task, binding_of
from agentinfer.scope._reading import Classification, Draft, read_classification, read_draft, read_index, read_object
from agentinfer.scope._situations import Situation
from agentinfer.scope._store import Store
from agentinfer.scope._trial import TrialPolicy, judge
from agentinfer.scope._words import (
    CLASSIFY,
    CLASSIFY_FORM,
    DRAFT_FORM,
    RELATE,
    RELATE_FORM,
    SELECT,
    SELECT_FORM,
    draft_role,
    material,
)

__all__ = ["AUTHOR", "Lesson", "judge_all", "keep", "make_room", "write"]

AUTHOR = "scope"


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """A draft, what was made of it, and what became of it."""

    draft: Draft
    decision: Decision
    source: Source
    id: str | None = None
    """Where it is kept."""


async def write(
    author: Author,
    situation: Situation,
    *,
    question: str,
    instructions: str,
    snapshot: Snapshot,
    focus: str,
    best_of: int,
    task: Task,
    policy: AcceptPolicy,
) -> tuple[Draft, Classification] | None:
    """The best of several drafts, classified; nothing where there is nothing to learn.

    The first one is made with the question in view; the others are not, so that they name nothing of it.

    With less to spend there are fewer drafts; without a classification a draft is for its task only.

    Raises:
        BudgetSpent: Not even one draft can be afforded.
        ModelError: The model could not be asked.
        TimeoutError: It was not done in time.
    """
    seeing, blind = (material(situation, seen, instructions, snapshot.active) for seen in (question, ""))
    role = draft_role(focus)
    drafted = max(1, min(best_of, author.affordable(role, seeing, DRAFT_FORM) - 2))  # two: to select and classify
    asked = [author.ask("draft", role, blind if n else seeing, DRAFT_FORM, vary=n > 0) for n in range(drafted)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    texts = [answer for answer in answers if isinstance(answer, str)]
    if not texts:
        raise next(answer for answer in answers if isinstance(answer, BaseException))
    drafts = list({draft.text: draft for text in texts if (draft := read_draft(text))}.values())
    if not drafts:
        return None
    flawless = [draft for draft in drafts if flaw_of(draft.text, task, policy) is None]
    free = [draft for draft in flawless if binding_of(draft.text, task) is None]
    draft = await _selected(author, free or flawless or drafts)
    if not free:
        return draft, Classification()  # it does not outlive its task, whatever a model makes of it
    known = snapshot.active[-40:]
    listed = "\n".join(f"{guideline.id}: {guideline.text}" for guideline in known)
    try:
        text = await author.ask(
            "classify",
            CLASSIFY,
            f"Known guidelines:\n{listed or '(none)'}\n\nNew guideline:\n{draft.text}",
            CLASSIFY_FORM,
        )
    except (BudgetSpent, ModelError, TimeoutError):
        return draft, Classification()
    return draft, read_classification(text, domains=DOMAINS, ids=[guideline.id for guideline in known])


async def _selected(author: Author, drafts: Sequence[Draft]) -> Draft:
    """The best draft, by the model's word; else the one whose author is surest."""
    surest = max(drafts, key=lambda draft: draft.confidence or 0.0)
    if len(drafts) == 1:
        return surest
    listed = "\n".join(f"{number}: {draft.text}" for number, draft in enumerate(drafts))
    try:
        answer = await author.ask("select", SELECT, listed, SELECT_FORM)
    except (BudgetSpent, ModelError, TimeoutError):
        return surest
    index = read_index(read_object(answer).get("index"), len(drafts))
    return surest if index is None else drafts[index]


async def keep(
    store: Store,
    space: Space,
    situation: Situation,
    draft: Draft,
    classified: Classification,
    *,
    source: Source,
    tactical: Sequence[str],
    policy: AcceptPolicy,
    task: Task,
) -> Lesson:
    """Decide on a draft by what the store holds now, and keep what is to be kept.

    Raises:
        StoreError: It could not be written.
    """
    snapshot = await store.load(space)
    decision = decide(
        draft,
        classified,
        known=snapshot.guidelines.values(),
        tactical=tactical,
        source=source,
        policy=policy,
        task=task,
    )
    changes: list[Change] = []
    if decision.stream == "support":
        assert decision.supports is not None
        changes = await store.apply(space, [Support(decision.supports, source)], author=AUTHOR, reason="learned again")
    elif decision.stream == "strategic":
        assert decision.status is not None
        guideline = Guideline(
            id=new_id(),
            text=draft.text,
            rationale=draft.rationale,
            kind=situation.kind,
            domain=decision.domain,
            confidence=decision.confidence,
            status=decision.status,
            reason=decision.reason,
            sources=(source,),
        )
        changes = await store.apply(space, [Add(guideline)], author=AUTHOR, reason=situation.trigger)
    return Lesson(draft=draft, decision=decision, source=source, id=changes[-1].id if changes else None)


async def make_room(author: Author, store: Store, space: Space, domain: str, policy: AcceptPolicy) -> list[Change]:
    """Consolidate a domain that holds too many; what is still too many then loses its weakest.

    Raises:
        StoreError: It could not be written.
    """
    snapshot = await store.load(space)
    there = [guideline for guideline in snapshot.active if guideline.domain == domain]
    if len(there) <= policy.per_domain:
        return []
    listed = "\n".join(f"{guideline.id}: {guideline.text}" for guideline in there)
    changes: list[Change] = []
    try:
        answer = await author.ask("relate", RELATE, listed, RELATE_FORM)
        deltas = plan(read_relations(answer, [guideline.id for guideline in there]), snapshot)
        changes += await store.apply(space, deltas, author=AUTHOR, reason=f"the domain {domain} was full")
    except (BudgetSpent, ModelError, MissingExtra, TimeoutError):
        pass  # what follows makes room without a model
    deltas = crowd_out(await store.load(space), domain, policy.per_domain)
    if deltas:
        changes += await store.apply(space, deltas, author=AUTHOR, reason=f"the domain {domain} was full")
    return changes


async def judge_all(store: Store, space: Space, policy: TrialPolicy) -> list[Change]:
    """Keep or retire what the evidence speaks for or against.

    Raises:
        StoreError: It could not be written.
    """
    snapshot = await store.load(space)
    deltas: list[Delta] = []
    for guideline in snapshot.active:
        verdict = judge(guideline.status, snapshot.worth(guideline.id), policy)
        if verdict.action != "wait":
            status: Status = "kept" if verdict.action == "keep" else "retired"
            deltas.append(Move(guideline.id, status, verdict.reason, leave=guideline.status))
    return await store.apply(space, deltas, author=AUTHOR, reason="the evidence is in") if deltas else []
