"""What others do when a history grows long, as plug-ins: to measure `Compress` beside them.

For `agentinfer eval --config`: `[plugins."benchmarks.compress_baselines:Truncate"]` with `tokens = 8000`, and so on
(`python -m agentinfer` in the checkout finds the module).
"""

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from agentinfer import Message, Middleware, Run, Sampling, StepRequest, StepResult, View
from agentinfer.compress._cut import steps_of
from agentinfer.step import StepHandler

SUMMARY = "Summarise what you have done and found so far, with all names, numbers and dates. Do not call a tool."


class _Baseline(Middleware):
    """Changes the view before a step whose prompt is longer than `tokens`."""

    def __init__(self, run: Run, tokens: int, recent: int) -> None:
        self.run = run
        self.tokens = tokens
        self.recent = recent

    async def step(self, request: StepRequest, handler: StepHandler) -> StepResult:
        if self.length(request, self.run.view) > self.tokens:
            view = await self.shorten(request)
            if view is not None:
                self.run.commit(view, type(self).__name__)
                request = request.replace(view=self.run.view)
        return await handler(request)

    def length(self, request: StepRequest, view: View) -> int:
        return self.run.price(view, model=request.model, tools=request.tools).prompt_tokens

    async def shorten(self, request: StepRequest) -> View | None:
        raise NotImplementedError


class _Truncated(_Baseline):
    async def shorten(self, request: StepRequest) -> View | None:
        """The oldest steps go altogether, until half of the limit is free."""
        view = self.run.view
        for step in steps_of(view)[: -self.recent or None]:
            if self.length(request, view) <= self.tokens // 2:
                break
            gone = {id(message) for message in self.run.view[step.position : step.end]}
            view = View(message for message in view if id(message) not in gone)
        return view if len(view) < len(self.run.view) else None


class _Cleared(_Baseline):
    async def shorten(self, request: StepRequest) -> View | None:
        """All but the most recent results are replaced by a few words."""
        old = {
            id(r) for step in steps_of(self.run.view)[: -self.recent or None] for r in step.results if not r.stands_for
        }
        if not old:
            return None
        return View(
            dataclasses.replace(m, content="(cleared)", stands_for=(at, at + 1)) if id(m) in old else m
            for at, m in enumerate(self.run.view)
        )


class _Summarised(_Baseline):
    async def shorten(self, request: StepRequest) -> View | None:
        """The model sums everything up, which the step waits for; only that and the last question stay."""
        view = self.run.view
        asked = View([*view, Message.user(SUMMARY)])
        summary = await self.run.complete(
            asked, purpose="summary", tools=request.tools, sampling=Sampling(max_tokens=1_000)
        )
        told = Message.user(f"What was done so far:\n{summary.text}", trust="data")
        first = [message for message in view[:1] if message.role == "system"]
        last = max(at for at, message in enumerate(view) if message.role == "user" and message.trust == "instruction")
        return View([*first, told, view[last]])


class _Plugin:
    middleware: type[_Baseline]

    def __init__(self, *, tokens: int = 8_000, recent: int = 2) -> None:
        self.tokens = tokens
        self.recent = recent

    @asynccontextmanager
    async def bind(self, run: Run) -> AsyncIterator[Middleware]:
        yield self.middleware(run, self.tokens, self.recent)


class Truncate(_Plugin):
    """The oldest steps are dropped."""

    middleware = _Truncated


class ClearOldResults(_Plugin):
    """The results of old tool calls are cleared."""

    middleware = _Cleared


class SummariseWhenFull(_Plugin):
    """The model writes a summary, and the run goes on from that."""

    middleware = _Summarised
