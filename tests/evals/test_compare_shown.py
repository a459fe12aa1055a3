"""A comparison as text, as a page, and on the command line."""

import dataclasses
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import pytest
from _made_up import folder, made_up, record

from agentinfer.cli import main
from agentinfer.evals._compare import compare
from agentinfer.evals._compare_text import render_comparison
from agentinfer.evals._html import render_html

EVIL = "<script>alert(1)</script><img src=x onerror='alert(2)'>\" onload=\"x \x1b[31m\x00&amp;\ud800"


class Tags(HTMLParser):
    """The tags of a page and what they refer to."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()
        self.attributes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.add(tag)
        self.attributes.update(name for name, _ in attrs)
        if tag not in ("meta", "circle", "line", "path"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in ("circle", "line", "path"):
            return
        assert self.open.pop() == tag


def page_of(directories: list[Path]) -> tuple[str, Tags]:
    page = render_html(compare(directories, resamples=50))
    tags = Tags()
    tags.feed(page)
    assert not tags.open
    return page, tags


def test_a_page_with_plots(tmp_path: Path) -> None:
    runs = [folder(tmp_path / f"run {n}", made_up(n, 30, small=n / 4), large="big") for n in range(3)]
    page, tags = page_of(runs)
    plots = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(plots) == 4
    for plot in plots:
        root = ET.fromstring(plot)
        circles = root.findall("{http://www.w3.org/2000/svg}circle")
        assert len(circles) == 3
        assert all(0 <= float(circle.attrib[at]) <= 720 for circle in circles for at in ("cx", "cy"))
    assert "script" not in tags.seen
    assert not re.search(r"(src|href)=|url\(|@import", page)
    assert page.replace("http://www.w3.org/2000/svg", "").count("http") == 1  # http-equiv
    assert "run 1 against run 0" in page
    assert "By difficulty" in page


def test_what_models_say_is_inert(tmp_path: Path) -> None:
    one = [record(EVIL, question=EVIL, answers=(EVIL,), answer=EVIL, grades={EVIL: 0.0})]
    other = [dataclasses.replace(one[0], solved=True, grades={EVIL: 1.0}, models={})]
    name = "<b>&'\""
    runs = [folder(tmp_path / f"{name}{n}", records) for n, records in enumerate((one, other))]
    page, tags = page_of(runs)
    assert not tags.seen & {"script", "img", "b0"}
    assert not tags.attributes & {"onerror", "onload"}
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    page.encode()
    text = render_comparison(compare(runs, resamples=50))
    assert text.replace("\n", "").isprintable()


def test_figures_that_are_unknown_or_without_bounds(tmp_path: Path) -> None:
    bare = [record(str(n), cached_tokens=None, cost=None, models={}, steps=0, seconds=0.0) for n in range(5)]
    lucky = [record(str(n), solved=n == 0) for n in range(5)]
    page, _ = page_of([folder(tmp_path / "bare", bare), folder(tmp_path / "lucky", lucky)])
    assert "not known" in page
    assert "∞" in page
    assert "nan" not in page


def test_the_text(tmp_path: Path) -> None:
    runs = [folder(tmp_path / name, made_up(n, 40, skill=0.3 + n / 3)) for n, name in enumerate("abcd")]
    text = render_comparison(compare(runs), questions=2)
    assert text.count("exact match ") == 2 + 3  # two tables of figures, three of differences
    assert "b against a, over the 40 questions that both have answered; wider than 10% is inconclusive" in text
    assert re.search(r"won: \d+ that only b solved\n  q\d+ What is q\d+\?\n    nothing -> this \(right: ", text)
    assert re.search(r"and \d+ more", text)
    assert "documents needed" in text
    assert "tokens / solved" in text


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    runs = [str(folder(tmp_path / name, made_up(n, 20))) for n, name in enumerate("ab")]
    page = tmp_path / "page.html"
    assert main(["compare", *runs, "--html", str(page), "--seed", "3", "--resamples", "100"]) == 0
    first = page.read_bytes(), capsys.readouterr().out
    assert "(seed 3)" in first[1]
    assert main(["compare", *runs, "--html", str(page), "--seed", "3", "--resamples", "100"]) == 0
    assert first == (page.read_bytes(), capsys.readouterr().out)
    assert main(["compare", runs[0]]) == 0


def test_the_command_used_wrongly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(folder(tmp_path / "a", made_up(1, 5)))
    for wrong, told in (
        (["nowhere"], "holds no results"),
        ([run, "--resamples", "0"], "positive"),
        ([run, "--questions", "-1"], "--questions"),
        ([run, "--html", str(tmp_path)], "cannot write"),
    ):
        assert main(["compare", *wrong]) == 2
        assert told in capsys.readouterr().err
