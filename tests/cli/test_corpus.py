"""`agentinfer corpus`: build, then search."""

import json
from pathlib import Path

import pytest

from agentinfer.cli import main


def test_build_reports_what_it_skipped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source, db = tmp_path / "docs.jsonl", tmp_path / "docs.db"
    lines = [json.dumps({"id": n, "title": f"Title {n}", "text": f"Text of {n} lighthouse"}) for n in range(3)]
    source.write_text("\n".join([lines[0], "{broken", lines[1], lines[2]]), encoding="utf-8")

    assert main(["corpus", "build", str(source), "--out", str(db)]) == 0

    err = capsys.readouterr().err
    assert "docs.jsonl:2" in err
    assert "3 documents" in err
    assert "1 skipped" in err


def test_what_was_built_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "sea.md").write_text("# The lighthouse\n\nIt stands on the cape.", encoding="utf-8")
    for number in range(10):
        (folder / f"other{number}.txt").write_text(f"Something else, number {number}.", encoding="utf-8")
    db = str(tmp_path / "notes.db")
    main(["corpus", "build", str(folder), "--out", db])
    capsys.readouterr()

    assert main(["corpus", "search", db, "lighthouse", "--json"]) == 0

    hit = json.loads(capsys.readouterr().out.splitlines()[0])
    assert (hit["id"], hit["title"]) == ("sea.md", "The lighthouse")


def test_finding_nothing_is_exit_code_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.txt").write_text("one", encoding="utf-8")
    db = str(tmp_path / "a.db")
    main(["corpus", "build", str(tmp_path / "a.txt"), "--out", db])

    assert main(["corpus", "search", db, "zebra"]) == 1

    assert "nothing found" in capsys.readouterr().err
