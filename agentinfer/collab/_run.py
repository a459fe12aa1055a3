"""Collab in one run."""

import asyncio
import dataclasses
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from pydantic import BaseModel

from agentinfer.collab._events import ModelSwitched, ProgressJudged, SwitchPutOff, TierChosen
from agentinfer.collab._failover import Failover
from agentinfer.collab._policy import PolicyState
from agentinfer.collab._price import Offer, pays
from agentinfer.collab._protocol import QUESTION
from agentinfer.collab._seats import Seat, Usual
from agentinfer.collab._thinking import mode_of, sampling_for, switch_for
from agentinfer.collab._verdict import Judgement, Verdict, judgement_of
from agentinfer.collab._vetoes import Evidence, Facts, Veto
from agentinfer.errors import AgentInferError, ModelError
from agentinfer.events import AttemptDiscarded
from agentinfer.ledger import Price
from agentinfer.models import Completion, ModelRequest, Sampling
from agentinfer.run import Run
from agentinfer.step import Middleware, ModelHandler, StepHandler, StepRequest, StepResult
from agentinfer.transcript import Message, View

if TYPE_CHECKING:
    from agentinfer.collab._plugin import Collab

__all__ = ["CollabState", "Collaboration"]

CHECK_TOKENS = 128
"""Tokens that a check of its own may write."""
CHECK_SECONDS = 1.0
"""No check of its own is made with less time than this."""

_WHY: dict[Veto, str] = {
    "same_search": "a call that was made before was made again",
    "nothing_new": "the results told nothing new",
    "tool_errors": "the tool calls failed",
    "malformed": "a reply could not be read",
    "sent_back": "the answer was sent back",
}


class CollabState(BaseModel):
    """What a run keeps of its collaboration."""

    policy: PolicyState | None = None
    stale: int = 0
    """Steps in a row that showed nothing new."""
    errors: int = 0
    """Steps in a row in which all tools failed."""
    last: str | None = None
    """The model of the last step."""
    told: str = ""
    """The suffix on thinking that holds."""
    cause: str = ""
    """Why the tier was changed last."""


class Collaboration(Middleware):
    """Chooses who makes each step of a run, and sees that somebody does."""

    def __init__(self, collab: "Collab", run: Run, seats: list[Seat], stack: AsyncExitStack) -> None:
        self._collab = collab
        self._run = run
        self._seats = seats
        self._failover = Failover(run, seats, stack)
        self._state = run.state("collab", CollabState)
        policy = self._state.policy
        if policy is None or max(policy.tier, collab.policy.executor) >= len(seats):
            self._state.policy = collab.policy.start()
        self._evidence = Evidence(_own(run), stale=self._state.stale, errors=self._state.errors)
        self._steps: dict[str, Usual] = {}
        """What a step of each model takes."""
        self._step = 0
        self._handed_over = -1
        """The step of the policy at which help was called for last."""
        self._against: tuple[Veto, ...] = ()
        """What spoke against progress in the last step."""
        self._made_by = seats[self._policy.tier]
        """Who makes the step that is made."""
        self._answered: tuple[StepResult, Facts, Seat] | None = None
        """A step that gave an answer; where another one follows, somebody has sent that back."""

    @property
    def _policy(self) -> PolicyState:
        assert self._state.policy is not None
        return self._state.policy

    async def step(self, request: StepRequest, handler: StepHandler) -> StepResult:
        """Choose a model, let it make the step, and judge what came of it."""
        self._step = request.index
        if self._answered is not None:
            result, facts, made_by = self._answered
            self._answered = None
            await self._judge(result, dataclasses.replace(facts, sent_back=True), made_by, asks=False)
        seat = self._made_by = self._choose(request)
        result = await handler(self._prepared(request, seat))
        facts = self._evidence.note(result)
        self._state.stale, self._state.errors = facts.stale, facts.errors
        if not result.usage.calls:  # a step for which no model was asked is nobody's
            return result
        made_by = self._made_by
        if made_by is not seat:
            result = result.replace(model=made_by.model.name)
        self._steps.setdefault(made_by.key, Usual()).note(result)
        self._state.last = made_by.key
        if result.answer is None:
            await self._judge(result, facts, made_by, asks=request.choice != "none")
        else:
            self._answered = result, facts, made_by
        return result

    async def model(self, request: ModelRequest, handler: ModelHandler) -> Completion:
        """Make a call; where its model fails, the nearest one that does not makes it."""
        seat = self._made_by
        if request.model is not seat.model:  # somebody else's choice
            return await handler(request)
        while True:
            opened = False
            try:
                await self._failover.open(seat)
                opened = True
                completion = await handler(request)
            except AgentInferError as error:
                other = self._failover.after_failure(seat, self._step, request, error)
                if other is None:
                    if opened:
                        raise
                    return await handler(request)  # it fails as it would have without this plug-in
                if isinstance(error, ModelError) and error.delivered:
                    self._run.emit(AttemptDiscarded(attempt=1, error=str(error)))
                self._state.cause = "recovered"
                seat = other
                request = request.replace(model=seat.model, sampling=self._sampling(request.sampling, seat, ""))
            else:
                self._made_by = seat
                return completion

    # Who makes the step

    def _choose(self, request: StepRequest) -> Seat:
        """The seat that the policy asks for, or who stands in for it."""
        seat = self._seats[self._policy.tier]
        cause = self._state.cause
        stand_in = self._failover.instead_of(seat, request.index, request.view)
        if stand_in is not None:
            self._state.cause = "recovered"
            seat, cause = stand_in[0], stand_in[1].cause
        before = self._state.last
        if before is not None and before != seat.key:
            self._run.emit(
                ModelSwitched(
                    step=request.index,
                    before=self._name(before),
                    model=seat.model.name,
                    cause=cause,
                    price=self._price(seat, request.view),
                )
            )
        return seat

    def _price(self, seat: Seat, view: View) -> Price:
        return self._run.price(view, model=seat.model)

    def _name(self, key: str) -> str:
        return next((seat.model.name for seat in self._seats if seat.key == key), key)

    # What it is sent

    def _prepared(self, request: StepRequest, seat: Seat) -> StepRequest:
        """The request as the seat's model is sent it; what it is told is appended, and stays."""
        policy, state = self._policy, self._state
        view, asks = request.view, request.choice != "none"
        called = policy.phase == "escalated" and policy.used == 0 and policy.steps != self._handed_over
        if self._collab.handover and asks and called:
            self._handed_over = policy.steps
            view = self._say(view, _handover(self._against))
        mode = mode_of(seat.think, policy, stale=state.stale, errors=state.errors)
        switch = switch_for(seat.thinking, mode, state.told)
        if switch.suffix:
            view = self._say(view, switch.suffix)
            if seat.thinking is not None and seat.thinking.lasting:
                state.told = switch.suffix
        self._run.emit(
            TierChosen(step=request.index, tier=seat.name, model=seat.model.name, phase=policy.phase, think=mode)
        )
        sampling = sampling_for(request.sampling, self._run.model, seat.model, switch.body)
        return request.replace(model=seat.model, view=view, sampling=sampling)

    def _say(self, view: View, text: str) -> View:
        """Append a message to the history, and to what this step sends."""
        whole = view is self._run.view
        message = Message.user(text)
        longer = self._run.append(message)
        return longer if whole else view.append(message)

    def _sampling(self, given: Sampling | None, seat: Seat, told: str) -> Sampling | None:
        """How another model than was meant to is to write: its prompt stays as it is."""
        mode = mode_of(seat.think, self._policy, stale=self._state.stale, errors=self._state.errors)
        body = switch_for(seat.thinking, mode, told).body
        return sampling_for(given, self._run.model, seat.model, body)

    # What came of it

    async def _judge(self, result: StepResult, facts: Facts, made_by: Seat, *, asks: bool) -> None:
        """Judge a step, and move on."""
        collab, state, before = self._collab, self._state, self._policy
        self._against = collab.vetoes.judge(facts)
        judgement = Judgement("yes") if collab.check == "off" else judgement_of(result.message)
        asked = asks and before.phase != "warmup" and self._has_to_ask(judgement, result, made_by)
        if asked:
            judgement = await self._ask(made_by)
        verdict: Verdict = "no" if self._against else judgement.verdict
        after = collab.policy.after(before, verdict)
        if before.phase == "escalated" and after.phase == "execute" and verdict == "yes":
            after = self._after_return(before, after, made_by, verdict)
        state.policy = after
        if after.tier != before.tier:
            state.cause = _cause(before, after, verdict)
        self._run.emit(
            ProgressJudged(
                step=result.index,
                tier=made_by.name,
                model=made_by.model.name,
                said=judgement.verdict,
                reason=judgement.reason,
                asked=asked,
                vetoes=self._against,
                verdict=verdict,
                fresh=facts.fresh,
            )
        )

    def _has_to_ask(self, judgement: Judgement, result: StepResult, made_by: Seat) -> bool:
        """Whether the verdict takes a call of its own: there is none yet, and the protocol does not see to it."""
        protocol, check = made_by.model.protocol.name, self._collab.check
        if judgement.verdict != "missing" or check in ("reply", "off") or protocol == "json":
            return False
        return check == "call" or (protocol != "tagged" and bool(result.message.tool_calls))

    def _after_return(self, before: PolicyState, after: PolicyState, here: Seat, verdict: Verdict) -> PolicyState:
        """The state after progress: back with the executor, unless that does not pay yet."""
        there = self._seats[after.tier]
        offer = self._offer(there)
        if there.key == here.key or pays(
            self._offer(here), offer, steps=self._collab.stay, economy=self._collab.economy
        ):
            return after
        stays = self._collab.policy.after(before, verdict, stay=True)
        if stays.phase == "escalated":
            self._run.emit(SwitchPutOff(step=self._step, model=there.model.name, price=offer.price))
        return stays

    def _offer(self, seat: Seat) -> Offer:
        usual = self._steps.get(seat.key) or Usual()
        price = self._price(seat, self._run.view)
        return Offer(price=price, step_seconds=usual.seconds, step_cost=usual.cost)

    async def _ask(self, seat: Seat) -> Judgement:
        """A call of its own, on the prefix of the steps: question and verdict stay in the history."""
        run = self._run
        left = None
        if run.limits.seconds is not None:
            left = run.limits.seconds - run.limits.reserved_seconds - run.seconds - CHECK_SECONDS
            if left < CHECK_SECONDS:
                return Judgement("missing")
        switch = switch_for(seat.thinking, "fast" if seat.thinking else None, "")
        question = Message.user("\n".join(filter(None, [QUESTION, switch.suffix])))
        sampling = dataclasses.replace(
            sampling_for(None, run.model, seat.model, switch.body) or seat.model.sampling, max_tokens=CHECK_TOKENS
        )
        try:
            async with asyncio.timeout(left):
                completion = await run.complete(
                    run.view.append(question), purpose="progress", model=seat.model, tools=run.tools, sampling=sampling
                )
        except (AgentInferError, TimeoutError):  # its event tells of it
            return Judgement("missing")
        judgement = judgement_of(completion.message)
        if judgement.verdict != "missing" and not completion.message.tool_calls:
            run.append(question, completion.message)
            if switch.suffix and seat.thinking is not None and seat.thinking.lasting:
                self._state.told = switch.suffix
        return judgement


def _cause(before: PolicyState, after: PolicyState, verdict: Verdict) -> str:
    """Why the tier changes."""
    if before.phase == "warmup":
        return "warmed_up"
    if after.phase == "escalated":
        return "no_progress"
    return "progress" if verdict == "yes" else "budget_spent"


def _own(run: Run) -> list[Message]:
    """What happened in this run: what stands before its question are examples, or earlier questions."""
    history = list(run.transcript)
    asked = [n for n, message in enumerate(history) if message.role == "user" and message.content == run.question]
    return history[asked[-1] :] if asked else history


def _handover(against: tuple[Veto, ...]) -> str:
    why = f" ({'; '.join(_WHY[veto] for veto in against)})" if against else ""
    return (
        f"The last steps brought no progress{why}. Look at what was tried and what is known, say what went wrong, and "
        "go on another way."
    )
