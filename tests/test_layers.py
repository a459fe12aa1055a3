"""Lower layers never import higher ones, and importing the library is cheap."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import agentinfer

ROOT = Path(agentinfer.__file__).parent
LAYERS = [
    {"_version", "errors", "usage", "_threads", "_json", "transcript", "tokens", "output"},
    {"tools"},
    {"protocol"},
    {"models"},
    {"ledger"},
    {"limits", "repeats", "events"},
    {"calls", "background"},
    {"step"},
    {"run"},
    {"result"},
    {"sessions", "_act", "_words", "_stream"},
    {"_steps", "_bind"},
    {"_loop"},
    {"agent"},
]
HEIGHT = {name: height for height, names in enumerate(LAYERS) for name in names}
APART = {"corpus", "local"}
"""Usable alone: they know of errors only, and every layer may use them."""


def imports(tree: ast.AST) -> Iterator[str]:
    """The modules of this library that code imports when it runs."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            for other in node.orelse:
                yield from imports(other)
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "agentinfer")
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            if node.module == "agentinfer":
                yield from (f"agentinfer.{alias.name}" for alias in node.names)
            elif node.module and node.module.startswith("agentinfer."):
                yield node.module
        yield from imports(node)


def unit_of(module: str) -> str:
    """The layer's name: the first part below the package."""
    return module.split(".")[1]


FILES = sorted(path for path in ROOT.rglob("*.py") if path.name != "__init__.py" or path.parent != ROOT)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_layers(path: Path) -> None:
    unit = path.relative_to(ROOT).parts[0].removesuffix(".py")
    used = {unit_of(module) for module in imports(ast.parse(path.read_text()))} - {unit}
    if unit in APART:
        assert used <= {"errors"}
    elif unit in HEIGHT:
        wrong = {name for name in used if HEIGHT.get(name, 99) > HEIGHT[unit]} - APART
        assert not wrong, f"{unit} imports {sorted(wrong)}, which stand above it"


def test_every_layer_is_there() -> None:
    there = {path.stem for path in ROOT.glob("*.py")} | {path.name for path in ROOT.iterdir() if path.is_dir()}
    assert set(HEIGHT) | APART <= there


def test_importing_loads_nothing_heavy() -> None:
    heavy = ["openai", "httpx", "tiktoken", "httptools", "json_repair", "numpy"]
    program = f"import sys, agentinfer; print([name for name in {heavy} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert ended.stdout == "[]\n"


def order(name: str) -> tuple[int, str]:
    """Constants, classes, functions: as ruff sorts them."""
    plain = name.lstrip("_")
    kind = 0 if plain.isupper() and len(plain) > 1 else 1 if plain[:1].isupper() else 2
    return kind, name


def test_the_public_names() -> None:
    names = list(agentinfer.__all__)
    assert names == sorted(names, key=order)
    assert len(names) == len(set(names))
    assert all(hasattr(agentinfer, name) for name in names)
    scope: dict[str, object] = {}
    exec("from agentinfer import *", scope)
    assert set(names) == set(scope) - {"__builtins__"}
    tree = ast.parse((ROOT / "__init__.py").read_text())
    typed = next(node for node in tree.body if isinstance(node, ast.If))
    imported = {alias.name for node in typed.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    assert imported | {"__version__"} == set(names), "what type checkers see is what is there"
