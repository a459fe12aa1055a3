"""What became of a session beside its answers: what was spent on what, and what became of the notes."""

import dataclasses
import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from agentinfer import Usage
from agentinfer.background import Background
from agentinfer.compress import Compressed, CompressionDropped, CompressionStarted, HitsFiltered, NotesReady
from agentinfer.events import Event
from agentinfer.result import RunResult

__all__ = ["Session"]

FILE = "session.json"


@dataclass(slots=True)
class Session:
    """Sums over the runs of one session."""

    asked: list[str] = field(default_factory=list)
    """The ids of its questions, once all were asked."""
    waiting: float = 0.0
    """Seconds that the loop spent in the plug-in."""
    longest: int = 0
    """Prompt tokens of its longest step."""
    usage: dict[str, Usage] = field(default_factory=dict)
    """By purpose: `step`, and what plug-ins ask for."""
    counts: Counter[str] = field(default_factory=Counter)
    """What happened, and how often."""
    dropped: Counter[str] = field(default_factory=Counter)
    """Why compressions came to nothing."""

    def note(self, result: RunResult[Any]) -> None:
        """Count one more run."""
        self.longest = max([self.longest, *(step.usage.prompt_tokens for step in result.steps)])
        self._spend(result.run.calls.by_purpose)
        for event in result.events:
            self._count(event)

    def note_background(self, background: Background) -> None:
        """Count what was spent between and behind the runs."""
        self._spend(background.calls.by_purpose)

    def _spend(self, by_purpose: dict[str, Usage]) -> None:
        for purpose, usage in by_purpose.items():
            self.usage[purpose] = self.usage.get(purpose, Usage()) + usage

    def _count(self, event: Event) -> None:
        match event:
            case CompressionStarted():
                self.counts["begun"] += 1
            case NotesReady():
                self.counts["lines"] += event.notes
                self.counts["struck"] += len(event.struck)
            case Compressed():
                self.counts["swaps"] += 1
                self.counts["results"] += event.results
                self.counts["before"] += event.tokens_before
                self.counts["after"] += event.tokens_after
            case CompressionDropped():
                self.dropped[event.reason] += 1
            case HitsFiltered():
                self.counts["hits"] += len(event.dropped)

    def save(self, folder: Path) -> None:
        """Write it into the session's folder."""
        plain = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        plain["usage"] = {purpose: dataclasses.asdict(one) for purpose, one in self.usage.items()}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE).write_text(json.dumps(plain, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Session":
        """What was written into a folder; nothing where the session was killed."""
        try:
            data = json.loads((folder / FILE).read_text())
        except (FileNotFoundError, ValueError):
            return cls()
        usage = {purpose: Usage(**one) for purpose, one in data.pop("usage").items()}
        counts, dropped = Counter(data.pop("counts")), Counter(data.pop("dropped"))
        return cls(usage=usage, counts=counts, dropped=dropped, **data)
