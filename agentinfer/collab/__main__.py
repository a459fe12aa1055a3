"""What is learned from finished evaluations.

```sh
python -m agentinfer.collab calibrate results/collab
python -m agentinfer.collab fit-router --large results/large --small results/small --out router.json
```
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from agentinfer.collab.calibration import HORIZON, calibrate, load_trajectories, render
from agentinfer.collab.router import fit_router, outcomes_of
from agentinfer.errors import AgentInferError

__all__ = ["main"]


def main(words: Sequence[str] | None = None) -> int:
    """The command; returns its exit code."""
    parser = argparse.ArgumentParser(prog="python -m agentinfer.collab", description=(__doc__ or "").partition("\n")[0])
    commands = parser.add_subparsers(required=True)
    calibration = commands.add_parser("calibrate", help="verdicts on progress beside what came after them")
    calibration.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="folders of `agentinfer eval`")
    calibration.add_argument("--horizon", type=int, default=HORIZON, help="steps (default: %(default)s)")
    calibration.set_defaults(command=_calibrate)
    router = commands.add_parser("fit-router", help="a router of whole questions, from what two models solved")
    router.add_argument("--large", type=Path, metavar="DIR", required=True, help="the large model alone")
    router.add_argument("--small", type=Path, metavar="DIR", required=True, help="the small model alone")
    router.add_argument("--out", type=Path, metavar="FILE", required=True)
    router.set_defaults(command=_fit)
    arguments = parser.parse_args(words)
    try:
        told: str = arguments.command(arguments)
    except AgentInferError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(f"{told}\n")
    return 0


def _calibrate(arguments: argparse.Namespace) -> str:
    trajectories = (one for folder in arguments.folders for one in load_trajectories(folder))
    return render(calibrate(trajectories, horizon=arguments.horizon))


def _fit(arguments: argparse.Namespace) -> str:
    outcomes = outcomes_of(arguments.large, arguments.small)
    router = fit_router(outcomes)
    router.save(arguments.out)
    wins = sum(outcome.large and not outcome.small for outcome in outcomes)
    weights = ", ".join(f"{name} {weight:+.2f}" for name, weight in zip(router.features, router.weights, strict=True))
    return f"{len(outcomes)} questions, {wins} solved by the large model alone\n{weights}"


if __name__ == "__main__":
    sys.exit(main())
