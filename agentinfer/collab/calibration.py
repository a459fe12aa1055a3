"""How far a model's verdicts on its progress can be believed: verdicts beside what came after them.

```python
print(render(calibrate(load_trajectories("results/collab"))))
```

A verdict is right where its run gained something soon after a yes, or nothing after a no. A run gains in a step that
shows one of the question's supporting documents for the first time; where none are known, anything new; and at its end,
where it is solved.
"""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentinfer.errors import UserError

__all__ = ["HORIZON", "Calibration", "Judged", "calibrate", "judged_in", "load_trajectories", "render"]

HORIZON = 2
"""Steps in which something has to be gained after a verdict, the judged one included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One verdict, and what came after."""

    model: str
    said: str
    """`yes`, `no` or `missing`."""
    vetoes: tuple[str, ...]
    gained: bool
    solved: bool | None
    """Whether the run was solved, where that is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """What one verdict of one model was worth."""

    model: str
    said: str
    count: int
    gained: int
    """How often something was gained soon after."""
    solved: int
    """How often the run was solved in the end."""
    overruled: int
    """How often facts spoke against it."""
    overruled_gained: int
    """And something was gained all the same."""

    @property
    def wrong(self) -> int | None:
        """How often the verdict was wrong; a missing one cannot be."""
        if self.said == "missing":
            return None
        return self.count - self.gained if self.said == "yes" else self.gained


def judged_in(trajectory: Mapping[str, Any], *, horizon: int = HORIZON) -> Iterator[Judged]:
    """The verdicts of a run, given its trajectory as `agentinfer eval` keeps it."""
    events = [event for event in trajectory.get("events", ()) if event.get("kind") == "ProgressJudged"]
    gains = _gains(trajectory, events)
    solved = (trajectory.get("record") or {}).get("solved")
    last = max((step["index"] for step in trajectory.get("step_results", ())), default=0)
    for event in events:
        soon = range(event["step"], event["step"] + horizon)
        yield Judged(
            model=event["model"],
            said=event["said"],
            vetoes=tuple(event["vetoes"]),
            gained=any(step in gains for step in soon) or (bool(solved) and last in soon),
            solved=solved,
        )


def calibrate(trajectories: Iterable[Mapping[str, Any]], *, horizon: int = HORIZON) -> list[Calibration]:
    """What the verdicts of some runs were worth, by model and verdict.

    Args:
        trajectories: The runs, as `agentinfer eval` keeps them.
        horizon: Steps in which something has to be gained.
    """
    groups: dict[tuple[str, str], list[Judged]] = {}
    for trajectory in trajectories:
        for judged in judged_in(trajectory, horizon=horizon):
            groups.setdefault((judged.model, judged.said), []).append(judged)
    return [
        Calibration(
            model=model,
            said=said,
            count=len(group),
            gained=sum(judged.gained for judged in group),
            solved=sum(bool(judged.solved) for judged in group),
            overruled=sum(bool(judged.vetoes) for judged in group),
            overruled_gained=sum(bool(judged.vetoes) and judged.gained for judged in group),
        )
        for (model, said), group in sorted(groups.items())
    ]


def render(rows: Iterable[Calibration]) -> str:
    """A table of what verdicts were worth."""
    head = ("model", "said", "verdicts", "gained after", "run solved", "wrong", "overruled", "of these gained")
    table = [head]
    for row in rows:
        wrong = "-" if row.wrong is None else _share(row.wrong, row.count)
        gained, solved = _share(row.gained, row.count), _share(row.solved, row.count)
        kept = (str(row.overruled), _share(row.overruled_gained, row.overruled))
        table.append((row.model, row.said, str(row.count), gained, solved, wrong, *kept))
    widths = [max(len(line[place]) for line in table) for place in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if place < 2 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in table
    )


def load_trajectories(directory: str | os.PathLike[str]) -> Iterator[dict[str, Any]]:
    """The trajectories of a folder of results.

    Raises:
        UserError: There are none, or one is broken.
    """
    paths = sorted((Path(directory) / "trajectories").glob("*.json"))
    if not paths:
        raise UserError(f"{directory} holds no trajectories")
    for path in paths:
        try:
            trajectory = json.loads(path.read_bytes())
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {path}: {error}") from None
        if isinstance(trajectory, dict):
            yield trajectory


def _gains(trajectory: Mapping[str, Any], events: Iterable[Mapping[str, Any]]) -> set[int]:
    """The steps in which the run gained something."""
    wanted = {_folded(title) for title in (trajectory.get("question") or {}).get("supporting_titles", ())}
    if not wanted:
        return {event["step"] for event in events if event["fresh"]}
    gains = set()
    for step in trajectory.get("step_results", ()):
        titles = {_folded(doc["title"]) for call in step["calls"] for doc in call["documents"]}
        if titles & wanted:
            gains.add(step["index"])
            wanted -= titles
    return gains


def _folded(title: str) -> str:
    return " ".join(title.casefold().split())


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else "-"
