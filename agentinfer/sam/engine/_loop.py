"""The engine loop: prefill what is new, then pass after pass over the last token and a draft."""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass

from agentinfer.sam._gain import CostTable
from agentinfer.sam._session import Draft
from agentinfer.sam.engine._follow import Followed
from agentinfer.sam.engine._native import MAX_PASS, Llama
from agentinfer.sam.engine._plan import Trust, accepted_tokens, common_prefix, planned_draft

__all__ = ["Engine", "Pass"]

MOST = 6
"""Tokens of a draft at most: on a CPU, llama.cpp rounds passes over more than seven tokens unlike single ones."""
FLOOR = 0.05
"""The least probability of a drafted token that is thought about."""


@dataclass(frozen=True, slots=True)
class Pass:
    """What one forward pass did."""

    read: int = 0
    """Tokens of the prompt that it took in."""
    written: Sequence[int] = ()
    """Tokens that it gave."""
    drafted: int = 0
    """Tokens of the draft that it verified,"""
    accepted: int = 0
    """and those of them that were right."""


class Engine:
    """Generates, one text at a time, and keeps what the KV cache holds for the next prompt that begins the same.

    Args:
        llama: The model.
        tables: What passes cost, by which drafts are as long as pays; without any, nothing is drafted.
        most: Tokens of a draft at most.
    """

    def __init__(self, llama: Llama, *, tables: Sequence[CostTable] = (), most: int = MOST) -> None:
        self.llama = llama
        self.tables = tables if llama.rewinds else ()
        self.most = min(most, MAX_PASS - 1)
        self._held: list[int] = []
        """The tokens in the KV cache."""
        self._trust = Trust()
        self.reset()

    def reusable(self, prompt: Sequence[int]) -> int:
        """How many tokens of a prompt need no pass. The last one always does: the reply follows on it."""
        return min(common_prefix(self._held, prompt), len(prompt) - 1)

    def generate(
        self, prompt: Sequence[int], choose: Callable[[int], int], *, limit: int, followed: Followed | None = None
    ) -> Generator[Pass, None, None]:
        """Write on from a prompt, until a token ends the text.

        Whoever stops asking for passes ends it; the KV cache then holds what was decoded so far.

        Args:
            prompt: One token or more, and fewer than the context holds.
            choose: The choice after the n-th token of the last pass that gives logits.
            limit: Tokens written at most.
            followed: The conversation, with the prompt taken in; without it nothing is drafted or learned.

        Raises:
            LocalModelError: A pass failed.
        """
        try:
            yield from self._prefill(prompt)
            yield from self._write(prompt[-1], choose, min(limit, self.llama.context - len(prompt)), followed)
        except GeneratorExit:
            raise
        except BaseException:
            self.reset()
            raise

    def reset(self) -> None:
        """Forget everything."""
        self._held = []
        self.llama.clear()

    def _prefill(self, prompt: Sequence[int]) -> Iterator[Pass]:
        kept = self.reusable(prompt)
        if kept < len(self._held):
            del self._held[kept:]
            self._take_back()
        while len(self._held) < len(prompt) - 1:
            start = len(self._held)
            piece = prompt[start : min(start + self.llama.batch, len(prompt) - 1)]
            self.llama.decode(piece, start)
            self.llama.wait()
            self._held += piece
            yield Pass(read=len(piece))

    def _write(self, last: int, choose: Callable[[int], int], limit: int, followed: Followed | None) -> Iterator[Pass]:
        while limit > 0:
            start = len(self._held)
            likely = self._likely(followed, limit - 1)
            draft = planned_draft(likely, self.tables, context=start, trust=self._trust.share)
            self.llama.decode([last, *draft], start, logits=len(draft) + 1)
            written = accepted_tokens(draft, choose, self.llama.is_end)
            if likely.tokens:
                self._trust.note(likely, len(draft), written)
            self._held += [last, *written[:-1]]
            if len(written) <= len(draft):
                self._take_back()
            if followed is not None:
                followed.wrote(written)
            yield Pass(written=written, drafted=len(draft), accepted=common_prefix(draft, written))
            if self.llama.is_end(written[-1]):
                return
            last = written[-1]
            limit -= len(written)

    def _likely(self, followed: Followed | None, room: int) -> Draft:
        if followed is None or not self.tables:
            return Draft()
        return followed.drafts.draft(min(room, self.most), FLOOR)

    def _take_back(self) -> None:
        """Have the KV cache hold no more than `_held` says."""
        if not self.llama.forget(len(self._held)):
            self.reset()
