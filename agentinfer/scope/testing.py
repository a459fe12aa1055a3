"""What every store of guidelines has to do, to be run against yours.

```python
@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
async def test_my_store(check, tmp_path):
    await check(lambda: MyStore(tmp_path / "guidelines"))
```

Each check makes its stores with the function it is given; all stores that one such function makes share their data.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from agentinfer.scope._deltas import Add, Delta, Merge, Move, Put, Support, state_at, undo
from agentinfer.scope._guideline import Guideline, Source, Space
from agentinfer.scope._store import Outcome, Store

__all__ = ["STORE_CHECKS", "MakeStore", "StoreCheck"]

MakeStore = Callable[[], Store]
StoreCheck = Callable[[MakeStore], Awaitable[None]]

HERE = Space("tenant", "memory")
RUN = Source(origin="run", run="run-1", step=2, note="why", at=1.0)
TOOL = Source(origin="tool", run="run-2", at=2.0)


def _guideline(number: int, **fields: Any) -> Guideline:
    settings: dict[str, Any] = {"kind": "corrective", "status": "trial", "sources": (RUN,), "created": float(number)}
    return Guideline(id=f"g-{number}", text=f"Guideline number {number}.", **{**settings, **fields})


async def what_was_added_is_there(make: MakeStore) -> None:
    """Every field survives, in this store and in another one on the same data."""
    one = _guideline(1, merged=("g-0",), rationale="ça va 你好", domain="tools", confidence=0.25, reason="new")
    store = make()
    assert (await store.load(HERE)).guidelines == {}
    changes = await store.apply(HERE, [Add(one)], author="test", reason="why")
    assert [(c.revision, c.before, c.after, c.author, c.reason) for c in changes] == [(1, None, one, "test", "why")]
    for reader in (store, make()):
        snapshot = await reader.load(HERE)
        assert (snapshot.revision, dict(snapshot.guidelines)) == (1, {one.id: one})
        await reader.aclose()


async def spaces_are_apart(make: MakeStore) -> None:
    """Neither tenants nor memories see each other, whatever they are called."""
    names = [None, "", "null", "a", "A", "../../evil", "a/b", 'quote"', "'; DROP TABLE guidelines; --", "x" * 300, "ü"]
    spaces = [Space(tenant, memory) for tenant in names for memory in ("default", "../up", "")]
    store = make()
    for number, space in enumerate(spaces):
        await store.apply(space, [Add(_guideline(number))], author="test")
        await store.record(space, Outcome(run="r", score=1.0, shown=(f"g-{number}",)))
    for number, space in enumerate(spaces):
        snapshot = await store.load(space)
        assert list(snapshot.guidelines) == list(snapshot.evidence) == [f"g-{number}"]
    assert set(await store.spaces()) == set(spaces)
    await store.aclose()


async def the_same_words_become_one(make: MakeStore) -> None:
    """A guideline added twice is one with both sources; one that was retired stays retired."""
    store = make()
    await store.apply(HERE, [Add(_guideline(1))], author="test")
    twin = _guideline(1, sources=(TOOL,)).replace(id="g-9", text="GUIDELINE, number 1")
    await store.apply(HERE, [Add(twin)], author="test")
    (one,) = (await store.load(HERE)).guidelines.values()
    assert (one.id, one.sources) == ("g-1", (RUN, TOOL))
    await store.apply(HERE, [Move("g-1", "retired", "harmful")], author="test")
    assert await store.apply(HERE, [Add(twin)], author="test") == []
    assert [g.status for g in (await store.load(HERE)).guidelines.values()] == ["retired"]
    await store.aclose()


async def deltas_apply_together_or_not_at_all(make: MakeStore) -> None:
    """What is applied at once has one revision; if one delta cannot be applied, none is."""
    store = make()
    await store.apply(HERE, [Add(_guideline(1)), Add(_guideline(2))], author="test")
    broken: Any = object()
    (refused,) = await asyncio.gather(
        store.apply(HERE, [Add(_guideline(3)), broken], author="test"), return_exceptions=True
    )
    assert isinstance(refused, BaseException), "an unknown delta was taken"
    snapshot = await store.load(HERE)
    assert (snapshot.revision, list(snapshot.guidelines)) == (1, ["g-1", "g-2"])
    await store.aclose()


async def merging_keeps_sources_and_ids(make: MakeStore) -> None:
    """The one that stands for others has their sources; they are retired, not gone."""
    store = make()
    one, two = _guideline(1), _guideline(2, sources=(TOOL,))
    await store.apply(HERE, [Add(one), Add(two)], author="test")
    await store.apply(HERE, [Merge(("g-2",), one, "covered")], author="test")
    known = (await store.load(HERE)).guidelines
    assert (known["g-1"].sources, known["g-1"].merged, known["g-2"].status) == ((RUN, TOOL), ("g-2",), "retired")
    await store.aclose()


async def the_history_can_be_rolled_back(make: MakeStore) -> None:
    """The history holds every state, oldest first; rolling back is one more change."""
    store = make()
    await store.apply(HERE, [Add(_guideline(1))], author="one")
    before = dict((await store.load(HERE)).guidelines)
    await store.apply(HERE, [Move("g-1", "kept", "helps"), Add(_guideline(2))], author="two")
    await store.apply(HERE, [Support("g-2", TOOL)], author="three")
    history = await make().history(HERE)
    assert [(c.revision, c.id, c.author) for c in history] == [
        (1, "g-1", "one"), (2, "g-1", "two"), (2, "g-2", "two"), (3, "g-2", "three"),
    ]  # fmt: skip
    assert state_at(history, 1) == before
    await store.apply(HERE, undo(history, 1), author="person")
    known = (await store.load(HERE)).guidelines
    assert (known["g-1"], known["g-2"].status) == (before["g-1"], "retired")
    assert await store.apply(HERE, [Put(known["g-1"])], author="person") == []
    await store.aclose()


async def evidence_adds_up(make: MakeStore) -> None:
    """Runs with and without a guideline; a run counts once, and a firm score stands."""
    store = make()
    await store.apply(HERE, [Add(_guideline(1))], author="test")
    await store.record(HERE, Outcome(run="a", score=1.0, shown=("g-1",), held_out=("g-2",)))
    await store.record(HERE, Outcome(run="b", score=0.25, shown=("g-1",)))
    await store.record(HERE, Outcome(run="c", score=0.5, held_out=("g-1",)))
    await store.record(HERE, Outcome(run="b", score=0.0, shown=("g-1",), firm=True))
    await store.record(HERE, Outcome(run="b", score=1.0, shown=("g-1",)))
    worth = (await make().load(HERE)).worth("g-1")
    assert (worth.used, worth.score, worth.helpful, worth.harmful) == (2, 1.0, 1, 1)
    assert (worth.held_out, worth.held_out_score) == (1, 0.5)
    assert (await store.load(HERE)).worth("g-2").held_out == 1
    await store.aclose()


async def what_is_brought_back_is_judged_anew(make: MakeStore) -> None:
    """A guideline that is no longer retired has no scores of before, and the others keep theirs."""
    store = make()
    await store.apply(HERE, [Add(_guideline(1)), Add(_guideline(2))], author="test")
    ways: list[list[Delta]] = [
        [Move("g-1", "trial", "again")],
        [Move("g-1", "quarantined", "again"), Support("g-1", Source(origin="person"))],
        [Put(_guideline(1))],
    ]
    for number, way in enumerate(ways):
        await store.record(HERE, Outcome(run=f"r{number}", score=0.0, shown=("g-1", "g-2"), firm=True))
        await store.apply(HERE, [Move("g-1", "retired", "harmful")], author="test")
        assert (await store.load(HERE)).worth("g-1").used == 1
        await store.apply(HERE, way, author="person")
        snapshot = await make().load(HERE)
        assert snapshot.guidelines["g-1"].status == "trial"
        assert (snapshot.worth("g-1").used, snapshot.worth("g-2").used) == (0, number + 1)
    await store.record(HERE, Outcome(run="r0", score=1.0, shown=("g-1",)))
    assert (await store.load(HERE)).worth("g-1").helpful == 1
    await store.aclose()


async def writers_side_by_side_lose_nothing(make: MakeStore) -> None:
    """Coroutines over several stores on the same data."""
    stores = [make(), make()]
    numbers = range(40)
    await asyncio.gather(
        *(stores[n % 2].apply(HERE, [Add(_guideline(n))], author=f"writer {n}") for n in numbers),
        *(stores[n % 2].record(HERE, Outcome(run=f"r{n}", score=1.0, shown=("g-0",))) for n in numbers),
    )
    snapshot = await stores[0].load(HERE)
    assert set(snapshot.guidelines) == {f"g-{n}" for n in numbers}
    assert snapshot.worth("g-0").used == len(numbers)
    history = await stores[1].history(HERE)
    assert [change.revision for change in history] == list(range(1, len(numbers) + 1))
    for store in stores:
        await store.aclose()


async def a_closed_store_may_be_used_again(make: MakeStore) -> None:
    """Closing lets go of what is open, not of what is kept."""
    store = make()
    await store.apply(HERE, [Add(_guideline(1))], author="test")
    await store.aclose()
    await store.aclose()
    assert list((await store.load(HERE)).guidelines) == ["g-1"]
    await store.aclose()


STORE_CHECKS: tuple[StoreCheck, ...] = (
    what_was_added_is_there,
    spaces_are_apart,
    the_same_words_become_one,
    deltas_apply_together_or_not_at_all,
    merging_keeps_sources_and_ids,
    the_history_can_be_rolled_back,
    evidence_adds_up,
    what_is_brought_back_is_judged_anew,
    writers_side_by_side_lose_nothing,
    a_closed_store_may_be_used_again,
)
"""Coroutine functions that take a function making stores, and raise `AssertionError` where a store does not do it."""
