"""The plug-in: guidelines given to runs, and learned from them."""

import math
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Literal

from agentinfer.background import Background
from agentinfer.errors import UserError
from agentinfer.models import Model
from agentinfer.result import RunResult
from agentinfer.run import Feedback, Run
from agentinfer.scope._accept import AcceptPolicy
from agentinfer.scope._bound import Bound
from agentinfer.scope._explore import Exploration, Verifier, explore
from agentinfer.scope._guideline import Space
from agentinfer.scope._learn import judge_all
from agentinfer.scope._learner import moves
from agentinfer.scope._perspective import CURRENT, EFFICIENCY, THOROUGHNESS, Perspective
from agentinfer.scope._sqlite import SqliteStore
from agentinfer.scope._state import ScopeState, Settings, own_outcome
from agentinfer.scope._store import MemoryStore, Outcome, Store
from agentinfer.scope._trial import TrialPolicy
from agentinfer.step import Middleware

__all__ = ["Scope"]


class Scope:
    """Guidelines that evolve from runs and have to earn their place (after SCOPE, arXiv 2512.15374).

    Tactical guidelines live in one run: they are appended behind its prefix as soon as they are there. Strategic ones
    are kept in a store and given to later runs at their start; they are on trial until runs with and without them tell
    whether they help.

    Args:
        store: Where guidelines are kept: a `Store`, or the path of a SQLite file; in memory unless given.
        memory: Whose guidelines these are, within a tenant: agents with different tasks keep them apart.
        small: The model that writes guidelines; the run's own unless given.
        placement: Where strategic guidelines stand: in the `system` prompt, at the `end` of the conversation as it is
            when the run starts, or `both`.
        learn: `beside` the steps; `after` the run, where calls beside it would disturb it, as on a server with one
            slot; `off`: guidelines are given, and nothing is written.
        give: Which strategic guidelines runs are given: the `active` ones, which may be on trial; or those alone that
            were `kept`, as they were shown to help.
        evidence: What a run's score is: its own `outcome` until somebody gives feedback, or `feedback` alone.
        score: From a run's result to its own outcome, 0 to 1, or `None` for none; `own_outcome` unless given.
        texts: Whether what tools returned may be read to learn from a failed call. A strategic guideline drawn from
            it is quarantined.
        best_of: How many drafts are made of each situation, where the budget allows.
        share: What learning from a run may take at most, as a share of what the run itself takes: money where both
            prices are known, else tokens.
        timeout: Seconds for learning from one situation: up to four calls, one behind the other. After it a draft that
            was not classified is for its own task only.
        max_tokens: Completion tokens of one call for learning, reasoning included.
        tokens: Tokens that all learning may take.
        cost: Money that all learning may take.
        max_chars: Characters of all strategic guidelines that a run is given.
        accept: When a draft is taken: an `AcceptPolicy`, or its settings.
        trial: How sure one has to be that it helps: a `TrialPolicy`, or its settings.

    Raises:
        UserError: The settings do not go together.
    """

    def __init__(
        self,
        store: Store | str | os.PathLike[str] | None = None,
        *,
        memory: str = "default",
        small: Model | None = None,
        placement: Literal["system", "end", "both"] = "system",
        learn: Literal["beside", "after", "off"] = "beside",
        give: Literal["active", "kept"] = "active",
        evidence: Literal["outcome", "feedback"] = "outcome",
        score: Callable[[RunResult[Any]], float | None] = own_outcome,
        texts: bool = True,
        best_of: int = 2,
        share: float = 0.25,
        timeout: float = 180.0,
        max_tokens: int = 400,
        tokens: int | None = None,
        cost: float | None = None,
        max_chars: int = 6000,
        accept: AcceptPolicy | Mapping[str, Any] | None = None,
        trial: TrialPolicy | Mapping[str, Any] | None = None,
    ) -> None:
        for name, value, known in (
            ("placement", placement, ("system", "end", "both")),
            ("learn", learn, ("beside", "after", "off")),
            ("give", give, ("active", "kept")),
            ("evidence", evidence, ("outcome", "feedback")),
        ):
            if value not in known:
                raise UserError(f"Scope({name}={value!r}): {', '.join(known)}")
        if best_of < 1 or not 0 <= share < math.inf or not timeout > 0 or min(max_tokens, max_chars) < 0:
            raise UserError(
                "Scope: best_of is at least 1, share is finite, timeout is positive, no other number is negative"
            )
        self.store = _store_of(store)
        self.memory = memory
        self.background = Background("scope", tokens=tokens, cost=cost)
        self.settings = Settings(
            small=small,
            placement=placement,
            learn=learn,
            give=give,
            evidence=evidence,
            score=score,
            texts=texts,
            best_of=best_of,
            share=share,
            timeout=timeout,
            max_tokens=max_tokens,
            max_chars=max_chars,
            accept=accept if isinstance(accept, AcceptPolicy) else AcceptPolicy(**(accept or {})),
            trial=trial if isinstance(trial, TrialPolicy) else TrialPolicy(**(trial or {})),
        )

    def __repr__(self) -> str:
        return f"Scope({self.store!r}, memory={self.memory!r}, placement={self.settings.placement!r})"

    @asynccontextmanager
    async def bind(self, run: Run) -> AsyncIterator[Middleware]:
        """Give a run its guidelines, and learn from it.

        Raises:
            UserError: The run has another Scope of the same memory.
            StoreError: The guidelines cannot be read.
        """
        perspective = CURRENT.get()
        state = run.state(self._name, ScopeState)
        if state.bound is not None:
            raise UserError(f"a run has one Scope of each memory, and two of {self.memory!r}: give one another name")
        if not state.given:
            state.memory = self.memory if perspective is None else f"{self.memory}/{perspective.name}"
        focus = "" if perspective is None else perspective.focus
        bound = Bound(run, state, self._space(run, state), self.store, self.background, self.settings, focus)
        state.bind(bound)
        await bound.give()
        yield bound
        bound.leave()

    async def feedback(self, run: Run, feedback: Feedback) -> None:
        """Hear what somebody thought of a run's result: it replaces the run's own outcome, and a bad one is a lesson.

        Raises:
            StoreError: It could not be written.
        """
        state = run.state(self._name, ScopeState)
        if self.settings.learn == "off" or not math.isfinite(feedback.score):
            return
        score = min(max(feedback.score, 0.0), 1.0)
        space, trial = self._space(run, state), self.settings.trial
        outcome = Outcome(run=run.id, score=score, shown=tuple(state.shown), held_out=tuple(state.held_out), firm=True)
        await self.store.record(space, outcome)
        for event in moves(await judge_all(self.store, space, trial)):
            self.background.emit(event)
        if state.bound is not None:
            state.bound.judged(score)

    async def explore(
        self,
        agent: Any,
        question: str,
        perspectives: tuple[Perspective, ...] = (EFFICIENCY, THOROUGHNESS),
        *,
        choose: "Literal['vote'] | Verifier | Model" = "vote",
        **settings: Any,
    ) -> Exploration:
        """Ask a question from several perspectives side by side, each with its own memory; one answer is chosen.

        Args:
            agent: An agent that has this plug-in.
            question: What the user wants.
            perspectives: What guidelines are to be good for, run by run.
            choose: The rule: `vote`, the answer that most runs give; a verifier, an async function from question and
                answer to a score, the highest of which wins; or a model that judges. Ties, and a judge who cannot be
                understood, go to the vote; ties of the vote go to the perspective that is named first.
            settings: Further arguments of `agent.run`, such as `limits` and `tenant`; not `session`.

        Raises:
            UserError: The agent has not this plug-in, or the arguments do not go together.
        """
        if self not in agent.plugins:
            raise UserError("explore needs an agent that has this Scope among its plugins")
        return await explore(agent, question, perspectives, choose, self.background, settings)

    @property
    def _name(self) -> str:
        return f"scope/{self.memory}"

    @staticmethod
    def _space(run: Run, state: ScopeState) -> Space:
        return Space(run.tenant, state.memory)


def _store_of(store: Store | str | os.PathLike[str] | None) -> Store:
    if store is None:
        return MemoryStore()
    return SqliteStore(store) if isinstance(store, str | os.PathLike) else store
