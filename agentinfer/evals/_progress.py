"""How far an evaluation is."""

from dataclasses import dataclass

from agentinfer.evals._record import Record

__all__ = ["Progress"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far an evaluation is, after one more question."""

    record: Record | None
    """The question just finished; `None` at the start."""
    done: int
    """Questions finished, those of earlier sessions included."""
    total: int
    resumed: int
    """Those of `done` that were finished by earlier sessions."""
    solved: int
    """Those of `done` that are solved."""
    tokens: int
    """Prompt and completion tokens of all questions done."""
    cost: float | None
    """Money for them; `None` where a price is unknown."""
    seconds: float
    """Since this session began."""
    notes: tuple[str, ...] = ()
    """At the start: what was found and mended in the folder."""

    @property
    def accuracy(self) -> float | None:
        """The share of the questions done that are solved (pass@1)."""
        return self.solved / self.done if self.done else None

    @property
    def seconds_left(self) -> float | None:
        """About how long the rest will take; `None` before the first question of this session is done."""
        done = self.done - self.resumed
        return self.seconds / done * (self.total - self.done) if done else None

    @classmethod
    def of(cls, records: list[Record], *, last: Record | None, total: int, resumed: int, seconds: float) -> "Progress":
        """The progress that these records make."""
        costs = [record.cost for record in records]
        return cls(
            record=last,
            done=len(records),
            total=total,
            resumed=resumed,
            solved=sum(record.solved for record in records),
            tokens=sum(record.prompt_tokens + record.completion_tokens for record in records),
            cost=None if None in costs else sum(cost for cost in costs if cost is not None),
            seconds=seconds,
        )
