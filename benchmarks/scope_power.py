"""What a trial can decide, and when: `python -m benchmarks.scope_power`.

Simulated guidelines are judged after each run, as in life, until they are kept or retired. Each run is right or wrong
with one of two probabilities, with the guideline and without it; half of the runs go without.
"""

import argparse
import random
from collections.abc import Sequence

from agentinfer.scope import Evidence, TrialPolicy, judge

EFFECTS = ((0.3, 0.3), (0.3, 0.4), (0.3, 0.5), (0.3, 0.6), (0.3, 0.7), (0.3, 0.8), (0.3, 0.1), (0.3, 0.0), (0.5, 0.1))
RUNS = (48, 100, 200)


def decided(without: float, shown: float, runs: int, policy: TrialPolicy, chance: random.Random) -> tuple[str, int]:
    """What becomes of one guideline, and after how many runs."""
    used = held_out = 0
    score = held_out_score = 0.0
    for run in range(1, runs + 1):
        if chance.random() < policy.hold_out:
            held_out += 1
            held_out_score += chance.random() < without
        else:
            used += 1
            score += chance.random() < shown
        found = Evidence(used=used, score=score, held_out=held_out, held_out_score=held_out_score)
        if (action := judge("trial", found, policy).action) != "wait":
            return action, run
    return "wait", runs


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scope_power",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--guidelines", type=int, default=1500, metavar="N", help="of each line (default: %(default)s)")
    parser.add_argument("--error-rate", type=float, default=0.1)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args(argv)
    policy = TrialPolicy(error_rate=arguments.error_rate, patience=10 * max(RUNS))
    chance = random.Random(arguments.seed)
    print(f"| without -> with | {' | '.join(f'{runs} runs' for runs in RUNS)} |")
    print(f"|---|{'---|' * len(RUNS)}")
    for without, shown in EFFECTS:
        fates = [decided(without, shown, max(RUNS), policy, chance) for _ in range(arguments.guidelines)]
        cells = []
        for runs in RUNS:
            by_then = [action for action, after in fates if after <= runs]
            shares = [100 * by_then.count(action) / len(fates) for action in ("keep", "retire")]
            cells.append(f"kept {shares[0]:.0f} %, retired {shares[1]:.0f} %")
        print(f"| {without} -> {shown} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
