"""Changes to guidelines: small operations, never a rewrite of the whole (as in ACE, arXiv 2510.04618).

A store applies a delta inside one transaction: it reads the guidelines that `touched` names, gives them to `reduce`,
and writes what that returns. So the rules are here, once, and every store keeps them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias, assert_never

from agentinfer.scope._guideline import Guideline, Source, Status, key_of, new_id, wording_of
from agentinfer.scope._trial import Evidence

__all__ = [
    "Add",
    "Change",
    "Delta",
    "Merge",
    "Move",
    "Put",
    "Snapshot",
    "Support",
    "diff",
    "reduce",
    "state_at",
    "touched",
    "undo",
]


ENOUGH = 12
"""Sources after which learning the same once more is not written down. Merging still keeps them all."""


@dataclass(frozen=True, slots=True)
class Add:
    """A new guideline. Where one with the same words is there, it gains the sources instead; a retired one stays so.

    Where its id is that of other words, it has another id from then on.
    """

    guideline: Guideline


@dataclass(frozen=True, slots=True)
class Support:
    """A further source of a guideline."""

    id: str
    source: Source


@dataclass(frozen=True, slots=True)
class Move:
    """Another status. Nothing happens where the guideline is no longer in the status it is to leave."""

    id: str
    status: Status
    reason: str
    leave: Status | None = None


@dataclass(frozen=True, slots=True)
class Merge:
    """Guidelines that one other stands for from now on: they retire, their sources go on in it.

    Nothing happens where one of them is no longer active: whoever proposed this had seen an older state.
    """

    ids: tuple[str, ...]
    into: Guideline
    """A new guideline, or one that is there, with its text as it is."""
    reason: str


@dataclass(frozen=True, slots=True)
class Put:
    """A guideline as it was before: for rolling back."""

    guideline: Guideline


Delta: TypeAlias = Add | Support | Move | Merge | Put


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One guideline, changed. The history is made of these."""

    revision: int
    """Counted from 1 in each space; what was applied together shares one."""
    at: float
    author: str
    """Who changed it: `scope`, a command, a person."""
    reason: str
    before: Guideline | None
    """`None`: it was not there."""
    after: Guideline

    @property
    def id(self) -> str:
        """The guideline's."""
        return self.after.id

    @property
    def brings_back(self) -> bool:
        """Whether a retired guideline is in use again, or to be. It is judged by what runs score from then on."""
        return self.before is not None and self.before.status == "retired" != self.after.status


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The guidelines of one space, and what is known of their worth."""

    revision: int = 0
    guidelines: Mapping[str, Guideline] = field(default_factory=lambda: MappingProxyType({}))
    """By id, oldest first."""
    evidence: Mapping[str, Evidence] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def active(self) -> list[Guideline]:
        """Those that runs may be shown, kept ones first: what stands first changes least."""
        active = [guideline for guideline in self.guidelines.values() if guideline.active]
        return sorted(active, key=lambda g: (g.status != "kept", g.created, g.id))

    def worth(self, id: str) -> Evidence:  # noqa: A002 - the field's own name
        """What is known of a guideline's worth."""
        return self.evidence.get(id, Evidence())


def touched(delta: Delta) -> tuple[tuple[str, ...], str | None]:
    """The ids of the guidelines that a delta may change, and the key of the text it may find there."""
    match delta:
        case Add(guideline):
            return (guideline.id,), key_of(guideline.text)
        case Merge(ids, into):
            return (*ids, into.id), key_of(into.text)
        case Put(guideline):
            return (guideline.id,), None
        case Support(id) | Move(id):
            return (id,), None


def reduce(delta: Delta, known: Iterable[Guideline]) -> list[Guideline]:
    """The guidelines that a delta changes, as they are then. Pure, but for the id of an `Add` whose own is taken.

    Args:
        delta: The change.
        known: At least the guidelines that `touched` names.
    """
    by_id = {guideline.id: guideline for guideline in known}
    changed: list[Guideline] = []
    match delta:
        case Add(guideline):
            same = _same_words(guideline, by_id.values())
            if same is None and guideline.id in by_id:
                guideline = guideline.replace(id=new_id())
            changed = [guideline] if same is None else [] if same.status == "retired" else [_joined(same, guideline)]
        case Support(id, source):
            changed = [by_id[id].supported(source)] if id in by_id and _wants(by_id[id], source) else []
        case Move(id, status, reason, leave):
            wanted = id in by_id and (leave is None or by_id[id].status == leave)
            changed = [by_id[id].replace(status=status, reason=reason)] if wanted else []
        case Merge(ids, into, reason):
            changed = _merged(ids, into, reason, by_id)
        case Put(guideline):
            changed = [guideline]
        case _:
            assert_never(delta)
    return [guideline for guideline in changed if guideline != by_id.get(guideline.id)]


def _wants(guideline: Guideline, source: Source) -> bool:
    """Whether one more source tells anything: not where there are plenty, unless it lifts a quarantine."""
    lifts = guideline.status == "quarantined" and not source.tainted
    return guideline.status != "retired" and (lifts or len(guideline.sources) < ENOUGH)


def _merged(ids: Sequence[str], into: Guideline, reason: str, by_id: Mapping[str, Guideline]) -> list[Guideline]:
    gone = [by_id[name] for name in dict.fromkeys(ids) if name in by_id]
    heir = by_id.get(into.id) or _same_words(into, by_id.values()) or into
    gone = [guideline for guideline in gone if guideline.id != heir.id]
    there = heir is into or heir.active
    if not there or not gone or len(gone) < len(set(ids) - {heir.id}) or not all(g.active for g in gone):
        return []
    sources = [source for guideline in gone for source in guideline.sources]
    merged = tuple(dict.fromkeys((*heir.merged, *(name for g in gone for name in (g.id, *g.merged)))))
    heir = heir.supported(*into.sources, *sources).replace(merged=merged)
    return [heir, *(g.replace(status="retired", reason=f"{reason}: {heir.id} stands for it") for g in gone)]


def _same_words(guideline: Guideline, others: Iterable[Guideline]) -> Guideline | None:
    wording = wording_of(guideline.text)
    same = [other for other in others if wording_of(other.text) == wording]
    return min(same, key=lambda other: other.id != guideline.id, default=None)  # that of the same id first


def _joined(there: Guideline, new: Guideline) -> Guideline:
    return there.supported(*new.sources)


def state_at(history: Iterable[Change], revision: int) -> dict[str, Guideline]:
    """The guidelines as they were after a revision."""
    return {change.id: change.after for change in history if change.revision <= revision}


def diff(history: Sequence[Change], first: int, second: int) -> list[tuple[Guideline | None, Guideline | None]]:
    """What differs between two revisions: each guideline before and after; `None` where it was not there."""
    before, after = state_at(history, first), state_at(history, second)
    ids = dict.fromkeys([*before, *after])
    return [(before.get(name), after.get(name)) for name in ids if before.get(name) != after.get(name)]


def undo(history: Sequence[Change], revision: int) -> list[Delta]:
    """The deltas that bring back the state after a revision. What was learned since is retired, not forgotten."""
    now = max((change.revision for change in history), default=0)
    reason = f"rolled back to revision {revision}"
    deltas: list[Delta] = []
    for after, before in diff(history, now, revision):
        if before is not None:
            deltas.append(Put(before))
        elif after is not None and after.status != "retired":
            deltas.append(Move(after.id, "retired", reason))
    return deltas
