"""What compression was worth in a run."""

from pydantic import BaseModel

from agentinfer.run import Run
from agentinfer.usage import Usage

__all__ = ["CompressReport", "report"]


class _Prompts(BaseModel):
    """The prompts of some steps together."""

    steps: int = 0
    tokens: int = 0
    cached: int = 0
    told: int = 0
    """Tokens of prompts whose endpoint told how much was cached."""

    def add(self, usage: Usage) -> None:
        """Count one more step."""
        self.steps += 1
        self.tokens += usage.prompt_tokens
        if usage.cached_tokens is not None:
            self.cached += usage.cached_tokens
            self.told += usage.prompt_tokens

    @property
    def cached_share(self) -> float | None:
        """Of the prompts that came from the prefix cache, 0 to 1; `None` where no endpoint tells."""
        return self.cached / self.told if self.told else None


class CompressReport(BaseModel):
    """What compression did in a run, kept with the run's state."""

    swaps: int = 0
    dropped: int = 0
    """Work that came to nothing."""
    overflows: int = 0
    """Prompts that did not fit and were shortened at once."""
    results: int = 0
    """Tool results put away."""
    hits_dropped: int = 0
    tokens_before: int = 0
    """Of the prompts that were swapped, together."""
    tokens_after: int = 0
    """Of the prompts they were swapped for."""
    saved_tokens: int = 0
    """Prompt tokens that the steps since did not send: each swap's difference, once a step."""
    spent_tokens: int = 0
    """Prompt and completion tokens of the notes and of warming prefixes."""
    spent_cost: float | None = 0.0
    """Money that those took; `None` where a price is unknown."""
    struck: int = 0
    """Names, numbers, dates and quotes in notes that no source had."""
    before: _Prompts = _Prompts()
    """The steps before the first swap."""
    after: _Prompts = _Prompts()
    """The steps behind it."""

    def note_spent(self, usage: Usage) -> None:
        """Count what the work took."""
        self.spent_tokens += usage.total_tokens
        known = self.spent_cost is not None and usage.cost is not None
        self.spent_cost = (self.spent_cost or 0.0) + (usage.cost or 0.0) if known else None

    def note_step(self, usage: Usage) -> None:
        """Count a step."""
        (self.after if self.swaps else self.before).add(usage)
        self.saved_tokens += self.tokens_before - self.tokens_after if self.swaps else 0


def report(run: Run) -> CompressReport:
    """What compression did in a run: `report(result.run)`."""
    return run.state("compress", CompressReport)
