"""Two models against one: what finished evaluations say of a collaboration.

    python -m benchmarks.collab --large results/large --small results/small results/collab results/router ...

For each folder: accuracy, its difference to the large model alone, seconds, the large model's share of the calls, and
the speed-up beside the ceiling that the two models' own speeds allow at that share. Intervals are those of
`agentinfer compare`: paired bootstrap over the questions that both have answered, 95 %.
"""

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from agentinfer.errors import AgentInferError
from agentinfer.evals import Duel, Record, compare, load_records, load_settings

AIM = 0.10
"""Points of accuracy that a collaboration may lose."""
CEILING = 0.80
"""The part of the possible speed-up that it is to reach."""


@dataclass(frozen=True, kw_only=True)
class Speeds:
    """Seconds of one step of each model, from the runs in which it was alone."""

    large: float
    small: float

    def ceiling(self, share: float) -> float:
        """The speed-up where the large model makes this share of as many steps, and switching is free."""
        return self.large / (share * self.large + (1 - share) * self.small)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One configuration beside the large model alone."""

    name: str
    questions: int
    solved: float
    difference: tuple[float, float, float]
    """Of accuracy: estimate, low, high."""
    seconds: float
    speed_up: tuple[float, float, float]
    share: float
    """The large model's, of all calls."""
    steps: float
    ceiling: float

    @property
    def verdict(self) -> str:
        """Whether it loses no more accuracy than aimed at."""
        _, low, high = self.difference
        if low >= -AIM:
            return "within"
        return "below" if high < -AIM else "inconclusive"

    @property
    def of_ceiling(self) -> float:
        """The part of the possible speed-up that was reached."""
        return self.speed_up[0] / self.ceiling


def rows_of(large: Path, small: Path, others: Sequence[Path], *, seed: int = 0) -> tuple[Speeds, list[Row]]:
    """The speeds of the two models, and a row for each folder; the first one is the large model's own."""
    name = _model_of(large)
    speeds = Speeds(large=_step_seconds(large), small=_step_seconds(small))
    compared = compare([large, small, *others], large=name, seed=seed)
    rows = []
    for place, run in enumerate(compared.runs):
        figures = compared.figures[place]
        solved, seconds, steps = (figures[figure] for figure in ("solved", "seconds", "steps"))
        assert solved is not None
        assert seconds is not None
        assert steps is not None
        share = _share(run.records, name)
        difference = speed_up = (0.0, 0.0, 0.0)
        if place == 0:
            speed_up = (1.0, 1.0, 1.0)
        else:
            difference, speed_up = _against(compared.duels[place - 1])
        rows.append(
            Row(
                name=run.name,
                questions=len(run.records),
                solved=solved.estimate,
                difference=difference,
                seconds=seconds.estimate,
                speed_up=speed_up,
                share=share,
                steps=steps.estimate,
                ceiling=speeds.ceiling(share),
            )
        )
    return speeds, rows


def render(speeds: Speeds, rows: Sequence[Row]) -> str:
    """The table."""
    head = ["", "questions", "solved", "difference to large", f"within {AIM:.0%}?", "seconds", "speed-up"]
    head += ["large share", "steps", "ceiling", "of ceiling"]
    table = [head]
    for number, row in enumerate(rows):
        _, low, high = row.difference
        _, slow, fast = row.speed_up
        table.append(
            [
                row.name,
                str(row.questions),
                f"{row.solved:.1%}",
                f"{row.difference[0]:+.1%} [{low:+.1%}, {high:+.1%}]" if number else "-",
                row.verdict if number else "-",
                f"{row.seconds:.1f}",
                f"{row.speed_up[0]:.2f} [{slow:.2f}, {fast:.2f}]" if number else "1",
                f"{row.share:.1%}",
                f"{row.steps:.1f}",
                f"{row.ceiling:.2f}",
                f"{row.of_ceiling:.0%}{'' if row.of_ceiling >= CEILING else ' (below aim)'}",
            ]
        )
    widths = [max(len(line[place]) for line in table) for place in range(len(head))]
    lines = ["  ".join(cell.rjust(width) for cell, width in zip(line, widths, strict=True)) for line in table]
    return "\n".join([*lines, f"a step takes {speeds.large:.2f} s (large), {speeds.small:.2f} s (small)"])


def _against(duel: Duel) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """How a run differs from the large model's: accuracy, and the speed-up over the same questions."""
    solved, seconds = duel.differences["solved"], duel.differences["seconds"]
    assert solved is not None
    assert seconds is not None
    others = {record.id: record for record in duel.second.records}
    common = [record for record in duel.first.records if record.id in others]
    base = math.fsum(record.seconds for record in common) / len(common)
    interval = seconds.interval
    speed_up = tuple(
        base / (base + change) if base + change > 0 else math.inf
        for change in (interval.estimate, interval.high, interval.low)
    )
    accuracy = solved.interval
    return (accuracy.estimate, accuracy.low, accuracy.high), (speed_up[0], speed_up[1], speed_up[2])


def _model_of(directory: Path) -> str:
    """The name of the model that a folder's agent asks."""
    return str(load_settings(directory)["settings"]["agent"]["model"]["name"])


def _step_seconds(directory: Path) -> float:
    records = load_records(directory)
    return math.fsum(r.seconds for r in records) / max(sum(r.steps for r in records), 1)


def _share(records: Sequence[Record], name: str) -> float:
    calls = sum(share.calls for record in records for share in record.models.values())
    return sum(record.models[name].calls for record in records if name in record.models) / max(calls, 1)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.collab", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--large", type=Path, required=True, metavar="DIR", help="the large model alone")
    parser.add_argument("--small", type=Path, required=True, metavar="DIR", help="the small model alone")
    parser.add_argument("folders", nargs="*", type=Path, metavar="DIR", help="what is compared with them")
    parser.add_argument("--seed", type=int, default=0, help="of the intervals (default: %(default)s)")
    arguments = parser.parse_args(words)
    try:
        print(render(*rows_of(arguments.large, arguments.small, arguments.folders, seed=arguments.seed)))
    except AgentInferError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
