"""The code blocks of README.md and docs/*.md, and how they are run.

A page's `python` blocks run from top to bottom in one namespace, in an empty folder. What a page may rely on:

- `http://127.0.0.1:8080/v1` is an endpoint that answers what the comment above a block says:
  `<!-- endpoint: call("capital", country="Laos"), say("Vientiane") -->`. No more and no fewer requests may come.
- A block with a title (```` ```toml title="agent.toml" ````) is also written to a file of that name. Files named
  `test_*.py` are run by pytest at the end; functions named `test_*` in blocks without a title are called.
- What `print(...)  # text` says is printed, is.
- `export NAME=value` in a `sh` block sets the variable. `await` may stand outside of a function.
- `<!-- not run: why -->` above a block leaves it out; `NOT_RUN` in `test_docs.py` counts those.
"""

import ast
import asyncio
import contextlib
import inspect
import io
import re
import shlex
import subprocess
import sys
import textwrap
import types
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from anyio.from_thread import start_blocking_portal

import agentinfer.testing
from agentinfer.testing import LoopbackServer

__all__ = ["ADDRESS", "PAGES", "ROOT", "Block", "blocks_of", "commands_of", "run_page"]

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ADDRESS = "http://127.0.0.1:8080/v1"

_FENCE = re.compile(r"^(?P<indent> *)(?P<fence>`{3,}|~{3,})(?P<info>.*)$")
_COMMENT = re.compile(r"<!-- (endpoint|not run): (.*?) -->\s*\Z", re.DOTALL)
_PRINTS = re.compile(r"^ *(?:print\(.*)?\)  # (.+)$", re.MULTILINE)
_TITLE = re.compile(r'title="([^"]+)"')


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One code block."""

    page: Path
    line: int
    """The number of its first line, counted from 1."""
    fence: str
    language: str
    title: str | None
    text: str
    endpoint: str | None
    """What the endpoint answers meanwhile."""
    not_run: str | None
    """Why it is left out."""

    @property
    def where(self) -> str:
        return f"{self.page.name}:{self.line}"


def blocks_of(page: Path) -> Iterator[Block]:
    """All code blocks of a page."""
    lines = page.read_text(encoding="utf-8").split("\n")
    number, before = 0, 0
    while number < len(lines):
        found = _FENCE.match(lines[number])
        number += 1
        if not found:
            continue
        start = number
        while lines[number].strip() != found["fence"]:
            number += 1
        comment = _COMMENT.search("\n".join(lines[before : start - 1]))
        kind, said = comment.groups() if comment else (None, "")
        title = _TITLE.search(found["info"])
        yield Block(
            page=page,
            line=start + 1,
            fence=found["fence"],
            language=found["info"].split()[0] if found["info"].strip() else "",
            title=title[1] if title else None,
            text=textwrap.dedent("\n".join(lines[start:number]) + "\n"),
            endpoint=said if kind == "endpoint" else None,
            not_run=said if kind == "not run" else None,
        )
        number += 1
        before = number


def run_page(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Run a page's blocks; the names that they made."""
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    module = types.ModuleType(f"docs_{page.stem.replace('-', '_')}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    blocks = list(blocks_of(page))
    steps: deque[Any] = deque()
    with ExitStack() as stack:
        address = ADDRESS
        if any(ADDRESS in block.text for block in blocks):
            portal = stack.enter_context(start_blocking_portal())
            server = LoopbackServer(handler=lambda _: steps.popleft(), models=("my-model",))
            stack.enter_context(portal.wrap_async_context_manager(server))
            address = server.base_url
        runner = stack.enter_context(asyncio.Runner())
        for block in blocks:
            text = block.text.replace(ADDRESS, address)
            if block.endpoint:
                steps.extend(eval(f"[{block.endpoint}]", dict(vars(agentinfer.testing))))
            if block.title:
                Path(block.title).write_text(text, encoding="utf-8")
            if block.language == "sh":
                for words in commands_of(block):
                    if words[0] == "export":
                        monkeypatch.setenv(*words[1].replace(ADDRESS, address).split("=", 1))
            elif block.language == "python" and block.not_run is None:
                _run(block, text, module, runner)
            assert not steps, f"{block.where}: the endpoint was not asked for {list(steps)}"
    if list(folder.glob("test_*.py")):
        _run_tests(folder)
    for name, other in list(sys.modules.items()):
        if str(getattr(other, "__file__", None) or "").startswith(str(folder)):
            del sys.modules[name]
    return vars(module)


def _run(block: Block, text: str, module: types.ModuleType, runner: asyncio.Runner) -> None:
    scope = vars(module)
    before = set(scope)
    padded = "\n" * (block.line - 1) + text  # so that tracebacks name the page's own lines
    code = compile(padded, str(block.page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        made = eval(code, scope)
        if inspect.iscoroutine(made):
            runner.run(made)
    lines = iter(printed.getvalue().splitlines())
    for said in _PRINTS.findall(text):
        assert said in lines, f"{block.where} does not print {said!r} but:\n{printed.getvalue()}"
    for name in [] if block.title else set(scope) - before:
        if name.startswith("test_") and callable(scope[name]):
            made = scope[name]()
            if inspect.iscoroutine(made):
                runner.run(made)


def _run_tests(folder: Path) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=150)
    assert done.returncode == 0, done.stdout + done.stderr


def commands_of(block: Block) -> Iterator[list[str]]:
    """The simple commands of a `sh` block, each as its words."""
    for line in block.text.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words: list[str] = []
        for word in [*lexer, ";"]:
            if not set(word) <= set(";&|()<>"):
                words.append(word)
            elif words:
                yield words
                words = []
