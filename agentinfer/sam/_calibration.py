"""How likely a proposal is to come true: counted, from a prior that was fitted to recorded agent runs and chats."""

from bisect import bisect_right
from collections.abc import Sequence
from math import exp

__all__ = [
    "AGREED",
    "ALONE",
    "CELLS",
    "CHANGED",
    "FOLLOWED",
    "HISTORY",
    "KEPT",
    "KINDS",
    "OPPOSED",
    "PRIORS",
    "PRIORS_BESIDE",
    "PRIORS_FOLLOWED",
    "UNKNOWN",
    "Calibration",
    "beside",
    "cell_of",
]

LENGTH_STEPS = (1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 64)
RUN_STEPS = (2, 3, 4, 6, 10, 20, 60)
KINDS = 6
RUNS = len(RUN_STEPS) + 1
ALONE = (len(LENGTH_STEPS) + 1) * RUNS * KINDS
"""Cells of proposals by a match where there is no trail."""
COARSE_STEPS = (2, 3, 5, 9, 17)
COARSE = len(COARSE_STEPS) + 1
HISTORY = 5
"""How many of the last tokens a trail remembers."""
FATES = UNKNOWN, KEPT, CHANGED = range(3)
"""What the model wrote where a trail led to a token: nothing so far, the same, or another."""
AGREED, OPPOSED, FOLLOWED = range(3)
"""A proposal by the match that the trail shares; one that it does not; one by the trail."""
CELLS = ALONE + 3 * (COARSE << HISTORY) * len(FATES) * KINDS
PRIOR_WEIGHT = 2.0
MOST_TRIES = 255.0
"""Of a cell; then all is halved, so that what was learned long ago weighs less."""


def cell_of(length: int, count: int, run: int, *, own: bool) -> int:
    """The cell of a proposal by a match: by its length, by how often in a row it came true, by what else is known.

    Args:
        length: Of the match.
        count: How often something followed it.
        run: How often in a row the proposed token did.
        own: Whether the model wrote it.
    """
    kind = (0 if count == 1 else 1 if run == count else 2) + 3 * own
    return (bisect_right(LENGTH_STEPS, length) * RUNS + bisect_right(RUN_STEPS, run)) * KINDS + kind


def beside(relation: int, length: int, history: int, fate: int, kind: int) -> int:
    """The cell of a proposal where there is a trail.

    Args:
        relation: `AGREED`, `OPPOSED` or `FOLLOWED`.
        length: Of the match.
        history: Of the trail.
        fate: Of the token that the trail has come to.
        kind: What else is known, 0 to 5.
    """
    row = (relation * COARSE + bisect_right(COARSE_STEPS, length)) << HISTORY | history
    return ALONE + (row * len(FATES) + fate) * KINDS + kind


def _logistic(odds: float) -> float:
    return 1.0 / (1.0 + exp(-odds))


def _prior_odds(cell: int) -> float:
    length, run, kind = cell // (KINDS * RUNS), cell // KINDS % RUNS, cell % KINDS
    odds = -0.6 + 0.17 * length + 0.16 * min(length, 4) + 0.41 * run + (0.6 if run else 0.0)
    return odds + (0.0, -1.6, -2.0, 0.2, 0.3, -1.4)[kind]


_ODDS = [_prior_odds(cell) for cell in range(ALONE)]
_BY_FATE = (0.0, 0.7, -0.7)
PRIORS = [_logistic(odds) for odds in _ODDS]
"""By the cell of a proposal without a trail."""
PRIORS_BESIDE = [
    [[_logistic(odds + 0.7 + fate) for odds in _ODDS] for fate in _BY_FATE],
    [[_logistic(odds - 0.5 - fate) for odds in _ODDS] for fate in _BY_FATE],
]
"""By relation, fate, and the cell it would have without a trail."""
PRIORS_FOLLOWED = [[_logistic(-1.6 + 0.7 * hits + fate) for fate in _BY_FATE] for hits in range(HISTORY + 1)]
"""By how many of the last tokens were as on the trail, and by fate."""


class Calibration:
    """How often proposals of each kind came true."""

    def __init__(self) -> None:
        self._tries = [0.0] * CELLS
        self._hits = [0.0] * CELLS

    def likelihood(self, cell: int, prior: float) -> float:
        """How likely a proposal of this cell comes true, 0 to 1."""
        return (self._hits[cell] + PRIOR_WEIGHT * prior) / (self._tries[cell] + PRIOR_WEIGHT)

    def learn(self, cell: int, hit: bool) -> None:
        """Note whether a proposal came true."""
        if self._tries[cell] >= MOST_TRIES:
            self._tries[cell] *= 0.5
            self._hits[cell] *= 0.5
        self._tries[cell] += 1.0
        self._hits[cell] += hit

    def dump(self) -> list[float]:
        """What was learned: of each cell that was tried, its number, its tries and its hits, one after the other."""
        tried = (cell for cell in range(CELLS) if self._tries[cell])
        return [value for cell in tried for value in (float(cell), self._tries[cell], self._hits[cell])]

    def load(self, values: Sequence[float]) -> None:
        """Take over what `dump` gave.

        Raises:
            ValueError: It is nothing of the kind.
        """
        tries, hits, known = [0.0] * CELLS, [0.0] * CELLS, -1.0
        numbers = [float(value) for value in values]
        for number, tried, hit in zip(numbers[::3], numbers[1::3], numbers[2::3], strict=False):
            if not (known < number < CELLS and number.is_integer() and 0.0 <= hit <= tried <= MOST_TRIES + 1.0):
                break
            known = number
            tries[int(number)], hits[int(number)] = tried, hit
        else:
            if len(numbers) % 3 == 0:
                self._tries, self._hits = tries, hits
                return
        raise ValueError("this is not what Calibration.dump gives")
