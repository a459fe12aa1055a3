"""Two models against one: what finished evaluations say of a collaboration.

    python -m benchmarks.collab --large results/large --small results/small results/collab results/router ...

For each folder: accuracy, its difference to the large model alone, F1, seconds, the large model's share of calls and
tokens, and the speed-up beside the ceiling that the two models' own speeds allow at that share of the calls.
Intervals are those of `agentinfer compare`: paired bootstrap over the questions that both have answered, 95 %.
Speed-up and ceiling are of seconds at an even pace (`benchmarks.even_pace`); "measured" are those of the clock.
"""

import argparse
import math
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agentinfer.errors import AgentInferError
from agentinfer.evals import ModelShare, Record, compare, load_settings
from agentinfer.evals._bootstrap import Interval, interval_of
from benchmarks.even_pace import Pace, even_seconds

AIM = 0.10
"""Points of accuracy that a collaboration may lose."""
CEILING = 0.80
"""The part of the possible speed-up that it is to reach."""
RESAMPLES = 2000


@dataclass(frozen=True, kw_only=True)
class Speeds:
    """Seconds of one call of each model and what follows from it, from the runs in which it was alone."""

    large: float
    small: float

    def ceiling(self, share: float) -> float:
        """The speed-up where the large model makes this share of as many calls, and switching is free."""
        return self.large / (share * self.large + (1 - share) * self.small)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One configuration beside the large model alone."""

    name: str
    questions: int
    solved: tuple[float, float, float]
    """Estimate, low, high; likewise below."""
    difference: tuple[float, float, float]
    """Of accuracy, to the large model's."""
    f1: float | None
    f1_difference: tuple[float, float, float] | None
    """Of F1, to the large model's, where both have one."""
    measured: float
    """Seconds a question, by the clock."""
    seconds: float
    """The same at an even pace."""
    speed_up: tuple[float, float, float]
    share: float
    """The large model's, of all calls."""
    token_share: float
    """The large model's, of all tokens read and written."""
    steps: float
    ceiling: float

    @property
    def verdict(self) -> str:
        """Whether it loses no more accuracy than aimed at."""
        _, low, high = self.difference
        if low == high:  # no question tells them apart, so resampling knows no spread: the rule of three does
            low, high = low - 3 / self.questions, high + 3 / self.questions
        if low >= -AIM:
            return "within"
        return "below" if high < -AIM else "inconclusive"

    @property
    def of_ceiling(self) -> float:
        """The part of the possible speed-up that was reached."""
        return self.speed_up[0] / self.ceiling


def rows_of(
    large: Path, small: Path, others: Sequence[Path], *, seed: int = 0
) -> tuple[Speeds, dict[str, Pace], list[Row]]:
    """The speeds of the two models, their paces, and a row for each folder; the first one is the large model's own."""
    name, folders = _model_of(large), [large, small, *others]
    compared = compare(folders, large=name, seed=seed)
    paces, taken = even_seconds(folders)
    alone = [
        math.fsum(seconds.values()) / max(sum(record.model_calls for record in run.records), 1)
        for seconds, run in zip(taken[:2], compared.runs[:2], strict=True)
    ]
    speeds = Speeds(large=alone[0], small=alone[1])
    rows = []
    for place, (run, seconds) in enumerate(zip(compared.runs, taken, strict=True)):
        figures = compared.figures[place]
        solved, measured, steps = (figures[figure] for figure in ("solved", "seconds", "steps"))
        assert solved is not None
        assert measured is not None
        assert steps is not None
        f1 = figures.get("grade:f1")
        share = share_of(run.records, name, lambda spent: spent.calls)
        differences = compared.duels[place - 1].differences if place else {}
        change, f1_change = differences.get("solved"), differences.get("grade:f1")
        pairs = [(before, seconds[asked]) for asked, before in taken[0].items() if asked in seconds]
        gain = interval_of(pairs, seed=seed, resamples=RESAMPLES)  # the ratio of two sums over the same questions
        assert gain is not None
        rows.append(
            Row(
                name=_name_of(run.directory) or run.name,
                questions=len(run.records),
                solved=(solved.estimate, solved.low, solved.high),
                difference=_bounds(change.interval) if change else (0.0, 0.0, 0.0),
                f1=None if f1 is None else f1.estimate,
                f1_difference=_bounds(f1_change.interval) if f1_change else None,
                measured=measured.estimate,
                seconds=math.fsum(seconds.values()) / len(seconds),
                speed_up=_bounds(gain),
                share=share,
                token_share=share_of(run.records, name, lambda spent: spent.prompt_tokens + spent.completion_tokens),
                steps=steps.estimate,
                ceiling=speeds.ceiling(share),
            )
        )
    return speeds, paces, rows


def render(speeds: Speeds, paces: Mapping[str, Pace], rows: Sequence[Row]) -> str:
    """The table."""
    head = ["", "questions", "solved", "difference to large", f"within {AIM:.0%}?", "F1", "difference"]
    head += ["measured", "seconds", "speed-up", "large: calls", "tokens", "steps", "ceiling", "of ceiling"]
    table = [head]
    for number, row in enumerate(rows):
        _, least, most = row.solved
        _, low, high = row.difference
        _, slow, fast = row.speed_up
        table.append(
            [
                row.name,
                str(row.questions),
                f"{row.solved[0]:.1%} [{least:.1%}, {most:.1%}]",
                f"{row.difference[0]:+.1%} [{low:+.1%}, {high:+.1%}]" if number else "-",
                row.verdict if number else "-",
                "-" if row.f1 is None else f"{row.f1:.3f}",
                "-" if row.f1_difference is None else "{:+.3f} [{:+.3f}, {:+.3f}]".format(*row.f1_difference),
                f"{row.measured:.2f}",
                f"{row.seconds:.2f}",
                f"{row.speed_up[0]:.2f} [{slow:.2f}, {fast:.2f}]" if number else "1",
                f"{row.share:.1%}",
                f"{row.token_share:.1%}",
                f"{row.steps:.1f}",
                f"{row.ceiling:.2f}",
                f"{row.of_ceiling:.0%}{'' if row.of_ceiling >= CEILING else ' (below aim)'}",
            ]
        )
    widths = [max(len(line[place]) for line in table) for place in range(len(head))]
    lines = [
        "  ".join([line[0].ljust(widths[0]), *(cell.rjust(w) for cell, w in zip(line[1:], widths[1:], strict=True))])
        for line in table
    ]
    lines.append(f"a call takes {speeds.large:.2f} s (large), {speeds.small:.2f} s (small)")
    lines += [
        f"{model}: {1000 * pace.read:.1f} ms a token read, {1000 * pace.write:.0f} ms a token written"
        for model, pace in paces.items()
    ]
    return "\n".join(lines)


def moves(trajectories: Iterable[Mapping[str, Any]]) -> str:
    """Who made the steps of some runs, why models changed, and what facts spoke against a step."""
    kinds = ("steps", "switches", "put off", "fell over", "against")
    told: dict[str, Counter[str]] = {kind: Counter() for kind in kinds}
    for trajectory in trajectories:
        asked = {step["index"] for step in trajectory.get("step_results", ()) if step["usage"]["calls"]}
        for event in trajectory.get("events", ()):
            match event.get("kind"):
                case "TierChosen" if event["step"] in asked:
                    told["steps"][f"{event['tier']} {event['phase']}"] += 1
                case "ModelSwitched":
                    told["switches"][event["cause"]] += 1
                case "SwitchPutOff":
                    told["put off"][event["model"]] += 1
                case "ModelFellOver":
                    told["fell over"][f"{event['model']} {event['cause']}"] += 1
                case "ProgressJudged":
                    told["against"].update(event["vetoes"])
    return "; ".join(
        f"{kind}: {', '.join(f'{name} {count}' for name, count in counts.most_common())}"
        for kind, counts in told.items()
        if counts
    )


def _bounds(interval: Interval) -> tuple[float, float, float]:
    return interval.estimate, interval.low, interval.high


def _model_of(directory: Path) -> str:
    """The name of the model that a folder's agent asks."""
    return str(load_settings(directory)["settings"]["agent"]["model"]["name"])


def _name_of(directory: Path) -> str | None:
    """What a folder's configuration is called."""
    name = load_settings(directory)["settings"].get("name")
    return None if name is None else str(name)


def share_of(records: Sequence[Record], name: str, amount: Callable[[ModelShare], int]) -> float:
    """The share of a model in what all models did."""
    done = [(model, amount(spent)) for record in records for model, spent in record.models.items()]
    return sum(number for model, number in done if model == name) / max(sum(number for _, number in done), 1)


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
