"""Files of a workspace, and what must not be reached through them."""

import contextlib
import os
import shutil
import socket
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentinfer.errors import ToolError, UserError
from agentinfer.tools import Tool, workspace_files
from agentinfer.tools._folder import Folder

SECRET = "the secret outside"


@pytest.fixture
def space(tmp_path: Path) -> Path:
    """A workspace beside a secret, and beside a folder whose name begins like its own."""
    (tmp_path / "secret.txt").write_text(SECRET)
    (tmp_path / "space-other").mkdir()
    (tmp_path / "space-other" / "secret.txt").write_text(SECRET)
    inside = tmp_path / "space"
    inside.mkdir()
    (inside / "notes").mkdir()
    (inside / "notes" / "plan.md").write_text("a plan")
    return inside


def tools(space: Path, max_bytes: int = 1_000_000) -> tuple[Tool, Tool, Tool]:
    read, write, entries = workspace_files(space, max_bytes=max_bytes)
    return read, write, entries


def attempts(*made: Callable[[], str]) -> Sequence[Callable[[], str]]:
    return made


def test_reading_writing_listing(space: Path) -> None:
    read, write, entries = tools(space)
    assert read("notes/plan.md") == read("./notes//plan.md") == "a plan"
    assert write("new/deep/file.txt", "Zürich") == "new/deep/file.txt written: 7 bytes"
    assert read("new/deep/file.txt") == "Zürich"
    assert entries() == "new/\nnotes/"
    assert entries("notes") == "plan.md (6 bytes)"
    assert (read.name, write.name, entries.name) == ("read_file", "write_file", "list_files")
    assert read.resources == write.resources == entries.resources


def test_read_only(space: Path) -> None:
    assert [tool.name for tool in workspace_files(space, writable=False)] == ["read_file", "list_files"]


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder"):
        workspace_files(tmp_path / "nowhere")


OUTSIDE = [
    "../secret.txt",
    "notes/../../secret.txt",
    "notes/..",
    "..",
    "/etc/passwd",
    "//etc/passwd",
    "../space-other/secret.txt",
    "C:\\secret.txt",
    "C:/secret.txt",
    "..\\secret.txt",
    "\\\\server\\share",
    "secret\0.txt",
    "a\nb",
    "\x1b[31m",
    "\ud800",
    "x" * 300,
    "/".join("x" * 40),
    "",
    ".",
    "notes/",
    "notes",
]


@pytest.mark.parametrize("path", OUTSIDE)
def test_paths_that_lead_out_or_nowhere(space: Path, path: str) -> None:
    read, write, _ = tools(space)
    before = sorted(space.parent.rglob("*"))
    for attempt in attempts(lambda: read(path), lambda: write(path, "overwritten")):
        with pytest.raises(ToolError):
            attempt()
    assert sorted(space.parent.rglob("*")) == before
    assert (space.parent / "secret.txt").read_text() == SECRET


@given(parts=st.lists(st.sampled_from(["..", ".", "", "notes", "link", "space-other", "secret.txt", "etc", "~"])))
def test_no_path_reads_the_secret(tmp_path_factory: pytest.TempPathFactory, parts: list[str]) -> None:
    base = tmp_path_factory.mktemp("any")
    (base / "secret.txt").write_text(SECRET)
    (base / "space").mkdir()
    (base / "space" / "link").symlink_to(base)
    read, write, entries = tools(base / "space")
    path = "/".join(parts)
    for attempt in attempts(lambda: read(path), lambda: write(path, "overwritten"), lambda: entries(path)):
        with contextlib.suppress(ToolError):
            assert SECRET not in attempt()
    assert (base / "secret.txt").read_text() == SECRET
    assert sorted(entry.name for entry in base.iterdir()) == ["secret.txt", "space"]


@pytest.mark.parametrize("path", ["link.txt", "folder/secret.txt", "notes/up/secret.txt", "dangling"])
def test_links_are_not_followed(space: Path, path: str) -> None:
    (space / "link.txt").symlink_to(space.parent / "secret.txt")
    (space / "folder").symlink_to(space.parent)
    (space / "notes" / "up").symlink_to("../..")
    (space / "dangling").symlink_to(space.parent / "made.txt")
    read, write, entries = tools(space)
    for attempt in attempts(lambda: read(path), lambda: write(path, "overwritten")):
        with pytest.raises(ToolError, match="link"):
            attempt()
    with pytest.raises(ToolError, match="link"):
        entries("folder")
    assert (space.parent / "secret.txt").read_text() == SECRET
    assert not (space.parent / "made.txt").exists()


def test_hard_links_are_left_alone(space: Path) -> None:
    os.link(space.parent / "secret.txt", space / "hard.txt")
    read, write, _ = tools(space)
    for attempt in attempts(lambda: read("hard.txt"), lambda: write("hard.txt", "x")):
        with pytest.raises(ToolError, match="hard link"):
            attempt()


def test_only_regular_files(space: Path) -> None:
    os.mkfifo(space / "pipe")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(space / "socket"))
        read, write, entries = tools(space)
        for name in ("pipe", "socket"):
            for attempt in attempts(partial(read, name), partial(write, name, "x")):
                with pytest.raises(ToolError, match="not a regular file"):
                    attempt()
        assert "pipe (not a file that can be read)" in entries()


def race(swap: Callable[[], None], attempt: Callable[[], str], times: int = 300) -> list[str]:
    """Try again and again while somebody swaps what is there; gives what was read."""
    stop = threading.Event()

    def swapping() -> None:
        while not stop.is_set():
            swap()

    thread = threading.Thread(target=swapping)
    thread.start()
    got = []
    try:
        for _ in range(times):
            with contextlib.suppress(ToolError):
                got.append(attempt())
    finally:
        stop.set()
        thread.join()
    return got


def exchange(one: Path, other: Path) -> Callable[[], None]:
    spare = one.with_name("spare")

    def swap() -> None:
        one.rename(spare)
        while os.path.lexists(other):
            try:
                other.rename(one)
            except OSError:  # a write has made the folder anew
                shutil.rmtree(one, ignore_errors=True)
        spare.rename(other)

    return swap


def test_a_file_swapped_for_a_link_in_between(space: Path) -> None:
    (space / "file").write_text("harmless")
    (space / "link").symlink_to(space.parent / "secret.txt")
    read, write, _ = tools(space)
    assert SECRET not in race(exchange(space / "file", space / "link"), lambda: read("file"))
    race(exchange(space / "file", space / "link"), lambda: write("file", "overwritten"))
    assert (space.parent / "secret.txt").read_text() == SECRET


def test_a_folder_swapped_for_a_link_in_between(space: Path) -> None:
    (space / "folder").mkdir()
    (space / "folder" / "secret.txt").write_text("harmless")
    (space / "link").symlink_to(space.parent)
    read, write, _ = tools(space)
    got = race(exchange(space / "folder", space / "link"), lambda: read("folder/secret.txt"))
    assert set(got) <= {"harmless"}
    race(exchange(space / "folder", space / "link"), lambda: write("folder/secret.txt", "overwritten"))
    assert (space.parent / "secret.txt").read_text() == SECRET


def test_sizes_are_bounded(space: Path) -> None:
    read, write, _ = tools(space, max_bytes=10)
    assert write("ten", "x" * 10)
    assert read("ten") == "x" * 10
    with pytest.raises(ToolError, match="11 bytes are more than the 10"):
        write("eleven", "x" * 11)
    (space / "big").write_text("x" * 11)
    with pytest.raises(ToolError, match="larger than the 10 bytes"):
        read("big")


def test_what_is_not_text_is_said_so(space: Path) -> None:
    (space / "data").write_bytes(b"\xff\xfe\x00")
    read, write, entries = tools(space)
    with pytest.raises(ToolError, match="not a text file"):
        read("data")
    with pytest.raises(ToolError, match="There is no nowhere"):
        read("nowhere.txt")
    with pytest.raises(ToolError, match="not a folder"):
        read("notes/plan.md/deeper")
    write("empty", "")
    assert read("empty") == "(the file is empty)"
    (space / "bare").mkdir()
    assert entries("bare") == "(the folder is empty)"


def test_a_long_folder_is_listed_in_part(space: Path) -> None:
    for number in range(205):
        (space / "notes" / f"{number:03}").touch()
    listed = tools(space)[2]("notes").splitlines()
    assert len(listed) == 201
    assert listed[-1] == "(and 6 more)"


def test_a_write_that_fails_leaves_the_file(space: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(ToolError, match="No space left on device"):
        Folder(space, 100).write("notes/plan.md", b"another")
    assert [p.name for p in (space / "notes").iterdir()] == ["plan.md"]
    assert (space / "notes" / "plan.md").read_text() == "a plan"


def test_a_file_keeps_its_mode(space: Path) -> None:
    (space / "notes" / "plan.md").chmod(0o640)
    tools(space)[1]("notes/plan.md", "another")
    assert (space / "notes" / "plan.md").stat().st_mode & 0o777 == 0o640
