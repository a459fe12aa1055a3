"""The large or the small model for a whole question, chosen before it is asked.

A baseline to compare `Collab` with, in the manner of RouteLLM (arXiv 2406.18665): from questions that both models have
answered, a logistic regression learns how likely it is that only the large one gets a question right. Questions above
a threshold go to the large model, and the threshold is set so that it gets a wanted share of them.

```python
fit_router(outcomes_of("results/large", "results/small")).save("router.json")
agent = search_agent(large, corpus, plugins=[Router(small, path="router.json", share=0.4)])
```
"""

import hashlib
import math
import os
import re
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from agentinfer.collab._thinking import sampling_for
from agentinfer.errors import UserError
from agentinfer.events import Event
from agentinfer.models import Model
from agentinfer.run import Run
from agentinfer.step import Middleware, StepHandler, StepRequest, StepResult

__all__ = ["FEATURES", "Outcome", "Routed", "Router", "RouterModel", "fit_router", "outcomes_of"]

ROUNDS = 600
"""Steps of gradient descent; the problem is small and convex."""

_WORD = re.compile(r"\w+")
_FIRST = ("who", "what", "when", "where", "which", "how")
_LINKS = frozenset({"who", "whom", "whose", "which", "that", "where"})
_COMPARES = frozenset({"or", "both", "same", "than", "older", "younger", "earlier", "later", "more", "less"})


def _first(word: str) -> Callable[[list[str]], float]:
    return lambda words: float(word in [one.lower() for one in words[:3]])


FEATURES: Mapping[str, Callable[[list[str]], float]] = {
    "words": lambda words: math.log1p(len(words)),
    "names": lambda words: math.log1p(sum(word[0].isupper() for word in words[1:])),
    "numbers": lambda words: math.log1p(sum(word[0].isdigit() for word in words)),
    "of": lambda words: math.log1p(sum(word.lower() == "of" for word in words)),
    "links": lambda words: math.log1p(sum(word.lower() in _LINKS for word in words[1:])),
    "compares": lambda words: float(any(word.lower() in _COMPARES for word in words)),
    "long_words": lambda words: sum(len(word) > 7 for word in words) / max(len(words), 1),
    **{f"asks_{word}": _first(word) for word in _FIRST},
}
"""What is seen of a question, from its words."""


class Outcome(NamedTuple):
    """A question that both models have answered."""

    question: str
    large: bool
    """Whether the large model solved it."""
    small: bool


class RouterModel(BaseModel):
    """A fitted router."""

    model_config = ConfigDict(frozen=True)

    features: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    bias: float
    scores: tuple[float, ...]
    """Of the questions it was fitted on, in ascending order: a share is turned into a threshold by these."""

    def score(self, question: str) -> float:
        """How likely it is that only the large model gets a question right.

        Questions that look alike differ in the seventh digit, by chance, so that any share of them can be chosen.
        """
        return _probability(self.weights, self.bias, self._scaled(question)) + _tie(question)

    def threshold(self, share: float) -> float:
        """The score from which on a question goes to the large model, so that this share of them does."""
        if share <= 0:
            return math.inf
        place = len(self.scores) - round(share * len(self.scores))
        return self.scores[min(place, len(self.scores) - 1)] if place > 0 else -math.inf

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write it as JSON."""
        Path(path).write_text(self.model_dump_json(indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "RouterModel":
        """Read what `save` wrote.

        Raises:
            UserError: It is no router, or one of other features.
        """
        try:
            router = cls.model_validate_json(Path(path).read_bytes())
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read the router {path}: {error}") from None
        lengths = {len(column) for column in (router.means, router.scales, router.weights)}
        if router.features != tuple(FEATURES) or lengths != {len(FEATURES)} or not router.scores:
            raise UserError(f"the router {path} was fitted on other features: fit it again")
        return router

    def _scaled(self, question: str) -> list[float]:
        values = zip(_seen(question), self.means, self.scales, strict=True)
        return [(value - mean) / scale for value, mean, scale in values]


def fit_router(outcomes: Iterable[Outcome], *, l2: float = 1.0) -> RouterModel:
    """Fit a router.

    Args:
        outcomes: Questions that both models have answered.
        l2: How strongly weights are held small, as the number of questions that would speak against them.

    Raises:
        UserError: There are no questions.
    """
    rows = list(outcomes)
    if not rows:
        raise UserError("there is no question that both models have answered: nothing to fit a router on")
    columns = list(zip(*(_seen(row.question) for row in rows), strict=True))
    means = [math.fsum(column) / len(rows) for column in columns]
    spreads = [
        math.sqrt(math.fsum((value - mean) ** 2 for value in column) / len(rows))
        for column, mean in zip(columns, means, strict=True)
    ]
    scales = [spread if spread > 1e-9 else 1.0 for spread in spreads]
    scaled = [[(x - m) / s for x, m, s in zip(_seen(row.question), means, scales, strict=True)] for row in rows]
    wins = [float(row.large and not row.small) for row in rows]
    weights, bias = _descend(scaled, wins, l2)
    router = RouterModel(
        features=tuple(FEATURES),
        means=tuple(means),
        scales=tuple(scales),
        weights=tuple(weights),
        bias=bias,
        scores=(),
    )
    return router.model_copy(update={"scores": tuple(sorted(router.score(row.question) for row in rows))})


def outcomes_of(large: str | os.PathLike[str], small: str | os.PathLike[str]) -> list[Outcome]:
    """The questions that two folders of `agentinfer eval` have in common.

    Raises:
        EvalError: A folder cannot be read.
    """
    from agentinfer.evals import load_records

    others = {record.id: record for record in load_records(small)}
    return [
        Outcome(record.question, record.solved, others[record.id].solved)
        for record in load_records(large)
        if record.id in others
    ]


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Routed(Event):
    """A question was given to a model."""

    model: str
    score: float
    threshold: float


class Router:
    """A plug-in: each question is answered by the large or the small model alone.

    Args:
        small: The small model; the run's own is the large one.
        path: The fitted router, as `RouterModel.save` wrote it.
        share: Which share of the questions goes to the large model.

    Raises:
        UserError: The router cannot be read, or the share is none.
    """

    def __init__(self, small: Model, *, path: str | os.PathLike[str], share: float = 0.5) -> None:
        if not 0 <= share <= 1:
            raise UserError(f"Router(share={share}): a share is between 0 and 1")
        self.small = small
        self.router = RouterModel.load(path)
        self.limit = self.router.threshold(share)
        """The score from which on a question goes to the large model."""

    @asynccontextmanager
    async def bind(self, run: Run) -> AsyncIterator[Middleware]:
        """Choose the run's model."""
        score = self.router.score(run.question)
        chosen = run.model if score >= self.limit else self.small
        run.emit(Routed(model=chosen.name, score=score, threshold=self.limit))
        async with AsyncExitStack() as stack:
            if chosen is self.small:
                await stack.enter_async_context(chosen)
            yield _Chosen(chosen, run)


class _Chosen(Middleware):
    def __init__(self, model: Model, run: Run) -> None:
        self._model = model
        self._run = run

    async def step(self, request: StepRequest, handler: StepHandler) -> StepResult:
        if self._model is self._run.model:
            return await handler(request)
        sampling = sampling_for(request.sampling, self._run.model, self._model, {})
        return await handler(request.replace(model=self._model, sampling=sampling))


def _seen(question: str) -> list[float]:
    words = _WORD.findall(question)
    return [feature(words) for feature in FEATURES.values()]


def _tie(question: str) -> float:
    """A number from 0 to a millionth that is always the same for a question."""
    return int.from_bytes(hashlib.sha256(question.encode()).digest()[:4]) / 2**32 * 1e-6


def _probability(weights: Sequence[float], bias: float, row: Sequence[float]) -> float:
    total = bias + math.fsum(weight * value for weight, value in zip(weights, row, strict=True))
    return 1 / (1 + math.exp(-max(min(total, 30.0), -30.0)))


def _descend(rows: Sequence[Sequence[float]], wins: Sequence[float], l2: float) -> tuple[list[float], float]:
    """The weights and the bias of a logistic regression, by gradient descent on columns of unit spread."""
    count, width = len(rows), len(rows[0])
    weights, bias = [0.0] * width, 0.0
    rate = 4 / (1 + width + l2 / count)  # below the inverse of the steepest curvature
    for _ in range(ROUNDS):
        errors = [_probability(weights, bias, row) - win for row, win in zip(rows, wins, strict=True)]
        for place in range(width):
            slope = math.fsum(error * row[place] for error, row in zip(errors, rows, strict=True))
            weights[place] -= rate * (slope + l2 * weights[place]) / count
        bias -= rate * math.fsum(errors) / count
    return weights, bias
