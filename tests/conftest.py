"""What every test runs under."""

import signal
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings

from agentinfer.events import Event, PrefixBreak
from agentinfer.run import Run

# The prefix check below is a fixture of every test, also of those that hypothesis runs many times over.
settings.register_profile("agentinfer", deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
settings.load_profile("agentinfer")

# A shell has what it starts in the background ignore Ctrl-C, and whatever that starts in turn: tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def every_prefix_break_has_a_cause(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fails a test in which a run lost a prefix and nobody said why, unless it is marked `unnamed_break`."""
    unnamed: list[PrefixBreak] = []
    emit = Run.emit

    def watched(run: Run, event: Event) -> None:
        if isinstance(event, PrefixBreak) and not event.cause:
            unnamed.append(event)
        emit(run, event)

    monkeypatch.setattr(Run, "emit", watched)
    yield
    if request.node.get_closest_marker("unnamed_break") is None:
        assert not unnamed, f"prefix breaks without a cause: {unnamed}"
