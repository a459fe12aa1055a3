"""Model calls for learning: in the background, in time, and never more than a share of what the run itself costs."""

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any

from agentinfer.background import Background
from agentinfer.errors import BudgetSpent
from agentinfer.models import Model, ModelRequest
from agentinfer.output import Output
from agentinfer.transcript import Message, View
from agentinfer.usage import Usage

__all__ = ["Allowance", "Author"]

MARGIN = 1.25
"""How far the count of a prompt's tokens may be off before the share is exceeded."""
WITHOUT_END = 1_000_000
LEAST = 64
"""Completion tokens without which a call is not made."""


class Allowance:
    """What learning from one run may take: a share of what the run has taken so far.

    It counts money where the prices of both models are known, else tokens.

    Args:
        share: 0 to 1 and above.
        run: What the run has taken so far.
        run_model: The run's model.
        model: The model that writes guidelines.
        spent: What was taken before, in a run that goes on.
        keep: Told what was taken in all, so that it can be kept with the run.
    """

    def __init__(
        self,
        share: float,
        run: Callable[[], Usage],
        run_model: Model,
        model: Model,
        *,
        spent: float = 0.0,
        keep: Callable[[float], None] = lambda spent: None,
    ) -> None:
        self._share = share
        self._run = run
        self._pricing = model.pricing if run_model.pricing is not None else None
        self._spent = spent
        self._reserved = 0.0
        self._keep = keep

    @property
    def left(self) -> float:
        """What may still be taken."""
        usage = self._run()
        total = usage.total_tokens if self._pricing is None else usage.cost or 0.0
        return self._share * total - self._spent - self._reserved

    def completion_cap(self, prompt: int) -> int:
        """Completion tokens that a call may have; fewer than none where its prompt is too much already."""
        left = self.left - self._price(round(prompt * MARGIN), 0)
        token = self._price(0, 1)
        return int(left / token) if token else (WITHOUT_END if left >= 0 else -1)

    def calls(self, prompt: int, completion: int) -> int:
        """How many calls of such a size may be made."""
        price = self._price(round(prompt * MARGIN), completion)
        return int(max(self.left, 0) / price) if price else WITHOUT_END

    def reserve(self, prompt: int, completion: int) -> float:
        """Set aside what a call may take; give what this returns to `settle`."""
        reserved = self._price(round(prompt * MARGIN), completion)
        self._reserved += reserved
        return reserved

    def settle(self, reserved: float, usage: Usage | None) -> None:
        """Count what a call took; of a failed one (`None`), nothing is known: all that was reserved."""
        self._reserved -= reserved
        taken = reserved if usage is None else self._price(usage.prompt_tokens, usage.completion_tokens)
        self._spent += taken
        self._keep(self._spent)

    def _price(self, prompt: int, completion: int) -> float:
        return prompt + completion if self._pricing is None else self._pricing.cost(prompt, 0, completion)


class Author:
    """Asks the model that writes guidelines.

    Args:
        background: On whose account, with a budget of its own.
        model: Who is asked.
        allowance: What may be taken.
        deadline: The event loop's time at which all must be over.
        max_tokens: Completion tokens of one call.
    """

    def __init__(
        self, background: Background, model: Model, allowance: Allowance, *, deadline: float, max_tokens: int
    ) -> None:
        self._background = background
        self._model = model
        self._allowance = allowance
        self._deadline = deadline
        self._max_tokens = max_tokens

    async def ask(self, what: str, told: str, material: str, form: Output[Any], *, vary: bool = False) -> str:
        """The text of one answer; nothing where it was cut off.

        Args:
            what: What the call is for: its purpose is `scope.` with this.
            told: What the model is to do.
            material: With what.
            form: The form of the answer. What comes may have another all the same.
            vary: Whether another answer than the likeliest is wanted.

        Raises:
            BudgetSpent: The call would take more than there is.
            ModelError: It failed.
            TimeoutError: It was not done in time.
        """
        request = self._request(what, told, material, form)
        prompt = request.tokens
        cap = min(self._allowance.completion_cap(prompt), self._max_tokens)
        if cap < LEAST:
            raise BudgetSpent(f"scope.{what}: more than its share of what the run has cost")
        sampling = dataclasses.replace(self._model.sampling, max_tokens=cap)
        if vary:
            sampling = dataclasses.replace(sampling, temperature=0.8)
        reserved = self._allowance.reserve(prompt, cap)
        usage = None
        try:
            async with asyncio.timeout_at(self._deadline):
                completion = await self._background.calls.make(request.replace(sampling=sampling))
            usage = completion.usage
        finally:
            self._allowance.settle(reserved, usage)
        cut = completion.finish_reason == "length"  # half a guideline may say the opposite
        return "" if cut else completion.text

    def affordable(self, told: str, material: str, form: Output[Any]) -> int:
        """About how many such calls may be made, each with a short answer."""
        return self._allowance.calls(self._request("", told, material, form).tokens, 2 * LEAST)

    def _request(self, what: str, told: str, material: str, form: Output[Any]) -> ModelRequest:
        return ModelRequest(
            model=self._model,
            view=View([Message.system(told), Message.user(material)]),
            output=form,
            choice="none",
            purpose=f"scope.{what}",
            deadline=self._deadline,
        )
