"""A run, shown as it happens."""

import json
import sys
import time
from typing import TextIO

from agentinfer import events
from agentinfer.events import Event
from agentinfer.result import RunResult
from agentinfer.usage import Usage

__all__ = ["LiveView", "summary"]

WIDTH = 100
"""Characters of one line."""


class LiveView:
    """Prints a run's events as lines; on a terminal, with a line that counts while the model writes.

    Args:
        out: Where to print; standard error unless given.
    """

    def __init__(self, out: TextIO | None = None) -> None:
        self._out = out or sys.stderr
        self._terminal = self._out.isatty()
        self._started = time.monotonic()
        self._pieces = 0
        self._step = 0
        self.result: RunResult[object] | None = None
        """The result, once the run is over, however it ended."""

    def __call__(self, event: Event) -> None:  # noqa: C901 - one flat table of events
        """Show one event."""
        match event:
            case events.RunStarted():
                self._started = time.monotonic()
            case events.StepStarted():
                self._step = event.step
                self._status("thinking")
            case events.ModelDelta():
                self._pieces += 1
                self._status(f"writing ({self._pieces} pieces)")
            case events.AttemptDiscarded():
                self._line(f"reply broke off, asking again: {event.error}", dim=True)
            case events.ToolStarted():
                self._status(f"running {event.call.name}")
            case events.ToolFinished():
                self._line(f"{event.call.name} {_arguments(event.call.arguments)}")
                self._line(f"  {_first_words(event)}", dim=True)
            case events.StepFinished():
                self._pieces = 0
                if event.calls and event.text.strip():
                    self._line(f"  thought: {' '.join(event.text.split())}", dim=True)
            case events.LimitReached() if event.answer_kept:
                self._line(f"limit of {event.limit} is near: asking for the answer", dim=True)
            case events.Nudged() | events.Forced():
                self._line(f"{event.kind.lower()}: {event.reason}", dim=True)
            case Event(kind="RunRepeats"):  # by agentinfer.sam, which is not imported here
                self._line("the last actions were made before, in the same order", dim=True)
            case events.PluginFailed():
                self._line(f"plug-in {event.plugin} failed in {event.where}: {event.error}", dim=True)
            case events.RunFinished():
                self._clear()
                self.result = event.result

    def _line(self, text: str, *, dim: bool = False) -> None:
        self._clear()
        text = f"{self._step:>3}  {text}"
        text = text if len(text) <= WIDTH else text[: WIDTH - 1] + "…"
        clock = f"{time.monotonic() - self._started:7.1f}s"
        line = f"{text:<{WIDTH}} {clock}" if not dim else text
        print(f"\033[2m{line}\033[0m" if dim and self._terminal else line, file=self._out, flush=True)

    def _status(self, text: str) -> None:
        if self._terminal:
            seconds = time.monotonic() - self._started
            print(f"\r\033[K{self._step:>3}  {text} … {seconds:.0f}s", end="", file=self._out, flush=True)

    def _clear(self) -> None:
        if self._terminal:
            print("\r\033[K", end="", file=self._out)


def summary(result: RunResult[object]) -> str:
    """What a run took, in one line."""
    steps = len(result.steps)
    calls = sum(len(step.results) for step in result.steps)
    parts = [f"{steps} step{'s' * (steps != 1)}", f"{calls} tool call{'s' * (calls != 1)}", _tokens(result.usage)]
    if result.cost is not None and result.cost > 0:
        parts.append(f"cost {result.cost:.4f}")
    parts.append(f"{result.seconds:.1f} s")
    if result.stop_reason != "answered":
        parts.append(f"stopped: {result.stop_reason}")
    return " · ".join(parts)


def _tokens(usage: Usage) -> str:
    cached = f" ({usage.cached_tokens:,} cached)" if usage.cached_tokens is not None else ""
    about = "about " if usage.estimated_calls else ""
    return f"{about}{usage.prompt_tokens:,} tokens in{cached}, {usage.completion_tokens:,} out"


def _arguments(arguments: str) -> str:
    """The arguments of a call, as short as they can be told."""
    try:
        values = json.loads(arguments)
    except ValueError:
        return arguments
    if isinstance(values, dict):
        return ", ".join(json.dumps(value, ensure_ascii=False) for value in values.values())
    return arguments


def _first_words(event: events.ToolFinished) -> str:
    """What a tool said: the first line of each of its paragraphs; of search results those with an id and a title."""
    lines = [paragraph.strip().splitlines()[0] for paragraph in event.content.split("\n\n") if paragraph.strip()]
    said = " · ".join([line for line in lines if line.startswith("[")] or lines) or "(nothing)"
    return said if event.outcome == "ok" else f"{event.outcome}: {said}"
