"""AgentSAM as a plug-in: it learns what agents write, and tells endpoints that take it what they are about to write."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from agentinfer._threads import run_in_thread
from agentinfer.background import Background
from agentinfer.errors import RequestRefused, UserError
from agentinfer.events import Event
from agentinfer.models import Completion, ModelRequest
from agentinfer.run import Run
from agentinfer.sam._feed import Feed
from agentinfer.sam._gain import prediction_floor
from agentinfer.sam._index import DraftIndex
from agentinfer.sam._repeats import ActionRepeats, action_of
from agentinfer.sam._session import SessionDrafts
from agentinfer.sam._store import load_index, save_index
from agentinfer.sam._tokens import Tokenizer, tokenizer_for
from agentinfer.step import Middleware, ModelHandler, StepHandler, StepRequest, StepResult

__all__ = ["PredictionRefused", "PredictionSent", "RunRepeats", "Sam", "excludes_prediction"]

EXCLUDING = (
    "tools",
    "functions",
    "max_completion_tokens",
    "logprobs",
    "top_logprobs",
    "presence_penalty",
    "frequency_penalty",
    "audio",
    "modalities",
)
"""Fields of a request that exclude a `prediction`; so does an `n` that is not 1."""
FADES = 0.01
"""The share of what was learned of a model's predictions that a call without one takes away."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PredictionSent(Event):
    """A call went out with a prediction of its reply."""

    model: str
    tokens: int
    """Of the prediction, about."""
    expected: float
    """How many of them were expected to be accepted."""
    accepted: int | None
    """As the endpoint reported it."""
    rejected: int | None
    """As the endpoint reported it; they are billed."""


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class PredictionRefused(Event):
    """The endpoint did not take a call with a prediction; no more are sent to that model."""

    model: str
    error: str


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class RunRepeats(Event):
    """The last actions were made before, in the same order and about the same thing."""

    step: int
    actions: int
    times: int
    """How often, the latest included."""


class Sam:
    """A plug-in: an index of what sessions have said, and predictions drawn from it.

    Everything said in a run is learned, per tenant; a session's later runs, and other sessions of the tenant, draft
    from it. Where the model's profile has `prediction` and the request has nothing that excludes it, the likely
    beginning of the reply is sent along, as far as each token pays.

    Args:
        path: A folder in which the index is kept between programs; in memory only unless given.
        worth: How many rejected tokens, each billed as one written, an accepted one is worth: it comes sooner. 0 sends
            no predictions.
        least: Tokens that have to be expected to be accepted for a prediction to be sent at all.
        most: Tokens of a prediction at most.
        max_tokens: Of all earlier sessions together, in tokens of `tokenizer`; four bytes each.
        similar: How many earlier sessions are drafted from at once; 0 for none.
        tokenizer: `bytes`, or an encoding of tiktoken whose table is on disk; the best that can be had unless given.
        repeats: How many actions in a row have to come again for a `RunRepeats`; 0 for never.

    Raises:
        UserError: The settings do not go together.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        worth: float = 1.0,
        least: int = 16,
        most: int = 2000,
        max_tokens: int = 16_000_000,
        similar: int = 32,
        tokenizer: str | Tokenizer | None = None,
        repeats: int = 2,
    ) -> None:
        if worth < 0 or min(least, most, max_tokens, similar, repeats) < 0:
            raise UserError("Sam: its numbers must not be negative")
        try:
            named = isinstance(tokenizer, str) or tokenizer is None
            self.tokenizer: Tokenizer = tokenizer_for(tokenizer) if named else tokenizer  # type: ignore[arg-type, assignment]
        except (FileNotFoundError, ImportError, ValueError) as error:
            raise UserError(f"Sam(tokenizer={tokenizer!r}): {error}") from None
        self.index = DraftIndex(max_tokens=max_tokens, similar=similar)
        self.background = Background("sam")
        self.path = None if path is None else os.path.join(path, self.tokenizer.name)
        self.worth = worth
        self.least = least
        self.most = most
        self.repeats = repeats
        self._feeds: WeakKeyDictionary[SessionDrafts, Feed] = WeakKeyDictionary()
        self._trust: dict[tuple[str | None, str, str], float] = {}
        """Tokens accepted per token expected to be, by tenant, endpoint and model: a moving average."""
        self._refused: set[tuple[str, str]] = set()
        self._loaded: set[str | None] = set()
        self._unsaved: set[str | None] = set()
        self._saving = False

    def __repr__(self) -> str:
        return f"Sam(path={self.path!r}, worth={self.worth}, tokenizer={self.tokenizer.name!r})"

    @asynccontextmanager
    async def bind(self, run: Run) -> AsyncIterator[Middleware]:
        """Learn from a run, and predict for it."""
        if self.path is not None and run.tenant not in self._loaded:
            self._loaded.add(run.tenant)
            self.background.spawn(self._load(run.tenant), name="sam: load")
        key = f"session {run.session}" if run.session is not None else f"run {run.id}"
        drafts = self.index.session(key, tenant=run.tenant)
        feed = self._feeds.get(drafts)
        if feed is None:
            feed = self._feeds[drafts] = Feed(self.tokenizer)
        try:
            yield _Bound(self, run, feed, drafts)
        finally:
            try:
                async with feed.lock:
                    await feed.hear(drafts, run.transcript)
                    if run.session is not None:
                        self.index.share(key, tenant=run.tenant)
            finally:
                if run.session is None:
                    self.index.close(key, tenant=run.tenant)
            if self.path is not None:
                self._unsaved.add(run.tenant)
                if not self._saving:
                    self._saving = True
                    self.background.spawn(self._save(), name="sam: save")

    def predicts(self, request: ModelRequest) -> bool:
        """Whether this request may carry a prediction."""
        return self.worth > 0 and _key(request) not in self._refused and not excludes_prediction(request)

    def floor(self, request: ModelRequest, tenant: str | None = None) -> float:
        """The probability from which on a token of a tenant's reply is sent to this model."""
        return prediction_floor(self.worth, self._trust.get((tenant, *_key(request)), 1.0))

    def learned(self, request: ModelRequest, expected: float, accepted: int, tenant: str | None = None) -> None:
        """Hear how much of a tenant's prediction was accepted."""
        self._learn(request, tenant, min(accepted / expected, 2.0), 0.3)

    def unsent(self, request: ModelRequest, tenant: str | None = None) -> None:
        """Hear that too little was expected for a prediction to be sent. What was learned fades, and is tried anew."""
        if (tenant, *_key(request)) in self._trust:
            self._learn(request, tenant, 1.0, FADES)

    def _learn(self, request: ModelRequest, tenant: str | None, share: float, weight: float) -> None:
        key = (tenant, *_key(request))
        self._trust[key] = max((1 - weight) * self._trust.get(key, 1.0) + weight * share, 0.05)

    def refused(self, request: ModelRequest) -> None:
        """Hear that a model's endpoint does not take predictions."""
        self._refused.add(_key(request))

    async def _load(self, tenant: str | None) -> None:
        path = self.path
        assert path is not None
        await run_in_thread(lambda: load_index(self.index, path, tenant=tenant))

    async def _save(self) -> None:
        path = self.path
        assert path is not None
        try:
            while self._unsaved:
                tenant = self._unsaved.pop()
                await run_in_thread(lambda tenant=tenant: save_index(self.index, path, tenant=tenant))  # type: ignore[misc]
        finally:
            self._saving = False


class _Bound(Middleware):
    """What Sam does in one run."""

    def __init__(self, sam: Sam, run: Run, feed: Feed, drafts: SessionDrafts) -> None:
        self._sam = sam
        self._run = run
        self._feed = feed
        self._drafts = drafts
        self._repeats = ActionRepeats(least=sam.repeats) if sam.repeats else None

    async def step(self, request: StepRequest, handler: StepHandler) -> StepResult:
        """Watch for a run that repeats itself."""
        result = await handler(request)
        for made in result.results if self._repeats else ():
            assert self._repeats is not None
            found = self._repeats.note(action_of(made.call))
            if found is not None:
                self._run.emit(RunRepeats(step=result.index, actions=found.actions, times=found.times))
        return result

    async def model(self, request: ModelRequest, handler: ModelHandler) -> Completion:
        """Send a prediction along where it pays."""
        sam = self._sam
        if request.prediction is not None or not sam.predicts(request):
            return await handler(request)
        async with self._feed.lock:
            await self._feed.hear(self._drafts, self._run.transcript)
            most = round(sam.most / sam.tokenizer.per_token)
            draft = self._feed.draft_reply(self._drafts, most, sam.floor(request, self._run.tenant))
        tokens = draft.tokens
        if sam.tokenizer.end in tokens:
            draft = draft.cut(tokens.index(sam.tokenizer.end))
        expected = draft.expected * sam.tokenizer.per_token
        text = sam.tokenizer.decode(draft.tokens)
        if expected < sam.least or not text:
            sam.unsent(request, self._run.tenant)
            return await handler(request)
        try:
            completion = await handler(request.replace(prediction=text))
        except RequestRefused as error:  # whatever it was, without the prediction it is the caller's own request
            completion = await handler(request)
            sam.refused(request)
            self._run.emit(PredictionRefused(model=request.model.name, error=str(error)))
            return completion
        usage = completion.usage
        if usage.accepted_prediction_tokens is not None:
            sam.learned(request, expected, usage.accepted_prediction_tokens, self._run.tenant)
        self._run.emit(
            PredictionSent(
                model=request.model.name,
                tokens=round(len(draft.tokens) * sam.tokenizer.per_token),
                expected=expected,
                accepted=usage.accepted_prediction_tokens,
                rejected=usage.rejected_prediction_tokens,
            )
        )
        return completion


def excludes_prediction(request: ModelRequest) -> bool:
    """Whether an endpoint cannot take a prediction with this request, or at all."""
    profile, sampling = request.model.profile, request.sampling or request.model.sampling
    if not profile.prediction or request.model.wishes(request).tools is not None:
        return True
    limited = sampling.max_tokens is not None or profile.default_max_tokens is not None
    if limited and profile.max_tokens_field == "max_completion_tokens":
        return True
    body = {**profile.extra_body, **sampling.extra}
    return body.get("n", 1) != 1 or any(body.get(name) for name in EXCLUDING)


def _key(request: ModelRequest) -> tuple[str, str]:
    return request.model.endpoint, request.model.name
