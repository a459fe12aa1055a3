"""Stores: what all of them do; and the SQLite store among many processes, killed ones, and damaged files."""

import asyncio
import dataclasses
import json
import logging
import multiprocessing
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentinfer import UserError
from agentinfer.local._lock import file_lock
from agentinfer.scope import Add, Evidence, MemoryStore, Outcome, Space, SqliteStore, StoreError, _rows, _schema
from agentinfer.scope.testing import STORE_CHECKS, StoreCheck

from ._made import guideline

WRITER = Path(__file__).with_name("_writer.py")
HERE = Space("t")


@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
async def test_sqlite_does_what_a_store_does(check: StoreCheck, tmp_path: Path) -> None:
    await check(lambda: SqliteStore(tmp_path / "guidelines.db"))


@pytest.mark.parametrize("check", STORE_CHECKS, ids=lambda check: check.__name__)
async def test_memory_does_what_a_store_does(check: StoreCheck) -> None:
    store = MemoryStore()
    await check(lambda: store)


@pytest.mark.parametrize("score", [-0.1, 1.1, float("nan")])
def test_a_score_lies_between_0_and_1(score: float) -> None:
    with pytest.raises(UserError):
        Outcome(run="r", score=score)


# Many processes


def start(path: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, WRITER, path, name, str(count)], stdout=subprocess.PIPE, text=True)


def said(process: subprocess.Popen[str]) -> list[str]:
    return [line.strip() for line in process.communicate()[0].splitlines()]


async def written(path: Path) -> set[str]:
    store = SqliteStore(path, create=False)
    snapshot = await store.load(HERE)
    history = await store.history(HERE)
    assert [change.revision for change in history] == list(range(1, len(history) + 1))
    assert {change.id for change in history} == set(snapshot.guidelines)
    await store.aclose()
    return set(snapshot.guidelines)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("count", [25, pytest.param(200, marks=pytest.mark.slow)])
async def test_eight_processes_lose_nothing(count: int, tmp_path: Path) -> None:
    path = tmp_path / "guidelines.db"
    processes = [start(path, f"w{number}", count) for number in range(8)]
    told = {name for process in processes for name in said(process)}
    assert len(told) == 8 * count
    assert await written(path) == told
    store = SqliteStore(path)
    assert (await store.load(HERE)).worth("shared").used == 8 * count // 5
    await store.aclose()


def killed_at_work(path: Path, name: str, chance: random.Random) -> set[str]:
    """What four writers said before they were killed, each at some moment of its work."""
    processes = [start(path, f"{name}{number}", 100_000) for number in range(4)]
    told = set()
    for process in processes:
        assert process.stdout is not None
        told.add(process.stdout.readline().strip())
    for process in processes:
        time.sleep(chance.uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
    for process in processes:
        told.update(filter(None, said(process)))
    return told


@pytest.mark.timeout(300)
@pytest.mark.parametrize("rounds", ["a", pytest.param("bcd", marks=pytest.mark.slow)])
async def test_killed_writers_lose_nothing_that_they_reported(rounds: str, tmp_path: Path) -> None:
    path = tmp_path / "guidelines.db"
    chance = random.Random(5)
    told: set[str] = set()
    for round_ in rounds:
        told |= killed_at_work(path, round_, chance)
    there = await written(path)
    assert told <= there
    assert len(there) - len(told) <= len(rounds) * 4 * 2  # written, and killed before it could be said; half a line
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    connection.close()


def _add_after_fork(store: SqliteStore) -> None:
    async def close_and_add() -> None:
        await store.aclose()  # what the parent has open is not the child's to close
        await store.apply(HERE, [Add(guideline("Written by the child.", id="child"))], author="child")

    asyncio.run(close_and_add())


async def test_a_store_may_be_used_on_both_sides_of_a_fork(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "guidelines.db")
    await store.apply(HERE, [Add(guideline("Written by the parent.", id="parent"))], author="parent")
    child = multiprocessing.get_context("fork").Process(target=_add_after_fork, args=(store,))
    child.start()
    await asyncio.to_thread(child.join, 20)
    assert child.exitcode == 0
    await store.apply(HERE, [Add(guideline("Written by the parent later.", id="later"))], author="parent")
    assert set((await store.load(HERE)).guidelines) == {"parent", "child", "later"}
    await store.aclose()


# The event loop


async def test_a_store_that_waits_for_another_process_does_not_hold_up_the_loop(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "guidelines.db")
    await store.load(HERE)
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(store.apply(HERE, [Add(guideline())], author="t"))
    longest, last = 0.0, time.perf_counter()
    for _ in range(100):
        await asyncio.sleep(0.003)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    assert not waiting.done()
    assert longest < 0.2
    other.execute("COMMIT")
    other.close()
    assert len(await waiting) == 1
    await store.aclose()


async def test_sqlite_runs_in_a_thread_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[str] = set()
    connect = sqlite3.connect

    def watched(*args: object, **kwargs: object) -> object:
        seen.add(threading.current_thread().name)
        return connect(*args, **kwargs)  # type: ignore[call-overload]

    monkeypatch.setattr(sqlite3, "connect", watched)
    store = SqliteStore(tmp_path / "guidelines.db")
    await store.load(HERE)
    await store.aclose()
    assert seen
    assert all(name.startswith("scope-store") for name in seen)


async def test_closing_waits_its_turn(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "guidelines.db")
    for n in range(30):
        before, after = (
            Add(guideline(f"Number {n}, written {word}.", id=f"{word}-{n}")) for word in ("before", "after")
        )
        await asyncio.gather(
            store.apply(HERE, [before], author="t"), store.aclose(), store.apply(HERE, [after], author="t")
        )
    assert len((await store.load(HERE)).guidelines) == 60
    await store.aclose()


def _hold_lock(path: Path, held: Event, done: Event) -> None:
    with file_lock(path, lambda: None):
        held.set()
        done.wait(30)


async def test_waiting_for_another_that_opens_the_file_ends(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    held, done = spawn.Event(), spawn.Event()
    other = spawn.Process(target=_hold_lock, args=(tmp_path / "guidelines.db.lock", held, done))
    other.start()
    store = SqliteStore(tmp_path / "guidelines.db", patience=0.05)
    try:
        assert await asyncio.to_thread(held.wait, 30)
        with pytest.raises(StoreError, match="another process holds"):
            await store.load(HERE)
        assert other.is_alive()
    finally:
        done.set()
        await asyncio.to_thread(other.join, 30)
    assert (await store.load(HERE)).guidelines == {}
    await store.aclose()


async def test_a_text_that_is_no_unicode_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "guidelines.db")
    with pytest.raises(StoreError, match="UTF-8"):
        await store.apply(HERE, [Add(guideline())], author="t", reason="caf\udce9")
    assert (await store.load(HERE)).guidelines == {}
    await store.aclose()


async def test_waiting_for_others_ends(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "guidelines.db", patience=0.05)
    await store.load(HERE)
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="locked"):
        await store.apply(HERE, [Add(guideline())], author="t")
    other.execute("COMMIT")
    other.close()
    await store.apply(HERE, [Add(guideline())], author="t")
    await store.aclose()


# Files


async def filled(path: Path, count: int = 200) -> bytes:
    store = SqliteStore(path)
    await store.apply(HERE, [Add(guideline(f"Number {n} of many.", id=f"g-{n}")) for n in range(count)], author="t")
    await store.aclose()
    return await asyncio.to_thread(path.read_bytes)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("damage", ["header", "pages", "cut", "text"])
async def test_a_damaged_file_is_set_aside_and_reported(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "guidelines.db"
    content = await filled(path)
    spoilt = {
        "header": b"\xff" * 100 + content[100:],
        "pages": content[:4096] + os.urandom(len(content) - 4096),
        "cut": content[: len(content) // 2],
        "text": b"not a database, but somebody's words\n" * 50,
    }[damage]
    path.write_bytes(spoilt)
    with pytest.raises(StoreError, match="damaged"):
        await SqliteStore(path, create=False).load(HERE)
    assert path.read_bytes() == spoilt  # whoever only reads moves nothing
    store = SqliteStore(path)
    with caplog.at_level(logging.WARNING):
        await store.apply(HERE, [Add(guideline())], author="t")
    assert len((await store.load(HERE)).guidelines) == 1
    (aside,) = store.set_aside
    assert aside.read_bytes() == spoilt
    assert str(aside) in caplog.text
    await store.aclose()


async def test_two_that_find_the_same_damage_set_it_aside_once(tmp_path: Path) -> None:
    path = tmp_path / "guidelines.db"
    path.write_bytes(b"x" * 5000)
    stores = [SqliteStore(path) for _ in range(4)]
    await asyncio.gather(
        *(
            s.apply(HERE, [Add(guideline(f"Written by {n} of them.", id=f"g-{n}"))], author="t")
            for n, s in enumerate(stores)
        )
    )
    assert len((await stores[0].load(HERE)).guidelines) == 4
    assert len([name for name in names(tmp_path) if ".damaged-" in name]) == 1
    for store in stores:
        await store.aclose()


async def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    other = sqlite3.connect(path)
    other.execute("CREATE TABLE theirs (x)")
    other.commit()
    other.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="something else"):
        await SqliteStore(path).load(HERE)
    assert path.read_bytes() == before


async def test_a_file_that_cannot_be_made_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StoreError):
        await SqliteStore(tmp_path / "file" / "guidelines.db").load(HERE)
    with pytest.raises(StoreError, match="no guidelines at"):
        await SqliteStore(tmp_path / "missing.db", create=False).load(HERE)
    assert not (tmp_path / "missing.db").exists()


async def test_a_write_that_fails_is_reported_and_leaves_nothing(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "guidelines.db")
    await store.apply(HERE, [Add(guideline())], author="t")
    other = sqlite3.connect(store.path)
    other.execute("CREATE TRIGGER full BEFORE INSERT ON changes BEGIN SELECT RAISE(ABORT, 'disk full'); END")
    other.commit()
    other.close()
    with pytest.raises(StoreError, match="disk full"):
        await store.apply(HERE, [Add(guideline("Never to be seen.", id="g-2"))], author="t")
    assert len((await store.load(HERE)).guidelines) == 1
    await store.aclose()


async def test_a_file_removed_meanwhile_is_begun_anew(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "guidelines.db")
    await store.apply(HERE, [Add(guideline())], author="t")
    for name in names(tmp_path):
        (tmp_path / name).unlink()
    await store.apply(HERE, [Add(guideline())], author="t")
    other = SqliteStore(store.path, create=False)
    assert len((await other.load(HERE)).guidelines) == 1
    await store.aclose()
    await other.aclose()


async def test_no_name_from_outside_reaches_the_file_system(tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    store = SqliteStore(tmp_path / "inner" / "guidelines.db")
    evil = Space("../../evil", "../evil")
    await store.apply(evil, [Add(guideline(id="../../id", domain="../domain"))], author="../author")
    await store.aclose()
    assert names(tmp_path) == {"inner"}
    assert {name.split(".")[0] for name in names(tmp_path / "inner")} == {"guidelines"}


# Versions


async def test_an_older_file_is_migrated_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "guidelines.db"
    await filled(path, 3)
    broken = "ALTER TABLE guidelines ADD COLUMN note TEXT; ALTER TABLE nothing ADD COLUMN x TEXT;"
    monkeypatch.setattr(_schema, "MIGRATIONS", [*_schema.MIGRATIONS, broken])
    with pytest.raises(StoreError, match="nothing"):
        await SqliteStore(path).load(HERE)
    monkeypatch.setattr(
        _schema, "MIGRATIONS", [*_schema.MIGRATIONS[:-1], "ALTER TABLE guidelines ADD COLUMN note TEXT;"]
    )
    stores = [SqliteStore(path) for _ in range(3)]
    for snapshot in await asyncio.gather(*(store.load(HERE) for store in stores)):
        assert len(snapshot.guidelines) == 3
    for store in stores:
        await store.aclose()
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (len(_schema.MIGRATIONS),)
        connection.execute("SELECT note FROM guidelines")
    connection.close()


async def test_scores_of_the_first_version_count_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "guidelines.db"
    connection = sqlite3.connect(path, isolation_level=None)
    with monkeypatch.context() as patch:
        patch.setattr(_schema, "MIGRATIONS", _schema.MIGRATIONS[:1])
        _schema.migrate(connection)
    key = json.dumps([HERE.tenant, HERE.memory])
    scores = [("a", 1, 0.25), ("b", 1, 0.75), ("c", 0, 0.5)]
    for run, shown, score in scores:
        connection.execute("INSERT INTO scores VALUES (?, 'g-1', ?, ?, ?, 0, 0.0)", (key, run, shown, score))
    connection.close()
    store = SqliteStore(path)
    expected = Evidence(used=2, score=1.0, helpful=1, held_out=1, held_out_score=0.5)
    assert (await store.load(HERE)).worth("g-1") == expected
    await store.record(HERE, Outcome(run="a", score=1.0, shown=("g-1",)))
    assert (await store.load(HERE)).worth("g-1") == dataclasses.replace(expected, score=1.75, helpful=2)
    await store.aclose()


outcomes = st.builds(
    lambda run, score, shown, firm: Outcome(
        run=run, score=score, firm=firm, shown=("g",) if shown else (), held_out=() if shown else ("g",)
    ),
    run=st.sampled_from("abc"),
    score=st.floats(0, 1),
    shown=st.booleans(),
    firm=st.booleans(),
)


@given(st.lists(outcomes, max_size=30))
def test_what_is_known_is_what_all_scores_come_to(told: list[Outcome]) -> None:
    """Scores are counted as they come; a load reads none of them, however many there are."""
    connection = sqlite3.connect(":memory:", isolation_level=None)
    _schema.migrate(connection)
    counts: dict[str, Outcome] = {}
    for outcome in told:
        _rows.record(connection, HERE, outcome)
        if outcome.run not in counts or outcome.firm or not counts[outcome.run].firm:
            counts[outcome.run] = outcome
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    worth = _rows.load(connection, HERE).worth("g")
    connection.close()
    assert not [statement for statement in statements if "scores" in statement]
    shown = [outcome.score for outcome in counts.values() if outcome.shown]
    without = [outcome.score for outcome in counts.values() if outcome.held_out]
    assert (worth.used, worth.held_out) == (len(shown), len(without))
    assert worth.helpful == sum(score >= 0.5 for score in shown)
    assert worth.score == pytest.approx(sum(shown), abs=1e-9)
    assert worth.held_out_score == pytest.approx(sum(without), abs=1e-9)
    assert worth.score <= worth.used
    assert worth.held_out_score <= worth.held_out


async def test_a_newer_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "guidelines.db"
    await filled(path, 1)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="version 99"):
        await SqliteStore(path).load(HERE)
    assert not [name for name in names(tmp_path) if "damaged" in name]


async def test_a_row_that_somebody_broke_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "guidelines.db"
    await filled(path, 2)
    connection = sqlite3.connect(path)
    connection.execute("UPDATE guidelines SET data = '{' WHERE id = 'g-1'")
    connection.commit()
    connection.close()
    store = SqliteStore(path)
    with pytest.raises(StoreError, match="row is broken"):
        await store.load(HERE)
    await store.aclose()
