"""The plain-Python path: a suffix automaton that knows what followed each context, and how sure that is.

The automaton (Blumer et al. 1985; online as in SAM-Decoding, arXiv 2411.10666) has a state for every set of contexts
that end at the same places. Each state keeps how often something followed (`count`), which token is expected to follow
(`kept` is its place) and how often in a row that has come true (`run`). The latest continuation is the expected one,
but material never replaces what the model itself wrote: a model repeats itself more than it repeats others.

What the model writes often follows something earlier with other values in it: the last call of a tool, say. The `Trail`
keeps to that place where the match is lost, and proposes what stands there; the likelier of the two goes into a draft.

What all this is worth differs from text to text, so it is measured: whenever the model writes a token, the
`Calibration` learns whether the proposals were right. `_compiled.c` does the same, faster.
"""

import sys
from array import array
from collections.abc import Iterable, Sequence
from operator import index

from agentinfer.sam._calibration import (
    AGREED,
    FOLLOWED,
    KINDS,
    OPPOSED,
    PRIORS,
    PRIORS_BESIDE,
    PRIORS_FOLLOWED,
    UNKNOWN,
    Calibration,
    beside,
    cell_of,
)
from agentinfer.sam._trail import OWN, Trail

__all__ = ["CONTEXT", "OWN", "Calibration", "Cursor", "SuffixAutomaton"]

CONTEXT = 64
"""Continuations are known of contexts of up to this many tokens."""
MAX_TOKENS = 1 << 30


class SuffixAutomaton:
    """All that a text has said so far, and what it is likely to say next.

    Args:
        calibration: How likely its predictions are; one of its own unless given.
    """

    def __init__(self, calibration: Calibration | None = None) -> None:
        self._calibration = calibration or Calibration()
        self._text = array("I")
        self._fates = bytearray()
        self._trail = Trail()
        self._length = [0]
        self._link = [-1]
        self._targets: list[dict[int, int]] = [{}]
        self._count = [0]
        self._run = [0]
        self._kept = [0]
        self._whole = 0
        """The state of the whole text."""
        self._context = 0
        """The state of its last `CONTEXT` tokens."""

    def __len__(self) -> int:
        return len(self._text)

    @property
    def match_length(self) -> int:
        """How many tokens at the end stand somewhere before as well."""
        match = self._link[self._whole]
        return 0 if match < 0 else self._length[match]

    @property
    def memory(self) -> int:
        """Bytes it takes, about."""
        held = (self._text, self._fates, self._length, self._link, self._targets, self._count, self._run, self._kept)
        return sum(map(sys.getsizeof, held)) + sum(map(sys.getsizeof, self._targets)) + 28 * 5 * len(self._length)

    def extend(self, tokens: Sequence[int], *, own: bool = False) -> None:
        """Add tokens at the end.

        Args:
            tokens: Whole numbers from 0 to 2**31 - 1.
            own: Whether the model wrote them. Only then does the calibration learn from them.

        Raises:
            ValueError: One is not such a number; nothing was added.
            OverflowError: It would hold more than 2**30 tokens.
        """
        checked = checked_tokens(tokens)
        if len(checked) > MAX_TOKENS - len(self._text):
            raise OverflowError("an automaton holds up to 2**30 tokens")
        for token in checked:
            fate = UNKNOWN
            if own:
                match = max(self._link[self._whole], 0)
                fate = self._learn(self._calibration, self._trail, match, self.match_length, token)
            else:
                self._trail.leave()
            self._fates.append(fate)
            self._append(token, OWN if own else 0)

    def draft(self, k: int, floor: float = 0.0, /) -> tuple[list[int], list[float]]:
        """What is likely to come next.

        Args:
            k: How many tokens at most.
            floor: The draft ends before a token whose probability is below this.

        Returns:
            The tokens, and of each the probability that the draft is right up to and with it.
        """
        match = self._link[self._whole]
        return self._draft(self._calibration, self._trail, max(match, 0), self.match_length, k, floor)

    def continuation(self, context: Sequence[int]) -> tuple[int, int, int] | None:
        """What follows a context of up to `CONTEXT` tokens.

        Returns:
            The token expected to follow, how often the context was followed by any, and how often in a row, up to now,
            by what was expected; `None` where nothing ever followed it.
        """
        state: int | None = 0
        for token in checked_tokens(context):
            state = None if state is None else self._targets[state].get(token)
        if len(context) > CONTEXT:
            raise ValueError(f"contexts are of up to {CONTEXT} tokens")
        if state is None or not self._count[state]:
            return None
        return self._text[self._kept[state]] & ~OWN, self._count[state], self._run[state]

    def dump(self) -> bytes:
        """The text: four bytes a token, in this machine's order, the highest bit telling whether it is the model's."""
        return self._text.tobytes()

    def _append(self, token: int, mark: int) -> None:
        self._count_continuation(token | mark)
        self._text.append(token | mark)
        targets, link, length = self._targets, self._link, self._length
        new, state = len(length), self._whole
        self._add_state(len(self._text), {}, 0, 0, 0)
        while state >= 0 and token not in targets[state]:
            targets[state][token] = new
            state = link[state]
        if state < 0:
            link[new] = 0
        else:
            known = targets[state][token]
            if length[known] != length[state] + 1:
                copy = len(length)
                statistics = self._count[known], self._run[known], self._kept[known]
                self._add_state(length[state] + 1, dict(targets[known]), *statistics)
                link[copy], link[known] = link[known], copy
                while state >= 0 and targets[state].get(token) == known:
                    targets[state][token] = copy
                    state = link[state]
                known = copy
            link[new] = known
        self._whole = new
        context = targets[self._holder(self._context, CONTEXT)][token]
        self._context = self._holder(context, CONTEXT)

    def _add_state(self, length: int, targets: dict[int, int], count: int, run: int, kept: int) -> None:
        self._length.append(length)
        self._link.append(-1)
        self._targets.append(targets)
        self._count.append(count)
        self._run.append(run)
        self._kept.append(kept)

    def _count_continuation(self, entry: int) -> None:
        """Note what followed each context that the text ends with."""
        state, text = self._context, self._text
        while state >= 0:
            first = self._count[state] == 0
            self._count[state] += 1
            kept = entry if first else text[self._kept[state]]
            self._run[state] = self._run[state] + 1 if not first and (kept ^ entry) & ~OWN == 0 else 1
            if first or entry & OWN or not kept & OWN:
                self._kept[state] = len(text)
            state = self._link[state]

    def _holder(self, state: int, length: int) -> int:
        """The state that holds the last `length` tokens of what `state` holds."""
        while (link := self._link[state]) >= 0 and self._length[link] >= length:
            state = link
        return state

    def _settle(self, state: int, length: int) -> tuple[int, int]:
        """The longest end of a match that something followed, of `CONTEXT` tokens at most; length 0: there is none."""
        length = min(length, CONTEXT)
        state = self._holder(state, length)
        while not self._count[state] and self._link[state] >= 0:
            state = self._link[state]
            length = self._length[state]
        return state, length

    def _step(self, state: int, length: int, token: int) -> tuple[int, int]:
        """The longest end of a match and of a token after it that the text knows."""
        state = self._holder(state, length)
        while token not in self._targets[state] and self._link[state] >= 0:
            state = self._link[state]
            length = self._length[state]
        known = self._targets[state].get(token)
        return (0, 0) if known is None else (known, length + 1)

    def _candidates(self, trail: Trail, state: int, length: int) -> list[tuple[int, int, float]]:
        """What may come next, by the settled match and by the trail: tokens, with their cells and priors."""
        text = self._text
        somewhere = trail.at < len(text)
        if not length and not somewhere:
            return []
        fate = self._fates[trail.at] if somewhere else UNKNOWN
        other = text[trail.at] if somewhere else 0
        found: list[tuple[int, int, float]] = []
        if length:
            kept = text[self._kept[state]]
            token = kept & ~OWN
            cell = cell_of(length, self._count[state], self._run[state], own=kept >= OWN)
            if not somewhere:
                return [(token, cell, PRIORS[cell])]
            relation = AGREED if token == other & ~OWN else OPPOSED
            found.append(
                (
                    token,
                    beside(relation, length, trail.history, fate, cell % KINDS),
                    PRIORS_BESIDE[relation][fate][cell],
                )
            )
            if relation == AGREED:
                return found
        kind = (other >= OWN) + 2 * (length > 0)
        prior = PRIORS_FOLLOWED[trail.history.bit_count()][fate]
        found.append((other & ~OWN, beside(FOLLOWED, length, trail.history, fate, kind), prior))
        return found

    def _learn(self, calibration: Calibration, trail: Trail, state: int, length: int, token: int) -> int:
        """The model has written a token: learn from it, and follow the trail; the token's fate."""
        state, length = self._settle(state, length)
        for proposed, cell, _ in self._candidates(trail, state, length):
            calibration.learn(cell, proposed == token)
        fate = trail.fate(self._text, token)
        trail.follow(self._text, self._kept[state] if length else None, token)
        return fate

    def _draft(
        self, calibration: Calibration, trail: Trail, state: int, length: int, k: int, floor: float
    ) -> tuple[list[int], list[float]]:
        tokens: list[int] = []
        chances: list[float] = []
        chance, trail = 1.0, trail.copy()
        while len(tokens) < k:
            state, length = self._settle(state, length)
            found = self._candidates(trail, state, length)
            if not found:
                break
            likely = [calibration.likelihood(cell, prior) for _, cell, prior in found]
            best = likely.index(max(likely))
            chance *= likely[best]
            if chance < floor:
                break
            token = found[best][0]
            tokens.append(token)
            chances.append(chance)
            trail.follow(self._text, self._kept[state] if length else None, token)
            state, length = self._step(state, length, token)
        return tokens, chances


class Cursor:
    """Where another text stands in an automaton: its longest end that the automaton knows, token by token.

    Args:
        automaton: It may go on growing.
        calibration: How likely its predictions are for this other text; one of its own unless given.
    """

    def __init__(self, automaton: SuffixAutomaton, calibration: Calibration | None = None) -> None:
        self._automaton = automaton
        self._calibration = calibration or Calibration()
        self._trail = Trail()
        self._state = 0
        self._length = 0

    @property
    def match_length(self) -> int:
        """How many tokens at the end of the other text the automaton knows."""
        return self._length

    def follow(self, tokens: Sequence[int], *, own: bool = False) -> None:
        """The other text goes on; `own`: the model wrote this, so the calibration learns from it.

        Raises:
            ValueError: One is not a token; the cursor stands where it stood.
        """
        automaton = self._automaton
        for token in checked_tokens(tokens):
            if own:
                automaton._learn(self._calibration, self._trail, self._state, self._length, token)
            else:
                self._trail.leave()
            self._state, self._length = automaton._step(self._state, self._length, token)

    def draft(self, k: int, floor: float = 0.0, /) -> tuple[list[int], list[float]]:
        """What is likely to come next, as `SuffixAutomaton.draft` says it."""
        return self._automaton._draft(self._calibration, self._trail, self._state, self._length, k, floor)


def checked_tokens(tokens: Iterable[int]) -> list[int]:
    """The tokens as a list.

    Raises:
        TypeError: One is no whole number.
        ValueError: One is out of range.
    """
    checked = [index(token) for token in tokens]
    if checked and not 0 <= min(checked) <= max(checked) < OWN:
        raise ValueError("tokens are whole numbers from 0 to 2**31 - 1")
    return checked
