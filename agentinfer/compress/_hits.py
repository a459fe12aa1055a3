"""Layer 1: search results ranked and filtered before any of them is opened."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agentinfer.compress._lexical import scores

__all__ = ["LEFT_OUT", "RANKING", "Ranked", "by_numbers", "by_words", "hits_of", "listing", "ranking_request"]

RANKING = """\
You choose search results for an agent at work on a task. Write the numbers of the results worth reading for the task, \
the best first, separated by commas, and nothing else."""

LEFT_OUT = "Left out as less fitting"


@dataclass(frozen=True, slots=True)
class Ranked:
    """Positions of search results: what is shown, best first, and what is left out."""

    kept: tuple[int, ...]
    dropped: tuple[int, ...]


def hits_of(value: Any) -> list[tuple[str, str, str]] | None:
    """The (id, title, snippet) of search results, or nothing where a tool returned something else."""
    if not isinstance(value, Sequence) or isinstance(value, str | bytes) or len(value) < 2:
        return None
    hits = [
        (
            getattr(hit, "id", None) or getattr(hit, "url", None),
            getattr(hit, "title", None),
            getattr(hit, "snippet", None),
        )
        for hit in value
    ]
    if not all(isinstance(field, str) for hit in hits for field in hit):
        return None
    return [(str(name), str(title), str(snippet)) for name, title, snippet in hits]


def by_words(hits: Sequence[tuple[str, str, str]], wanted: Sequence[str], *, share: float, least: int) -> Ranked:
    """Rank hits by the wanted words in their titles and snippets; a title counts twice.

    Args:
        hits: Their ids, titles and snippets, as the search ranked them.
        wanted: What is looked for: of the query, the task, and what the agent thought.
        share: Of the best score: hits below it are left out.
        least: How many stay in any case.
    """
    fits = scores([f"{title} {title} {snippet}" for _, title, snippet in hits], wanted)
    order = sorted(range(len(hits)), key=lambda at: -fits[at])
    bar = share * max(fits, default=0.0)
    kept = [at for rank, at in enumerate(order) if rank < least or fits[at] >= bar]
    return Ranked(tuple(kept), tuple(at for at in order if at not in kept))


def by_numbers(answer: str, count: int, *, least: int) -> Ranked | None:
    """The ranking that a model wrote as numbers from 1; nothing where it wrote none that fits."""
    chosen = dict.fromkeys(int(number) - 1 for number in re.findall(r"\d{1,4}", answer))
    order = [at for at in chosen if 0 <= at < count]
    if not order:
        return None
    rest = [at for at in range(count) if at not in order]
    kept = order + rest[: max(least - len(order), 0)]
    return Ranked(tuple(kept), tuple(at for at in rest if at not in kept))


def ranking_request(hits: Sequence[tuple[str, str, str]], task: str, thoughts: str) -> str:
    """What the light model is asked."""
    listed = "\n".join(f"{number}. {title}: {snippet}" for number, (_, title, snippet) in enumerate(hits, 1))
    thought = f"\nWhat the agent thought last: {thoughts}" if thoughts else ""
    return f"Task: {task}{thought}\n\nResults:\n{listed}\n\nNumbers:"


def listing(dropped: Sequence[tuple[str, str, str]], handle: str | None) -> str:
    """The line that names what was left out."""
    names = "; ".join(f"[{name}] {title}" for name, title, _ in dropped)
    how = f" (all results in full: {handle})" if handle else ""
    return f"{LEFT_OUT}{how}: {names}"
