"""What README.md and docs/ say can be done: their code runs, their commands parse, and nothing public is left out."""

import argparse
import dataclasses
import importlib
import inspect
import pkgutil
import re
import shlex
import tomllib
from pathlib import Path
from typing import get_args

import pytest
from _docs import PAGES, ROOT, Block, blocks_of, commands_of, run_page

import agentinfer.errors
import agentinfer.testing
from agentinfer import Limits, Profile, StopReason, Timeouts
from agentinfer.cli import _parser
from agentinfer.config import ModelConfig
from agentinfer.protocol import PROTOCOLS
from agentinfer.tools import Outcome

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
LANGUAGES = {"", "css", "html", "http", "json", "jsonl", "python", "sh", "text", "toml", "yaml"}
NOT_RUN: dict[str, int] = {"sam.md": 1, "servers.md": 1}
"""How many blocks of a page are marked as not run."""

names = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@pytest.mark.timeout(180)
@names
def test_the_code_of_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "AGENTINFER_MODEL"):
        monkeypatch.delenv(name, raising=False)
    run_page(page, tmp_path, monkeypatch)


@names
def test_no_block_escapes(page: Path) -> None:
    """A block in a language that is not known here, or in a form that is not seen, would never run."""
    blocks = list(blocks_of(page))
    assert {block.language for block in blocks} <= LANGUAGES, "write python for Python, text for what is no language"
    assert all(set(block.fence) == {"`"} for block in blocks)
    text = page.read_text(encoding="utf-8")
    assert len(re.findall(r"^\s*`{3,}\s*\w*[pP]y", text, re.MULTILINE)) == sum(b.language == "python" for b in blocks)
    assert sum(block.not_run is not None for block in blocks) == NOT_RUN.get(page.name, 0)


ASK = """import httpx
body = {"messages": []}
httpx.post("http://127.0.0.1:8080/v1/chat/completions", json=body)
"""


@pytest.mark.parametrize(
    "text",
    [
        "```python\n1 / 0\n```",
        "- in a list:\n\n    ```python\n    1 / 0\n    ```",
        "```python\nasync def f(): 1 / 0\nawait f()\n```",
        "```python\nprint(2)  # 3\n```",
        "```python\ndef test_it(): assert False\n```",
        '```python title="test_it.py"\ndef test_it(): assert False\n```',
        f"```python\n{ASK}```",
        f'<!-- endpoint: say("a"), say("b") -->\n\n```python\n{ASK}```',
    ],
)
def test_what_is_wrong_in_a_page_is_found(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# A page\n\n{text}\n")
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises((AssertionError, ZeroDivisionError, IndexError)):
        run_page(page, folder, monkeypatch)


# Commands

COMMANDS = [(block, words) for block in BLOCKS if block.language == "sh" for words in commands_of(block)]


@pytest.mark.parametrize(("block", "words"), COMMANDS, ids=lambda value: getattr(value, "where", None))
def test_a_command_can_be_given(block: Block, words: list[str]) -> None:
    while re.match(r"[A-Z_]+=", words[0]):
        words = words[1:]
    if words[0] == "agentinfer":
        code: object = 0
        try:
            _parser().parse_args(words[1:])
        except SystemExit as left:  # --help and --version leave with 0
            code = left.code
        assert code == 0, f"{block.where}: {shlex.join(words)}"
    elif words[0].startswith("./"):
        path = ROOT / words[0]
        assert path.is_file(), block.where
        assert path.stat().st_mode & 0o100, block.where


def subcommands(parser: argparse.ArgumentParser, name: str = "agentinfer") -> dict[str, argparse.ArgumentParser]:
    """Every command, its name and its parser."""
    found = {name: parser}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner, child in action.choices.items():
                found |= subcommands(child, f"{name} {inner}")
    return found


PARSERS = subcommands(_parser())


def test_commands_within_a_line_exist() -> None:
    """As in `agentinfer eval --limit 3`: the command and the options; words in capitals stand for something."""
    for page in PAGES:
        for code in re.findall(r"`(agentinfer [a-z][^`]*)`", page.read_text(encoding="utf-8")):
            words = shlex.split(code)
            name = max((n for n in PARSERS if f"{code} ".startswith(f"{n} ")), key=len)
            assert name != "agentinfer", f"{page.name}: {code}"
            options = [word.split("=")[0] for word in words if word.startswith("-")]
            assert set(options) <= set(PARSERS[name]._option_string_actions), f"{page.name}: {code}"


def section(text: str, heading: str) -> str:
    """What stands below a heading, up to the next one."""
    return text.split(f" {heading}\n", 1)[1].split("\n#", 1)[0]


@pytest.mark.parametrize("name", [name for name, parser in PARSERS.items() if parser.get_default("command")])
def test_every_option_is_documented(name: str) -> None:
    text = (ROOT / "docs/command-line.md").read_text(encoding="utf-8")
    told = section(text, name)
    if "--profile" in PARSERS[name]._option_string_actions:
        told += section(text, "The model and the limits")
    options = {option for option in PARSERS[name]._option_string_actions if option.startswith("--")} - {"--help"}
    assert options == set(re.findall(r"`(--[a-z-]+)", told)) & options


def test_extras_exist() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for extras in re.findall(r"(?:agentinfer|'\.)\[([a-z,]+)\]", text):
            assert set(extras.split(",")) <= set(project["optional-dependencies"]), f"{page.name}: [{extras}]"


# What is left out

LISTS = [
    ("endpoints.md", [field.name for field in dataclasses.fields(Profile) if field.name != "name"]),
    ("endpoints.md", [field.name for field in dataclasses.fields(Timeouts)]),
    ("endpoints.md", list(PROTOCOLS)),
    ("evaluation.md", [name for name in ModelConfig.model_fields if name not in ("name", "local")]),
    ("limits-and-errors.md", [field.name for field in dataclasses.fields(Limits)]),
    ("limits-and-errors.md", list(get_args(StopReason))),
    ("testing.md", [name for name in agentinfer.testing.__all__ if name[0].islower() and "_" not in name]),
    ("tools.md", list(get_args(Outcome))),
]


@pytest.mark.parametrize(("page", "members"), LISTS)
def test_tables_are_complete(page: str, members: list[str]) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    assert not [name for name in members if not re.search(rf"`{name}\b", text)]


def test_the_tree_of_errors_is_the_docstring_of_the_module() -> None:
    tree = inspect.cleandoc(agentinfer.errors.__doc__ or "").split("```")[1].strip()
    assert tree in (ROOT / "docs/limits-and-errors.md").read_text(encoding="utf-8")


# Links and the reference


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md"])
def test_links_lead_to_files(name: str) -> None:
    """The links of pages in docs/ are checked when the site is built."""
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", (ROOT / name).read_text(encoding="utf-8"))
    assert not [t for t in targets if not t.startswith(("http://", "https://")) and not (ROOT / t).exists()]


REFERENCE = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "docs/reference").glob("*.md"))
DOCUMENTED = set(re.findall(r"^::: (agentinfer[\w.]*)", REFERENCE, re.MULTILINE))
PUBLIC = [
    info.name
    for info in pkgutil.iter_modules(agentinfer.__path__)
    if not info.name.startswith("_") and info.name not in ("cli", "output")
]


@pytest.mark.parametrize("name", PUBLIC)
def test_the_reference_holds_every_public_module(name: str) -> None:
    module = importlib.import_module(f"agentinfer.{name}")
    if module.__name__ not in DOCUMENTED:
        missing = [one for one in module.__all__ if not {f"{module.__name__}.{one}", f"agentinfer.{one}"} & DOCUMENTED]
        assert not missing, f"not in docs/reference: {missing}"
