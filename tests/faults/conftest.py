"""The endpoint that all runs share, and the figures at the end."""

import statistics
from collections import Counter
from collections.abc import Iterator

import pytest

from ._endpoint import serving
from ._scenario import KINDS, Played

_PLAYED: list[Played] = []
_FIGURES: list[str] = []


@pytest.fixture(scope="session")
def urls() -> Iterator[dict[str, str]]:
    """The endpoint's base URLs, by protocol."""
    with serving() as urls:
        yield urls


@pytest.fixture(scope="session")
def played() -> list[Played]:
    """What was played."""
    return _PLAYED


@pytest.fixture(scope="session")
def figures() -> list[str]:
    """Lines to show at the end."""
    return _FIGURES


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """How the runs ended, by fault."""
    for line in _FIGURES:
        terminalreporter.write_line(line)
    if len(_PLAYED) < 100:
        return
    terminalreporter.section("runs under faults")
    endings = sorted({one.ending for one in _PLAYED}, key=lambda ending: (ending != "answered", ending))
    terminalreporter.write_line("| fault | runs | struck | " + " | ".join(endings) + " | median s | longest s |")
    terminalreporter.write_line("|---|" + "--:|" * (len(endings) + 4))
    for kind in [*KINDS, "all"]:
        runs = [one for one in _PLAYED if kind in (one.scenario.kind, "all")]
        counts = Counter(one.ending for one in runs)
        seconds = sorted(one.seconds for one in runs)
        figures = [len(runs), f"{sum(one.struck for one in runs)}/{sum(one.exchanges for one in runs)}"]
        figures += [counts[ending] for ending in endings]
        figures += [f"{statistics.median(seconds):.2f}", f"{seconds[-1]:.2f}"]
        terminalreporter.write_line(f"| {kind} | " + " | ".join(map(str, figures)) + " |")
