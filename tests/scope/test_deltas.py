"""Deltas: stable ids, surviving sources, histories that can be undone; and what the optimiser makes of relations."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentinfer import MissingExtra
from agentinfer.scope import Add, Change, Delta, Evidence, Guideline, Merge, Move, Put, Snapshot, Source, Support
from agentinfer.scope._deltas import diff, reduce, state_at, touched, undo
from agentinfer.scope._optimise import Relation, crowd_out, plan, read_relations, relation_graph

from ._made import PERSON, RUN, TOOL, guideline


def run_source(name: str) -> Source:
    return Source(origin="run", run=name, at=1.0)


TEXTS = [f"Guideline number {n} speaks of {word}." for n, word in enumerate(["cats", "dogs", "birds", "fish"])]
FOUR = [guideline(text, id=f"g-{n}", sources=(run_source(f"r{n}"),)) for n, text in enumerate(TEXTS)]


def snapshot(*guidelines: Guideline, **evidence: Evidence) -> Snapshot:
    return Snapshot(1, {g.id: g for g in guidelines}, {name.replace("_", "-"): e for name, e in evidence.items()})


def applied(deltas: list[Delta], known: list[Guideline]) -> dict[str, Guideline]:
    state = {g.id: g for g in known}
    for delta in deltas:
        state |= {g.id: g for g in reduce(delta, state.values())}
    return state


def test_adding_the_same_words_gives_the_older_one_a_source() -> None:
    twin = guideline(TEXTS[0].upper(), id="g-9", sources=(run_source("r9"),))
    (changed,) = reduce(Add(twin), FOUR)
    assert (changed.id, changed.text) == ("g-0", TEXTS[0])
    assert [source.run for source in changed.sources] == ["r0", "r9"]
    assert reduce(Add(twin), [FOUR[0].replace(status="retired")]) == []
    assert reduce(Add(twin), []) == [twin]


def test_an_id_that_other_words_have_is_not_taken_from_them() -> None:
    held = guideline(TEXTS[0], id="g-0", status="quarantined", sources=(TOOL,))
    (new,) = reduce(Add(guideline(TEXTS[1], id="g-0", sources=(RUN,))), [held])
    assert (new.text, new.status, new.sources) == (TEXTS[1], "trial", (RUN,))
    assert new.id != "g-0"
    assert reduce(Add(guideline(TEXTS[1], id="g-0", sources=(RUN,))), [held, new]) == []


@pytest.mark.parametrize(
    ("one", "other"),
    [("When hits > 5, narrow the search.", "When hits < 5, narrow the search."),
     ("Read C++ headers as they are.", "Read C# headers as they are."),
     ("Shift the dates by -5 days.", "Shift the dates by 5 days.")],
)  # fmt: skip
def test_signs_tell_guidelines_apart(one: str, other: str) -> None:
    held, new = guideline(one, id="g-1", status="quarantined", sources=(TOOL,)), guideline(other, id="g-2")
    assert reduce(Add(new), [held]) == [new]
    assert reduce(Add(guideline(one.upper(), id="g-2")), [held])[0].status == "trial"


def test_a_merge_keeps_every_source_and_id() -> None:
    first = applied([Merge(("g-1",), FOUR[0], "covered")], FOUR)
    second = applied([Merge(("g-0",), first["g-2"], "covered")], list(first.values()))
    assert [source.run for source in second["g-2"].sources] == ["r2", "r0", "r1"]
    assert second["g-2"].merged == ("g-0", "g-1")
    assert [second[name].status for name in ("g-0", "g-1", "g-2")] == ["retired", "retired", "trial"]
    assert "g-2" in second["g-0"].reason


def test_a_merge_of_what_somebody_else_retired_does_nothing() -> None:
    gone = [FOUR[0], FOUR[1].replace(status="retired"), FOUR[2]]
    assert reduce(Merge(("g-1", "g-2"), FOUR[0], "covered"), gone) == []
    assert reduce(Merge(("g-2",), FOUR[1], "covered"), gone) == []
    assert reduce(Merge(("g-8",), FOUR[0], "covered"), gone) == []


def test_a_move_leaves_only_the_status_it_means() -> None:
    assert reduce(Move("g-0", "kept", "helps", leave="trial"), FOUR)[0].status == "kept"
    assert reduce(Move("g-0", "kept", "helps", leave="quarantined"), FOUR) == []
    assert reduce(Move("g-9", "kept", "helps"), FOUR) == []
    assert reduce(Support("g-9", RUN), FOUR) == []


def test_learning_the_same_for_ever_does_not_grow_for_ever() -> None:
    known = FOUR[0]
    for number in range(100):
        (known,) = reduce(Support("g-0", run_source(f"again {number}")), [known]) or [known]
    assert len(known.sources) == 12
    held = known.replace(status="quarantined", sources=tuple(Source(origin="tool", at=float(n)) for n in range(12)))
    assert reduce(Support("g-0", Source(origin="tool", at=99.0)), [held]) == []
    assert reduce(Support("g-0", RUN), [held])[0].status == "trial"


def test_what_a_delta_touches() -> None:
    assert touched(Add(FOUR[0]))[0] == ("g-0",)
    assert touched(Merge(("g-1",), FOUR[0], ""))[0] == ("g-1", "g-0")
    assert touched(Put(FOUR[0])) == (("g-0",), None)


DELTAS = st.lists(
    st.one_of(
        st.sampled_from(FOUR).map(Add),
        st.builds(Support, st.sampled_from([g.id for g in FOUR]), st.sampled_from([RUN, TOOL, PERSON])),
        st.builds(Move, st.sampled_from([g.id for g in FOUR]), st.sampled_from(["kept", "retired"]), st.just("moved")),
        st.builds(
            Merge,
            st.lists(st.sampled_from([g.id for g in FOUR]), min_size=1, max_size=3).map(tuple),
            st.sampled_from(FOUR),
            st.just("merged"),
        ),
    ),
    max_size=12,
)


@given(DELTAS, st.data())
def test_any_history_can_be_undone_and_loses_no_source(deltas: list[Delta], data: st.DataObject) -> None:
    state: dict[str, Guideline] = {}
    history: list[Change] = []
    for revision, delta in enumerate(deltas, 1):
        for after in reduce(delta, state.values()):
            before = state.get(after.id)
            assert before is None or set(before.sources) <= set(after.sources)
            history.append(Change(revision=revision, at=0.0, author="t", reason="", before=before, after=after))
            state[after.id] = after
    revision = data.draw(st.integers(0, len(deltas)))
    then = state_at(history, revision)
    undone = applied(undo(history, revision), list(state.values()))
    assert {name: g for name, g in undone.items() if name in then} == then
    assert all(g.status == "retired" for name, g in undone.items() if name not in then)
    assert diff(history, revision, revision) == []


def test_relations_as_models_write_them() -> None:
    said = {
        "relations": [
            {"kind": "CONFLICT", "ids": ["g-0", "g-1", "g-2"]},
            {"kind": "subsumption", "ids": ["g-0", "unknown"]},
            {"kind": "consolidation", "ids": ["g-2", "g-3"], "text": "- Mind birds and fish alike."},
            {"kind": "consolidation", "ids": ["g-2", "g-3"], "text": ""},
            {"kind": "friendship", "ids": ["g-0", "g-1"]},
            {"kind": "conflict", "ids": "g-0, g-1"},
            "nonsense", None, ["g-0"],
        ]
    }  # fmt: skip
    relations = read_relations(json.dumps(said), [g.id for g in FOUR])
    assert relations == [
        Relation(kind="conflict", ids=("g-0", "g-1")),
        Relation(kind="consolidation", ids=("g-2", "g-3"), text="Mind birds and fish alike."),
    ]
    for text in ("", "[]", '{"relations": {"a": 1}}', '{"relations": "none"}', "null"):
        assert read_relations(text, ["g-0"]) == []


def test_each_takes_part_in_one_change_and_conflicts_go_first() -> None:
    relations = [
        Relation(kind="consolidation", ids=("g-0", "g-2"), text="Mind cats and birds alike."),
        Relation(kind="conflict", ids=("g-0", "g-1")),
        Relation(kind="subsumption", ids=("g-2", "g-3")),
    ]
    better = Evidence(used=10, score=9.0, held_out=10, held_out_score=1.0)
    deltas = plan(relations, snapshot(*FOUR, g_1=better))
    assert [type(delta) for delta in deltas] == [Move, Merge]
    after = applied(deltas, FOUR)
    assert {name: g.status for name, g in after.items()} == {
        "g-0": "retired", "g-1": "trial", "g-2": "trial", "g-3": "retired",
    }  # fmt: skip


def test_chains_and_circles_of_subsumption() -> None:
    chain = [Relation(kind="subsumption", ids=("g-0", "g-1")), Relation(kind="subsumption", ids=("g-1", "g-2"))]
    (merge,) = plan(chain, snapshot(*FOUR))
    assert isinstance(merge, Merge)
    assert (merge.ids, merge.into.id) == (("g-1", "g-2"), "g-0")
    circle = [*chain, Relation(kind="subsumption", ids=("g-2", "g-0"))]
    (merge,) = plan(circle, snapshot(*FOUR))
    assert isinstance(merge, Merge)
    assert (merge.ids, merge.into.id) == (("g-1", "g-2"), "g-0")


def test_what_is_kept_gives_way_only_to_what_is_kept() -> None:
    kept = [FOUR[0], FOUR[1].replace(status="kept"), *FOUR[2:]]
    assert plan([Relation(kind="subsumption", ids=("g-0", "g-1"))], snapshot(*kept)) == []
    assert (
        plan([Relation(kind="consolidation", ids=("g-0", "g-1"), text="Both at once, please.")], snapshot(*kept)) == []
    )
    (move,) = plan([Relation(kind="conflict", ids=("g-0", "g-1"))], snapshot(*kept))
    assert isinstance(move, Move)
    assert move.id == "g-0"


def test_a_consolidated_one_is_on_trial_with_all_sources() -> None:
    relation = Relation(kind="consolidation", ids=("g-2", "g-3"), text="Mind birds and fish alike.")
    after = applied(plan([relation], snapshot(*FOUR)), FOUR)
    (new,) = [g for g in after.values() if g.text == relation.text]
    assert (new.status, new.merged) == ("trial", ("g-2", "g-3"))
    assert {source.run for source in new.sources} == {"r2", "r3"}


def test_a_full_domain_loses_its_weakest() -> None:
    worth = {"g_0": Evidence(used=10, score=1.0, held_out=10, held_out_score=9.0)}
    (move,) = crowd_out(snapshot(*FOUR, **worth), "general", 3)
    assert isinstance(move, Move)
    assert move.id == "g-0"
    assert crowd_out(snapshot(*FOUR), "general", 4) == crowd_out(snapshot(*FOUR), "tools", 0) == []


def test_the_graph_needs_networkx(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = relation_graph([Relation(kind="conflict", ids=("g-0", "g-1"))])
    assert list(graph.edges(keys=True)) == [("g-0", "g-1", "conflict")]
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(MissingExtra, match="scope"):
        relation_graph([])
