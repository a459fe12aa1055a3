"""Which tier makes the next step: a state machine without any I/O.

Tiers are numbered from the weakest to the strongest, as 0 for a small model and 1 for a large one. The planner warms a
run up, then the executor works. When it makes no progress the run escalates, tier by tier, and comes back when there is
progress again or the budget is spent (arXiv 2512.18337, algorithm 1; 2603.26034 for budgets that grow).

Two things that the papers leave open are decided here. Failures, which decide the budget, count escalations; they are
forgotten when the executor itself makes progress, not when the model that helped it says so. And a run has a budget for
all its escalations together, so that a model that never believes in its progress does not make the large one do
everything.
"""

import dataclasses
from dataclasses import dataclass
from typing import Literal

from agentinfer.collab._verdict import Verdict
from agentinfer.errors import UserError

__all__ = ["Phase", "Policy", "PolicyState"]

Phase = Literal["warmup", "execute", "escalated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyState:
    """Where a run stands. `Policy.start` makes the first one, `Policy.after` every further one."""

    phase: Phase
    tier: int
    """Who makes the next step."""
    used: int = 0
    """Steps made in this phase, and since the last change of tier."""
    failures: int = 0
    """Escalations since the executor last made progress by itself."""
    noes: int = 0
    """Steps without progress in a row."""
    yeses: int = 0
    """Steps with progress in a row."""
    missing: int = 0
    """Verdicts missing in a row."""
    escalated: int = 0
    """Steps of all escalations of the run."""
    steps: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """When to change between tiers.

    Raises:
        UserError: The numbers do not go together.
    """

    warmup: int = 2
    """Steps of the planner at the start (K_L)."""
    first_budget: int = 2
    """Steps that the first escalation may take (B0)."""
    budget_step: int = 2
    """How much more each further one may take (k)."""
    max_budget: int = 6
    """The most that any may take (B_max)."""
    rung_steps: int = 1
    """Steps on each tier between the executor and the top one."""
    total: int | None = 24
    """Steps of all escalations together; after that the executor goes on alone. `None`: no such bound."""
    patience: int = 1
    """Steps without progress in a row until the executor is given help."""
    missing_as_no: int = 2
    """How many missing verdicts in a row count as one of no progress."""
    reset_after: int | None = 1
    """Steps with progress in a row, made by the executor itself, until failures are forgotten; `None`: never."""
    escalate: bool = True
    """Whether there is any escalation; without it roles are fixed."""
    planner: int = 1
    executor: int = 0
    top: int = 1
    """The tier that an escalation may go up to."""

    def __post_init__(self) -> None:
        least = {"warmup": 0, "budget_step": 0, "planner": 0, "executor": 0, "top": 0}
        for name in ("warmup", "first_budget", "budget_step", "max_budget", "rung_steps", "total", "patience"):
            self._check(name, least.get(name, 1))
        for name in ("missing_as_no", "reset_after", "planner", "executor", "top"):
            self._check(name, least.get(name, 1))
        if self.max_budget < self.first_budget:
            raise UserError(f"Policy: max_budget={self.max_budget} is below first_budget={self.first_budget}")

    def _check(self, name: str, least: int) -> None:
        value = getattr(self, name)
        if value is None and name in ("total", "reset_after"):
            return
        if not isinstance(value, int) or value < least:
            raise UserError(f"Policy({name}={value!r}): it is a whole number from {least} on")

    def budget(self, failures: int) -> int:
        """Steps on the top tier in the nth escalation since the last progress: min(B0 + k (n - 1), B_max)."""
        return min(self.first_budget + self.budget_step * (max(failures, 1) - 1), self.max_budget)

    def start(self) -> PolicyState:
        """Before the first step."""
        if self.warmup:
            return PolicyState(phase="warmup", tier=self.planner)
        return PolicyState(phase="execute", tier=self.executor)

    def after(self, state: PolicyState, verdict: Verdict, *, stay: bool = False) -> PolicyState:
        """The state after one more step.

        Args:
            state: The state before it.
            verdict: Whether it brought progress.
            stay: Whether going back to the executor does not pay yet: what it has not seen costs more than it saves.
        """
        state = dataclasses.replace(state, steps=state.steps + 1, used=state.used + 1)
        if state.phase == "warmup":
            return self._execute(state) if state.used >= self.warmup else state
        state, verdict = self._counted(state, verdict)
        if state.phase == "execute":
            return self._executed(state)
        return self._helped(dataclasses.replace(state, escalated=state.escalated + 1), verdict, stay=stay)

    def _counted(self, state: PolicyState, verdict: Verdict) -> tuple[PolicyState, Verdict]:
        """The verdict counted; enough missing ones are a no."""
        if verdict == "missing":
            missing = state.missing + 1
            if missing < self.missing_as_no:
                return dataclasses.replace(state, missing=missing), verdict
            verdict = "no"
        if verdict == "yes":
            return dataclasses.replace(state, missing=0, noes=0, yeses=state.yeses + 1), verdict
        return dataclasses.replace(state, missing=0, noes=state.noes + 1, yeses=0), verdict

    def _executed(self, state: PolicyState) -> PolicyState:
        """After a step of the executor."""
        if self.reset_after is not None and state.yeses >= self.reset_after:
            state = dataclasses.replace(state, failures=0)
        if state.noes < self.patience or not self.escalate or self.executor >= self.top or self._spent(state):
            return state
        failures = state.failures + 1
        return dataclasses.replace(state, phase="escalated", tier=self.executor + 1, used=0, failures=failures, yeses=0)

    def _helped(self, state: PolicyState, verdict: Verdict, *, stay: bool) -> PolicyState:
        """After a step of a tier above the executor."""
        if self._spent(state) or (verdict == "yes" and not stay):
            return self._execute(state)
        if state.tier < self.top:
            if verdict != "yes" and state.used >= self.rung_steps:
                return dataclasses.replace(state, tier=state.tier + 1, used=0)
            if state.used >= self.budget(state.failures):
                return self._execute(state)
            return state
        return self._execute(state) if state.used >= self.budget(state.failures) else state

    def _execute(self, state: PolicyState) -> PolicyState:
        return dataclasses.replace(state, phase="execute", tier=self.executor, used=0, noes=0, yeses=0, missing=0)

    def _spent(self, state: PolicyState) -> bool:
        return self.total is not None and state.escalated >= self.total
