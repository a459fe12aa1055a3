"""What runs would have taken, had the machine been as fast throughout: rows are asked one after the other for an hour.

Each model has one pace over all rows: seconds per prompt token that no cache held, up to the first token of a reply,
and per token written after it. A run's seconds are those of its calls at that pace, and what it spent outside of calls.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentinfer.collab.calibration import load_trajectories
from agentinfer.evals import load_records

Trajectory = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast a model reads and writes, in seconds per token."""

    read: float
    write: float

    def seconds(self, call: Trajectory) -> float:
        """What a call takes, given the event of its end."""
        read, written = _tokens(call)
        return self.read * read + self.write * written


def paces_of(trajectories: Sequence[Trajectory]) -> dict[str, Pace]:
    """The pace of each model over all calls of some runs."""
    sums: dict[str, list[list[float]]] = defaultdict(list)
    for trajectory in trajectories:
        for call in _calls(trajectory):
            first = call["first_token_seconds"] or 0.0
            sums[call["model"]].append([first, call["seconds"] - first, *_tokens(call)])
    paces = {}
    for model, calls in sums.items():
        reading, writing, read, written = (math.fsum(column) for column in zip(*calls, strict=True))
        paces[model] = Pace(read=reading / max(read, 1), write=writing / max(written, 1))
    return paces


def seconds_at(trajectory: Trajectory, paces: Mapping[str, Pace]) -> float:
    """What a run takes at these paces."""
    calls = list(_calls(trajectory))
    outside: float = trajectory["record"]["seconds"] - math.fsum(call["seconds"] for call in calls)
    return max(0.0, outside) + math.fsum(paces[call["model"]].seconds(call) for call in calls)


def even_seconds(folders: Sequence[Path]) -> tuple[dict[str, Pace], list[dict[str, float]]]:
    """The paces over all folders, and for each folder its questions' seconds; as measured where no call is known."""
    runs = [list(load_trajectories(folder)) if (folder / "trajectories").exists() else [] for folder in folders]
    paces = paces_of([trajectory for run in runs for trajectory in run])
    seconds = []
    for folder, run in zip(folders, runs, strict=True):
        told = {record.id: record.seconds for record in load_records(folder)}
        told |= {one["record"]["id"]: seconds_at(one, paces) for one in run if one["record"]["id"] in told}
        seconds.append(told)
    return paces, seconds


def _calls(trajectory: Trajectory) -> Iterator[Trajectory]:
    return (event for event in trajectory.get("events", ()) if event.get("kind") == "ModelCallFinished")


def _tokens(call: Trajectory) -> tuple[int, int]:
    """The tokens that a call read, without those that a cache held, and those that it wrote."""
    usage = call["usage"]
    return usage["prompt_tokens"] - (usage["cached_tokens"] or 0), usage["completion_tokens"]
