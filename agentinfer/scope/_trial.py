"""Measured acceptance: whether a guideline helps, by runs with it and runs without it.

Each run draws, for every guideline on trial, whether it is shown or held out. The runs' scores (0 to 1) are two
streams, and their means are compared by an e-process: the mixture likelihood (uniform priors) of both streams over
the greatest likelihood that "it does not help" allows. If it does not help, the probability that this ratio *ever*
reaches 1/error_rate is at most error_rate (Ville's inequality; universal inference, Wasserman, Ramdas and Balakrishnan
2020), however often one looks and whenever one stops. It holds for scores between 0 and 1, not only for 0 and 1, as
long as what a run scores does not depend on the runs before it.
"""

import hashlib
import math
from dataclasses import dataclass
from typing import Literal

from agentinfer.errors import UserError
from agentinfer.scope._guideline import Status

__all__ = ["Evidence", "TrialPolicy", "Verdict", "is_held_out", "judge", "log_evidence"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What runs with a guideline and runs without it have scored."""

    used: int = 0
    """Runs that were shown it, and have a score."""
    score: float = 0.0
    """The sum of their scores."""
    held_out: int = 0
    """Runs from which it was held out, and that have a score."""
    held_out_score: float = 0.0
    helpful: int = 0
    """Of the runs that were shown it, those that scored 0.5 or more."""

    @property
    def harmful(self) -> int:
        """Of the runs that were shown it, those that scored less."""
        return self.used - self.helpful


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialPolicy:
    """How sure one has to be.

    Raises:
        UserError: A share is not between 0 and 1, or a number is not positive.
    """

    error_rate: float = 0.1
    """At most this share of guidelines that do not help are ever kept; and of those that do no harm, retired as
    harmful."""
    hold_out: float = 0.5
    """The share of runs from which a guideline on trial is held out. A half decides soonest."""
    recheck: float = 0.05
    """The share of runs from which a kept guideline is held out, so that harm is noticed later, too."""
    patience: int = 200
    """Scored runs after which a guideline that was not shown to help is retired."""

    def __post_init__(self) -> None:
        if not 0 < self.error_rate < 1 or not 0 <= self.hold_out < 1 or not 0 <= self.recheck < 1:
            raise UserError("TrialPolicy: error_rate lies between 0 and 1, hold_out and recheck from 0 to below 1")
        if self.patience < 1:
            raise UserError("TrialPolicy: patience is at least 1")


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the evidence says."""

    action: Literal["wait", "keep", "retire"]
    reason: str


def judge(status: Status, evidence: Evidence, policy: TrialPolicy) -> Verdict:
    """Whether a guideline on trial is kept, retired, or goes on; a kept one can only be retired.

    A pure function: the same evidence, the same verdict.
    """
    if status not in ("trial", "kept"):
        return Verdict("wait", f"it is {status}")
    threshold = -math.log(policy.error_rate)
    shown, without = (evidence.score, evidence.used), (evidence.held_out_score, evidence.held_out)
    told = f"{_mean(*shown)} in {evidence.used} runs with it, {_mean(*without)} in {evidence.held_out} without"
    if log_evidence(without, shown) >= threshold:
        return Verdict("retire", f"harmful: {told}")
    if status == "kept":
        return Verdict("wait", told)
    if log_evidence(shown, without) >= threshold:
        return Verdict("keep", f"helpful: {told}")
    if evidence.used + evidence.held_out >= policy.patience:
        return Verdict("retire", f"not shown to help: {told}")
    return Verdict("wait", told)


def log_evidence(better: tuple[float, int], worse: tuple[float, int]) -> float:
    """The logarithm of the evidence that one stream has the higher mean, against "it has not".

    Args:
        better: Sum of scores and number of runs of the stream that is said to be better.
        worse: The same of the other.
    """
    mixture = _log_beta(*better) + _log_beta(*worse)
    if better[1] == 0 or worse[1] == 0 or better[0] / better[1] <= worse[0] / worse[1]:
        allowed = _log_likelihood(*better) + _log_likelihood(*worse)
    else:  # the best that "not better" allows is one mean for both
        allowed = _log_likelihood(better[0] + worse[0], better[1] + worse[1])
    return mixture - allowed


def is_held_out(guideline: str, run: str, share: float) -> bool:
    """Whether a run goes without a guideline: drawn from their ids, so that a resumed run draws the same."""
    digest = hashlib.blake2b(f"{guideline}/{run}".encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest) < share * 2**64


def _log_beta(score: float, runs: int) -> float:
    return math.lgamma(score + 1) + math.lgamma(runs - score + 1) - math.lgamma(runs + 2)


def _log_likelihood(score: float, runs: int) -> float:
    """The greatest one, at the mean."""
    parts = [(part, part / runs) for part in (score, runs - score) if part > 0]
    return sum(part * math.log(share) for part, share in parts)


def _mean(score: float, runs: int) -> str:
    return f"{score / runs:.2f}" if runs else "nothing"
