import errno
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import agentinfer.errors
from agentinfer.corpus import BuildReport, Corpus, Document, Skip, build
from agentinfer.corpus import _build as module
from agentinfer.errors import CorpusError

ROOT = Path(agentinfer.errors.__file__).parents[1]


def numbered(count: int, text: str = "some words") -> Iterator[Document]:
    return (Document(str(i), f"Title {i}", f"{text} {i}") for i in range(count))


async def titles(path: Path, query: str) -> list[str]:
    async with Corpus(path) as corpus:
        return [hit.title for hit in await corpus.search(query)]


async def test_report_progress_and_result(tmp_path: Path) -> None:
    out = tmp_path / "a.db"
    steps: list[int] = []
    report = build(numbered(1_200), out, progress=steps.append)
    assert isinstance(report, BuildReport)
    assert (report.documents, report.skipped) == (1_200, 0)
    assert report.seconds > 0
    assert steps == [500, 1_000, 1_200]
    assert await titles(out, "1199") == ["Title 1199"]
    assert os.listdir(tmp_path) == ["a.db"]


async def test_a_later_document_with_the_same_id_is_reported(tmp_path: Path) -> None:
    skips: list[Skip] = []
    documents = [Document("1", "first", "word"), Document("1", "second", "word"), Document("2", "third", "word")]
    report = build(documents, tmp_path / "a.db", on_skip=skips.append)
    assert (report.documents, report.skipped) == (2, 1)
    assert str(skips[0]) == "1: an earlier document has this id"
    assert sorted(await titles(tmp_path / "a.db", "word")) == ["first", "third"]


async def test_from_a_path(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"id": 1, "title": "T", "text": "word"}\nbroken\n')
    report = build(tmp_path / "a.jsonl", tmp_path / "a.db")
    assert (report.documents, report.skipped) == (1, 1)
    assert await titles(tmp_path / "a.db", "word") == ["T"]


def test_nothing_to_index(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no documents"):
        build([], tmp_path / "a.db")
    assert os.listdir(tmp_path) == []


def test_characters_that_are_none_are_replaced(tmp_path: Path) -> None:
    build([Document("\ud800", "\ud83d\ude00", "a\udfff")], tmp_path / "a.db")
    with sqlite3.connect(tmp_path / "a.db") as connection:
        assert connection.execute("SELECT id, title, text FROM documents").fetchone() == ("\ufffd", "😀", "a\ufffd")
    connection.close()


async def test_a_failing_source_leaves_the_old_corpus(tmp_path: Path) -> None:
    out = tmp_path / "a.db"
    build([Document("1", "old", "word")], out)
    before = out.read_bytes()

    def failing(error: BaseException) -> Iterator[Document]:
        yield from numbered(700)
        raise error

    for error in (KeyboardInterrupt(), RuntimeError("mine"), OSError("mine too"), sqlite3.Error("and this")):
        with pytest.raises(type(error)) as raised:
            build(failing(error), out)
        assert raised.value is error
    assert out.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.db"]
    assert await titles(out, "word") == ["old"]


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_ctrl_c_leaves_the_old_corpus_and_no_other_file(tmp_path: Path) -> None:
    out = tmp_path / "a.db"
    build([Document("1", "old", "word")], out)
    before = out.read_bytes()
    program = (
        "import itertools, sys\nfrom agentinfer.corpus import Document, build\n"
        "endless = (Document(str(i), 't', 'some words ' * 50) for i in itertools.count())\n"
        "build(endless, sys.argv[1], progress=lambda n: print(n, flush=True))\n"
    )
    command = [sys.executable, "-c", program, str(out)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"500\n"
        assert len(os.listdir(tmp_path)) == 2
        process.send_signal(signal.SIGINT)
        assert b"KeyboardInterrupt" in process.stderr.read()
    assert process.returncode != 0
    assert out.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.db"]


def test_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "a.db"
    build([Document("1", "old", "word")], out)
    before = out.read_bytes()

    def small(path: Path) -> sqlite3.Connection:
        connection = sqlite3.connect(path, isolation_level=None)
        connection.execute("PRAGMA max_page_count = 30")
        return connection

    monkeypatch.setattr(module, "_connect", small)
    with pytest.raises(CorpusError, match=r"cannot write .*a\.db: .*full"):
        build(numbered(5_000), out)
    assert out.read_bytes() == before
    assert os.listdir(tmp_path) == ["a.db"]


def test_a_disk_that_fills_up_at_the_very_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(CorpusError, match="No space left"):
        build(numbered(1), tmp_path / "a.db")
    assert os.listdir(tmp_path) == []


def test_another_file_is_not_replaced_unless_asked(tmp_path: Path) -> None:
    out = tmp_path / "notes.txt"
    out.write_text("precious")
    with pytest.raises(CorpusError, match="is not a corpus"):
        build(numbered(1), out)
    assert out.read_text() == "precious"
    build(numbered(1), out, overwrite=True)
    build(numbered(2), out)


def test_another_programs_database_is_not_replaced(tmp_path: Path) -> None:
    out = tmp_path / "app.db"
    connection = sqlite3.connect(out)
    connection.execute("CREATE TABLE t (x)")
    connection.close()
    with pytest.raises(CorpusError, match="is not a corpus"):
        build(numbered(1), out)


def test_the_source_is_never_its_own_target(tmp_path: Path) -> None:
    source = tmp_path / "a.jsonl"
    source.write_text('{"text": "word"}')
    with pytest.raises(CorpusError, match="is the source itself"):
        build(source, source, overwrite=True)


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="is a folder"):
        build(numbered(1), tmp_path)
    with pytest.raises(CorpusError, match="does not exist"):
        build(numbered(1), tmp_path / "none" / "a.db")


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_a_link_keeps_pointing_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link.db").symlink_to(tmp_path / "real" / "a.db")
    build(numbered(1), tmp_path / "link.db")
    assert (tmp_path / "link.db").is_symlink()
    assert os.listdir(tmp_path / "real") == ["a.db"]
