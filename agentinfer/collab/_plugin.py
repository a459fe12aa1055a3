"""Collab: the right model, thinking the right amount, at every step."""

import dataclasses
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Literal, TypeVar

from agentinfer.collab._policy import Policy
from agentinfer.collab._price import Economy
from agentinfer.collab._protocol import checked
from agentinfer.collab._run import Collaboration
from agentinfer.collab._seats import Seat
from agentinfer.collab._thinking import thinking_of
from agentinfer.collab._tiers import Tier, default_tiers, tier_of
from agentinfer.collab._verdict import Judgement, render
from agentinfer.collab._vetoes import Vetoes
from agentinfer.errors import UserError
from agentinfer.models import Model
from agentinfer.run import Run
from agentinfer.step import Middleware
from agentinfer.transcript import Message, View

__all__ = ["Check", "Collab"]

Check = Literal["auto", "reply", "call", "off"]
"""Where a model judges its progress: in its reply, and with a call of its own where a model that calls tools natively
leaves it out; in its reply only; with a call of its own, except under the JSON protocol; or nowhere, so that only facts
count."""

Settings = TypeVar("Settings", Policy, Vetoes)


class Collab:
    """A plug-in: a small model works, a large one plans and helps out.

    One object serves many runs at once. The run's model is the large one; the small one need not be open.

    Args:
        small: The small model; only needed where a tier names it.
        tiers: Models and how much they are to think, from the weakest to the strongest. Unless given: the small and the
            large model, and where the small one can think slowly, that as the rung between them.
        planner: The tier that makes the first steps; the last one unless given.
        executor: The tier that works afterwards; the first one unless given.
        thinking: Where no tiers are given. `rungs`: the small model thinks fast, and slowly before the large one is
            called; `auto`: both think fast or slowly, by how hard the run has been so far; `off`: nothing is sent.
        check: Where progress is judged; nowhere, where `policy` does not escalate.
        reasons: Whether the model gives a reason for its verdict: about 20 tokens a step.
        policy: When to change: a `Policy`, or a table of its numbers. Its tiers are set here.
        vetoes: What overrules a model that believes in its progress: `Vetoes`, or a table of them.
        economy: What going back to a weaker model has to save; a return that does not is put off.
        stay: How many steps it is expected to make then.
        handover: Whether a model that is called for help is told why.

    Raises:
        UserError: The arguments do not go together.
    """

    def __init__(
        self,
        small: Model | None = None,
        *,
        tiers: Iterable[Tier | Mapping[str, Any]] | None = None,
        planner: str | None = None,
        executor: str | None = None,
        thinking: Literal["rungs", "auto", "off"] = "rungs",
        check: Check | None = None,
        reasons: bool = True,
        policy: Policy | Mapping[str, Any] | None = None,
        vetoes: Vetoes | Mapping[str, Any] | None = None,
        economy: Economy = "seconds",
        stay: int = 3,
        handover: bool = True,
    ) -> None:
        _one_of("thinking", thinking, ("rungs", "auto", "off"))
        _one_of("check", check, (None, "auto", "reply", "call", "off"))
        _one_of("economy", economy, ("seconds", "cost", "off"))
        if stay < 1:
            raise UserError(f"Collab(stay={stay}): it is a number of steps")
        self.small = small
        self.tiers = default_tiers(small, thinking) if tiers is None else [tier_of(tier) for tier in tiers]
        names = [tier.name for tier in self.tiers]
        if not names or len(set(names)) < len(names):
            raise UserError(f"Collab needs tiers of different names, not {names}")
        if small is None and any(tier.model == "small" for tier in self.tiers):
            raise UserError("Collab needs a small model: give it one (in a configuration, under [small])")
        self.policy = dataclasses.replace(
            _settings(policy, Policy),
            planner=_place(planner, names, len(names) - 1),
            executor=_place(executor, names, 0),
            top=len(names) - 1,
        )
        self.vetoes = _settings(vetoes, Vetoes)
        self.check: Check = check or ("auto" if self.policy.escalate else "off")
        self.reasons = reasons
        self.economy: Economy = economy
        self.stay = stay
        self.handover = handover

    @asynccontextmanager
    async def bind(self, run: Run) -> AsyncIterator[Middleware]:
        """Take part in a run."""
        seats = [self._seat(tier, run.model) for tier in self.tiers]
        # The large model too is told of the check from the run's first request on, whoever asks it.
        run.model = self._checked(run.model)
        if self.check in ("auto", "reply"):
            _prepare(run)
        async with AsyncExitStack() as stack:
            yield Collaboration(self, run, seats, stack)

    def _seat(self, tier: Tier, large: Model) -> Seat:
        if isinstance(tier.model, Model):
            model = tier.model
        elif tier.model == "large":
            model = large
        else:
            assert self.small is not None
            model = self.small
        return Seat(name=tier.name, model=self._checked(model), think=tier.think, thinking=thinking_of(model))

    def _checked(self, model: Model) -> Model:
        if self.check == "off":
            return model
        return checked(model, told=self.check != "call", reasons=self.reasons)


def _prepare(run: Run) -> None:
    """What has to stand in the history before the first request, so that nothing of it changes later.

    A leading message for what the models are told of the check, without which every request would be built anew; and
    verdicts in the examples, since models do as they see it done.
    """
    if run.steps_before or run.goes_on or not run.model.codec(run.tools, None).preamble:
        return
    transcript = _prepared(run.transcript)
    run.opening += len(transcript) - len(run.transcript)
    run.restore(transcript, transcript if run.view is run.transcript else _prepared(run.view))


def _prepared(history: View) -> View:
    messages = list(history)
    if not messages or messages[0].role != "system":
        messages.insert(0, Message.system(""))
    first = next((message for message in messages if message.tool_calls), None)
    return View(_with_verdict(message, first=message is first) for message in messages)


def _with_verdict(message: Message, *, first: bool) -> Message:
    """An example with a verdict, which each protocol writes in its own form."""
    if not message.tool_calls or message.raw is not None:
        return message
    reason = "This is the first step" if first else "The last result gave what was looked for"
    return dataclasses.replace(message, raw=f"{render(Judgement('yes', reason))}\n{message.content}")


def _one_of(name: str, value: object, known: tuple[object, ...]) -> None:
    if value not in known:
        raise UserError(f"Collab({name}={value!r}): known are {', '.join(map(str, filter(None, known)))}")


def _place(name: str | None, names: list[str], default: int) -> int:
    if name is None:
        return default
    if name not in names:
        raise UserError(f"Collab has no tier {name!r}: its tiers are {', '.join(names)}")
    return names.index(name)


def _settings(given: Settings | Mapping[str, Any] | None, type_: type[Settings]) -> Settings:
    if isinstance(given, type_):
        return given
    own = {"planner", "executor", "top"}
    fields = {field.name for field in dataclasses.fields(type_)} - own
    if given is not None and not (isinstance(given, Mapping) and given.keys() <= fields):
        raise UserError(f"Collab takes a {type_.__name__}, or a table of {', '.join(sorted(fields))}, not {given!r}")
    return type_(**given) if given else type_()
