"""One run: its history, what it spent, and what plug-ins keep in it."""

import dataclasses
import time
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel

from agentinfer.background import Tasks
from agentinfer.calls import Calls
from agentinfer.errors import BudgetSpent, UserError
from agentinfer.events import Event, ModelDelta, PluginFailed, ViewCommitted
from agentinfer.ledger import Ledger, Price
from agentinfer.limits import Forecast, Limits, Spent, judge
from agentinfer.models import Completion, Model, ModelRequest, Sampling
from agentinfer.output import Output
from agentinfer.protocol import ToolChoice
from agentinfer.step import StepResult
from agentinfer.tools import ToolSet, Workspace, fence_nonce
from agentinfer.transcript import Message, View
from agentinfer.usage import Usage

__all__ = ["DUMP_VERSION", "Change", "Feedback", "Run"]

State = TypeVar("State", bound=BaseModel)

DUMP_VERSION = 1
"""The version of what `Run.dump` gives."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Feedback:
    """What somebody thought of a run's result."""

    score: float
    """0 (useless) to 1 (right)."""
    source: str
    """Who says so: a user, a grader."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A change of what is sent that can wait until the prefix breaks anyway.

    Its functions may be called more than once, to price or to pre-warm what would be sent: they only return.
    """

    view: Callable[[View], View] | None = None
    tools: Callable[[ToolSet], ToolSet] | None = None


class Run:
    """One run. Plug-ins get it in `bind`; the result keeps it.

    Made by `Agent`; not meant to be made by others.
    """

    def __init__(
        self,
        *,
        question: str,
        model: Model,
        tools: ToolSet,
        limits: Limits,
        ledger: Ledger,
        session: str | None,
        tenant: str | None,
        resume: Mapping[str, Any] | None,
        observe: Callable[[Event], None] | None,
    ) -> None:
        self.id: str = resume["id"] if resume else uuid.uuid4().hex
        """32 hexadecimal digits; a resumed run keeps its own."""
        self.question = question
        self.nonce = fence_nonce(question)
        """Marks the fences around what strangers wrote; the same for the same question, so that prefixes last."""
        self.model = model
        self.tools = tools
        self.limits = limits
        self.workspace = Workspace()
        """Where results too long to show are kept whole."""
        self.session = session
        self.tenant = tenant
        self.events: list[Event] = []
        """What happened, the deltas of replies left out."""
        self.steps: list[StepResult] = []
        self.steps_before = int(resume["steps"]) if resume else 0
        """Steps made before the run was dumped and resumed."""
        self.given_up = 0
        """Steps that plug-ins stopped at work; they count, and have no result."""
        self.transcript = View()
        """Everything that happened, whole."""
        self.calls = Calls(ledger, trunk=self.id, emit=self.emit, priced=limits.cost is not None)
        self.tasks = Tasks(lambda name, error: self.plugin_failed(name, "background", error))
        self.listeners: list[Callable[[Run, Feedback], Awaitable[None]]] = []
        self.opening = 0
        """How many messages at the beginning of the history are the agent's own: its instructions and examples."""
        self.pending: dict[str, Change] = {}
        """Changes that wait until somebody breaks the prefix anyway, by their cause; see `commit_with_pending`."""
        self.started = time.monotonic()
        self._observe = observe
        self._observer_failed = False
        self._view = self.transcript
        self._states: dict[str, BaseModel] = {}
        self._dumped_states: Mapping[str, Any] = resume["states"] if resume else {}
        if resume:
            transcript = View(Message.from_dict(message) for message in resume["transcript"])
            view = resume["view"]
            self.restore(transcript, transcript if view is None else View(Message.from_dict(m) for m in view))
            self.calls.usage = Usage(**resume["usage"])

    # What is sent

    @property
    def goes_on(self) -> bool:
        """Whether there are replies already: of an earlier conversation, or of this run where it is resumed."""
        return any(message.role == "assistant" for message in self.transcript[self.opening :])

    @property
    def view(self) -> View:
        """What the next step will send."""
        return self._view

    def append(self, *messages: Message) -> View:
        """Add to the history, to the transcript and to the view alike.

        Returns:
            The view with these messages.
        """
        whole = self._view is self.transcript
        self.transcript = self.transcript.append(*messages)
        self._view = self.transcript if whole else self._view.append(*messages)
        return self._view

    def commit(self, view: View, cause: str, *, covers: int | None = None) -> View:
        """Change what is sent from the next step on.

        Args:
            view: What to send instead.
            cause: Why, for the events: the change may cost the prefix that the endpoint has cached.
            covers: How many messages of the transcript the view accounts for; those that came after are added to its
                end. All of them unless given.

        Returns:
            The view that stands now.
        """
        before = len(self._view)
        self._view = view if covers is None else view.append(*self.transcript[covers:])
        self.calls.note_cause(cause)
        self.emit(ViewCommitted(cause=cause, messages_before=before, messages_after=len(self._view)))
        return self._view

    def with_pending(self, view: View, causes: Iterable[str]) -> tuple[View, ToolSet]:
        """What would be sent if the pending changes of these causes were made on a view; nothing is made yet.

        A change that raises is dropped, and an event tells of it.
        """
        tools = self.tools
        for cause in causes:
            change = self.pending.get(cause)
            try:
                if change is not None and change.view is not None:
                    view = change.view(view)
                if change is not None and change.tools is not None:
                    tools = change.tools(tools)
            except Exception as error:  # noqa: BLE001 - a plug-in never takes the run down
                del self.pending[cause]
                self.plugin_failed(cause, "pending", error)
        return view, tools

    def commit_with_pending(self, view: View, cause: str, causes: Iterable[str]) -> View:
        """Commit a view that breaks the prefix, and make the pending changes of these causes with it.

        Args:
            view: What to send instead; it accounts for the whole transcript.
            cause: Why.
            causes: Which pending changes to make; they are no longer pending then.
        """
        causes = tuple(causes)
        view, self.tools = self.with_pending(view, causes)
        made = [name for name in causes if self.pending.pop(name, None) is not None]
        return self.commit(view, "; ".join([cause, *made]))

    # Model calls of plug-ins

    async def complete(
        self,
        view: View,
        *,
        purpose: str,
        model: Model | None = None,
        tools: ToolSet | None = None,
        output: Output[Any] | None = None,
        choice: ToolChoice = "none",
        sampling: Sampling | None = None,
        cause: str | None = None,
    ) -> Completion:
        """A plug-in's own model call: on the run's account, in its limits and its events.

        Args:
            view: What to send.
            purpose: What the call is for; calls of one purpose share a lane of their own.
            model: The run's model unless given.
            tools: The tools to name; with the run's own tools the call shares the prefix of the steps.
            output: The type of the answer.
            choice: Whether tools may be called.
            sampling: How to write.
            cause: Why the call does not continue the last one of its purpose.

        Raises:
            ModelError: The call failed, or would not fit the run's limits.
            UserError: The purpose is the loop's own.
        """
        return await self.make(
            ModelRequest(
                model=model or self.model,
                view=view,
                tools=tools or ToolSet(),
                output=output,
                choice=choice,
                sampling=sampling,
                purpose=purpose,
                cause=cause,
            )
        )

    async def make(self, request: ModelRequest) -> Completion:
        """As `complete`, of a request that is there: what `Background.calls.make` is for work that outlives the run.

        Raises:
            ModelError: The call failed, or would not fit the run's limits.
            UserError: The purpose is the loop's own.
        """
        if request.purpose == "step":
            raise UserError("The purpose 'step' is the loop's own")
        self._check_room(request)
        return await self.calls.make(request)

    def _check_room(self, request: ModelRequest) -> None:
        """An answer must still be affordable after a plug-in's call."""
        limits = self.limits
        if limits.tokens is None and limits.cost is None:
            return
        price, usage = self.calls.ledger.price(request), self.usage
        after = Spent(
            tokens=usage.total_tokens + price.prompt_tokens,
            cost=None if usage.cost is None or price.cost is None else usage.cost + price.cost,
        )
        prompt = self.price(self._view).prompt_tokens
        if judge(limits, after, Forecast(prompt_tokens=prompt, pricing=self.model.pricing)).action == "stop":
            raise BudgetSpent(
                f"{request.purpose}: {price.prompt_tokens} tokens of prompt leave too little for an answer"
            )

    def price(self, view: View, *, model: Model | None = None, tools: ToolSet | None = None) -> Price:
        """What sending a view in the next step would cost.

        Args:
            view: What to send.
            model: To whom; the run's model unless given.
            tools: With which tools; the run's tools unless given.
        """
        return self.calls.ledger.price(
            ModelRequest(model=model or self.model, view=view, tools=self.tools if tools is None else tools)
        )

    # What plug-ins do and keep

    def emit(self, event: Event) -> None:
        """Tell of something that happened. Does not wait for anybody."""
        if not isinstance(event, ModelDelta):
            self.events.append(event)
        if self._observe is None:
            return
        try:
            self._observe(event)
        except Exception as error:  # noqa: BLE001 - who watches a run does not take it down
            if not self._observer_failed:
                self._observer_failed = True
                self.plugin_failed(getattr(self._observe, "__qualname__", "on_event"), "on_event", error)

    def spawn(self, work: Coroutine[Any, Any, Any], *, name: str = "run") -> None:
        """Start work beside the loop. It is cancelled when the run ends; an exception in it is a `PluginFailed`.

        Args:
            work: A coroutine that was not awaited yet.
            name: What its failure is told under.
        """
        self.tasks.spawn(work, name=name)

    def state(self, name: str, type_: type[State]) -> State:
        """The registered state of that name: dumped and loaded with the run.

        Args:
            name: The plug-in's own.
            type_: A pydantic model, each field of which has a default.

        Raises:
            UserError: The name is taken by a state of another type, or what was dumped does not fit.
        """
        if name not in self._states:
            try:
                self._states[name] = type_.model_validate(self._dumped_states.get(name, {}))
            except ValueError as error:
                raise UserError(f"The dumped state {name!r} does not fit {type_.__name__}: {error}") from None
        state = self._states[name]
        if not isinstance(state, type_):
            raise UserError(f"The state {name!r} is a {type(state).__name__} already")
        return state

    def plugin_failed(self, plugin: str, where: str, error: BaseException) -> None:
        """Tell of a plug-in that raised."""
        self.emit(PluginFailed(plugin=plugin, where=where, error=f"{type(error).__name__}: {error}"))

    def dump(self) -> dict[str, Any]:
        """The run as JSON-able data, for `agent.run(resume=...)`. Work in flight is not in it."""
        return {
            "version": DUMP_VERSION,
            "id": self.id,
            "question": self.question,
            "session": self.session,
            "tenant": self.tenant,
            "steps": self.steps_before + len(self.steps),
            "usage": dataclasses.asdict(self.calls.usage),
            "transcript": [message.to_dict() for message in self.transcript],
            "view": None if self._view is self.transcript else [message.to_dict() for message in self._view],
            "states": {**self._dumped_states, **{n: s.model_dump(mode="json") for n, s in self._states.items()}},
        }

    def restore(self, transcript: View, view: View) -> None:
        """Go on from an earlier history, before the first step."""
        self.transcript = transcript
        # A view as long as the transcript's own storage is the transcript, and stays so.
        self._view = transcript if view.shares_storage(transcript) else view

    async def feedback(self, score: float, source: str) -> None:
        """Tell the plug-ins what somebody thought of the result, also long after the run.

        Args:
            score: 0 (useless) to 1 (right).
            source: Who says so.
        """
        for listener in self.listeners:
            try:
                await listener(self, Feedback(score=score, source=source))
            except Exception as error:  # noqa: BLE001 - a plug-in never takes anybody down
                self.plugin_failed(getattr(listener, "__qualname__", "?"), "feedback", error)

    @property
    def usage(self) -> Usage:
        """What the run has spent so far, its plug-ins' calls included."""
        return self.calls.usage

    @property
    def seconds(self) -> float:
        """Since the run's start."""
        return time.monotonic() - self.started

    def spent(self) -> Spent:
        """What counts towards the limits so far."""
        return Spent(
            steps=self.steps_before + len(self.steps) + self.given_up,
            tokens=self.usage.total_tokens,
            cost=self.usage.cost,
            seconds=self.seconds,
        )
