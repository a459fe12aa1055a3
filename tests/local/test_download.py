import errno
import hashlib
import multiprocessing
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from agentinfer.errors import LocalModelError, UserError
from agentinfer.local import HubSource, PullProgress, model_status, pull
from agentinfer.local._sink import Sink

from .conftest import CONTENT, Hub, entry_for

ENTRY = entry_for(HubSource("owner/name", "tiny.gguf"))


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def test_a_file_is_fetched_and_reported(hub: Hub, tmp_path: Path) -> None:
    steps: list[PullProgress] = []
    path = pull(ENTRY, directory=tmp_path, progress=steps.append)
    assert path.read_bytes() == CONTENT
    assert hub.paths == ["/owner/name/resolve/main/tiny.gguf"]
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert steps[-1] == PullProgress(len(CONTENT), len(CONTENT), "checking")
    assert model_status(ENTRY, directory=tmp_path).state == "installed"
    assert not (tmp_path / "tiny.gguf.partial").exists()


def test_a_file_that_is_there_is_verified_and_not_fetched(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf").write_bytes(CONTENT)
    assert pull(ENTRY, directory=tmp_path).read_bytes() == CONTENT
    assert hub.asked == []


@pytest.mark.parametrize("wrong", [b"short", CONTENT[::-1]], ids=["size", "bytes"])
def test_a_wrong_file_that_is_there_is_replaced(hub: Hub, tmp_path: Path, wrong: bytes) -> None:
    (tmp_path / "tiny.gguf").write_bytes(wrong)
    assert pull(ENTRY, directory=tmp_path).read_bytes() == CONTENT
    assert hub.asked == [None]


def test_a_cut_connection_is_taken_up_where_it_broke(hub: Hub, tmp_path: Path) -> None:
    hub.cuts = [50_000, 1_000]
    assert pull(ENTRY, directory=tmp_path).read_bytes() == CONTENT
    assert hub.asked == [None, "bytes=50000-", "bytes=51000-"]


def test_a_partial_file_of_an_earlier_pull_is_continued(hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "tiny.gguf.partial").write_bytes(CONTENT[:120_000])
    assert model_status(ENTRY, directory=tmp_path).state == "partial"
    assert pull(ENTRY, directory=tmp_path).read_bytes() == CONTENT
    assert hub.asked == ["bytes=120000-"]


def test_a_hub_without_ranges_starts_over(hub: Hub, tmp_path: Path) -> None:
    hub.ranges = False
    (tmp_path / "tiny.gguf.partial").write_bytes(CONTENT[:120_000])
    assert pull(ENTRY, directory=tmp_path).read_bytes() == CONTENT
    assert hub.asked == ["bytes=120000-"]


def test_a_hub_that_sends_nothing_is_given_up_and_the_partial_kept(hub: Hub, tmp_path: Path) -> None:
    hub.cuts = [50_000, 0, 0, 0]
    with pytest.raises(LocalModelError, match="cannot fetch tiny"):
        pull(ENTRY, directory=tmp_path)
    assert (tmp_path / "tiny.gguf.partial").read_bytes() == CONTENT[:50_000]


def test_a_wrong_checksum_is_removed_and_said(hub: Hub, tmp_path: Path) -> None:
    hub.content = CONTENT[::-1]
    with pytest.raises(LocalModelError, match="another checksum"):
        pull(ENTRY, directory=tmp_path)
    assert not (tmp_path / "tiny.gguf.partial").exists()
    assert model_status(ENTRY, directory=tmp_path).state == "missing"


@pytest.mark.parametrize("content", [CONTENT + b"more", CONTENT[:-4]], ids=["longer", "shorter"])
def test_a_file_of_another_size_is_refused(hub: Hub, tmp_path: Path, content: bytes) -> None:
    hub.content = content
    with pytest.raises(LocalModelError, match="cannot fetch tiny"):
        pull(ENTRY, directory=tmp_path)
    assert not (tmp_path / "tiny.gguf").exists()


def test_a_refusal_is_said_with_its_status(hub: Hub, tmp_path: Path) -> None:
    hub.status = 404
    with pytest.raises(LocalModelError, match="answered 404"):
        pull(ENTRY, directory=tmp_path)
    assert len(hub.asked) == 1


def test_offline_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    with pytest.raises(LocalModelError) as caught:
        pull(ENTRY, directory=tmp_path)
    for advice in ("HF_ENDPOINT", "PIP_INDEX_URL", str(tmp_path / "tiny.gguf")):
        assert advice in str(caught.value)


def test_a_small_disk_is_refused_before_anything_is_fetched(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1, 1, 100_000))
    with pytest.raises(LocalModelError, match="not enough disk space"):
        pull(ENTRY, directory=tmp_path)
    assert hub.asked == []


def test_a_disk_that_fills_up_keeps_the_partial(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub.cuts = [50_000]
    write = Sink.write

    def full(sink: Sink, data: bytes) -> None:
        if sink.done >= 50_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(sink, data)

    monkeypatch.setattr(Sink, "write", full)
    with pytest.raises(LocalModelError, match="the disk is full"):
        pull(ENTRY, directory=tmp_path)
    assert (tmp_path / "tiny.gguf.partial").read_bytes() == CONTENT[:50_000]


def test_an_interrupt_keeps_the_partial(hub: Hub, tmp_path: Path) -> None:
    hub.cuts = [50_000]

    def interrupt(step: PullProgress) -> None:
        if step.done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(ENTRY, directory=tmp_path, progress=interrupt)
    # A chunk ends wherever the kernel cut the stream, so what was kept is asked of the file.
    kept = (tmp_path / "tiny.gguf.partial").read_bytes()
    assert kept
    assert CONTENT.startswith(kept)
    assert pull(ENTRY, directory=tmp_path).read_bytes() == CONTENT
    assert hub.asked == [None, f"bytes={len(kept)}-"]


def test_a_directory_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(LocalModelError, match="cannot write"):
        pull(ENTRY, directory=tmp_path / "file" / "models")


def test_an_unknown_name_lists_the_known(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"qwen2\.5-coder-0\.5b-instruct"):
        pull("nope", directory=tmp_path)


def _pull_in_process(directory: Path) -> None:
    pull(ENTRY, directory=directory)


def test_two_processes_fetch_once(hub: Hub, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    both = [context.Process(target=_pull_in_process, args=(tmp_path,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(30)
    assert [process.exitcode for process in both] == [0, 0]
    assert hub.asked == [None]
    assert hashlib.sha256((tmp_path / "tiny.gguf").read_bytes()).hexdigest() == ENTRY.sha256


def test_names_do_not_depend_on_case(tmp_path: Path) -> None:
    status: Callable[[str], str] = lambda name: model_status(name, directory=tmp_path).entry.name  # noqa: E731
    assert status("Qwen2.5-Coder-0.5B-Instruct") == "qwen2.5-coder-0.5b-instruct"
