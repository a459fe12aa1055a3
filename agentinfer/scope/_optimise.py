"""Making room in a full domain: conflicts, subsumption, consolidation, as deltas.

The relations come from a model; what follows from them is worked out here, on a graph (networkx, imported when it is
needed). A guideline takes part in one change at most: conflicts go first, then subsumption, then consolidation, as in
SCOPE (arXiv 2512.15374). What was measured weighs more than what was said.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from agentinfer.errors import MissingExtra
from agentinfer.scope._deltas import Delta, Merge, Move, Snapshot
from agentinfer.scope._guideline import MAX_CHARS, Guideline, clean, new_id, problem_of
from agentinfer.scope._reading import read_choice, read_object

if TYPE_CHECKING:
    import networkx as nx

__all__ = ["Relation", "crowd_out", "plan", "read_relations", "relation_graph"]

RelationKind = Literal["conflict", "subsumption", "consolidation"]
_KINDS: tuple[RelationKind, ...] = ("conflict", "subsumption", "consolidation")


@dataclass(frozen=True, slots=True, kw_only=True)
class Relation:
    """What guidelines have to do with each other."""

    kind: RelationKind
    ids: tuple[str, ...]
    """Conflict: the two. Subsumption: the general one, then those it covers. Consolidation: those that become one."""
    text: str = ""
    """Of a consolidation: the one guideline that says them all."""


def read_relations(text: str, known: Iterable[str]) -> list[Relation]:
    """The relations that a model names, among guidelines that are known; whatever is no relation is left out."""
    answer, known = read_object(text), set(known)
    listed = answer.get("relations")
    relations = []
    for item in listed if isinstance(listed, list) else ():
        kind = read_choice(item.get("kind"), _KINDS) if isinstance(item, dict) else None
        ids = item.get("ids") if isinstance(item, dict) else None
        if kind is None or not isinstance(ids, list):
            continue
        named = tuple(dict.fromkeys(name for name in ids if isinstance(name, str) and name in known))
        told = item.get("text")
        text = clean(told) if isinstance(told, str) else ""
        if len(named) < 2 or (kind == "consolidation" and problem_of(text, max_chars=MAX_CHARS)):
            continue
        relations.append(Relation(kind=_kind(kind), ids=named[:2] if kind == "conflict" else named, text=text))
    return relations


def relation_graph(relations: Iterable[Relation]) -> "nx.MultiDiGraph[str]":
    """The relations as a graph: edges named by their kind; a subsumption leads from the general to the special.

    Raises:
        MissingExtra: networkx is not installed.
    """
    try:
        import networkx as nx
    except ImportError:
        raise MissingExtra("scope", "Relations between guidelines") from None
    graph: nx.MultiDiGraph[str] = nx.MultiDiGraph()
    for relation in relations:
        first, *others = relation.ids
        for other in others:
            graph.add_edge(first, other, key=relation.kind, text=relation.text)
    return graph


def plan(relations: Sequence[Relation], snapshot: Snapshot) -> list[Delta]:
    """The deltas that follow from relations. Pure, but for the ids of new guidelines."""
    active = {guideline.id: guideline for guideline in snapshot.active}
    relations = [relation for relation in relations if all(name in active for name in relation.ids)]
    deltas: list[Delta] = []
    taken: set[str] = set()
    for relation in relations:
        if relation.kind == "conflict" and taken.isdisjoint(relation.ids):
            loser, winner = sorted(relation.ids, key=lambda name: strength(active[name], snapshot))
            deltas.append(Move(loser, "retired", f"contradicts {winner}", leave=active[loser].status))
            taken.update(relation.ids)
    for general, covered in _subsumed(relations):
        ids = tuple(name for name in covered if name not in taken and _may_stand_for(active[general], active[name]))
        if general not in taken and ids:
            deltas.append(Merge(ids, active[general], "covered"))
            taken.update((general, *ids))
    for relation in relations:
        if relation.kind == "consolidation" and taken.isdisjoint(relation.ids):
            heir = _together(relation, active)
            if not all(_may_stand_for(heir, active[name]) for name in relation.ids):
                continue
            deltas.append(Merge(relation.ids, heir, "consolidated"))
            taken.update(relation.ids)
    return deltas


def crowd_out(snapshot: Snapshot, domain: str, room: int) -> list[Delta]:
    """What retires, where a domain is still too full: those with the least to show for themselves."""
    there = [guideline for guideline in snapshot.active if guideline.domain == domain]
    weakest = sorted(there, key=lambda guideline: strength(guideline, snapshot))[: max(len(there) - room, 0)]
    return [Move(g.id, "retired", f"the domain {domain} was full", leave=g.status) for g in weakest]


def strength(guideline: Guideline, snapshot: Snapshot) -> tuple[bool, float, int, float, str]:
    """What orders guidelines: kept before on trial, then what was measured, then what was said."""
    worth = snapshot.worth(guideline.id)
    gain = (worth.score + 1) / (worth.used + 2) - (worth.held_out_score + 1) / (worth.held_out + 2)
    return guideline.status == "kept", gain, len(guideline.sources), guideline.confidence, guideline.id


def _may_stand_for(heir: Guideline, other: Guideline) -> bool:
    """What has earned its place gives way only to what has earned its own."""
    return heir.status == "kept" or other.status != "kept"


def _subsumed(relations: Iterable[Relation]) -> list[tuple[str, list[str]]]:
    """The most general guidelines with all they cover, over chains and circles of subsumption."""
    subsumptions = [relation for relation in relations if relation.kind == "subsumption"]
    if not subsumptions:
        return []
    graph: Any = relation_graph(subsumptions)
    import networkx as nx

    circles: Any = nx.condensation(nx.DiGraph(graph))  # those that cover each other say the same
    groups = []
    for top in [node for node, count in circles.in_degree() if count == 0]:
        first, *same = sorted(circles.nodes[top]["members"])
        below = sorted(name for node in nx.descendants(circles, top) for name in circles.nodes[node]["members"])
        groups.append((first, same + below))
    return sorted(groups)


def _together(relation: Relation, active: Mapping[str, Guideline]) -> Guideline:
    """The one guideline that stands for several. It has to earn its place anew."""
    parts = [active[name] for name in relation.ids]
    return Guideline(
        id=new_id(),
        text=relation.text,
        kind=parts[0].kind,
        status="trial",
        domain=parts[0].domain,
        confidence=max(part.confidence for part in parts),
        sources=tuple(dict.fromkeys(source for part in parts for source in part.sources)),
        reason="to be shown to help",
    )


def _kind(kind: str) -> RelationKind:
    return next(known for known in _KINDS if known == kind)
