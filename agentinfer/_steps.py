"""The handlers of one run that plug-ins wrap: the step, the model call, the tool call."""

import dataclasses
import time
from collections.abc import Callable, Sequence

from agentinfer import _words as words
from agentinfer._act import act
from agentinfer._threads import run_in_thread
from agentinfer.errors import ModelError
from agentinfer.events import AttemptDiscarded, ModelDelta, Nudged, ToolFinished, ToolStarted
from agentinfer.limits import result_room
from agentinfer.models import Completion, Delta, ModelRequest
from agentinfer.repeats import RepeatPolicy, Repeats
from agentinfer.run import Run
from agentinfer.step import Middleware, StepRequest, StepResult, wrap
from agentinfer.tools import ResourceLocks, ToolContext, ToolResult, execute
from agentinfer.transcript import Message, ToolCall

__all__ = ["EARLIER", "Steps"]

EARLIER = 0.05
"""Seconds by which a model call is stopped before its step, so that what had arrived is kept."""
LEAST_RESULT = 200
"""Characters that a tool result keeps at least, however little room is left."""


class Steps:
    """Makes the steps of one run.

    Args:
        run: The run.
        middlewares: The name and the middleware of each plug-in, outermost first.
        locks: What serialises tools that share a resource.
        repeats: What to do about calls that repeat.
        wants_deltas: Whether anybody listens to replies as they stream in.
    """

    def __init__(
        self,
        run: Run,
        middlewares: Sequence[tuple[str, Middleware]],
        *,
        locks: ResourceLocks,
        repeats: RepeatPolicy,
        wants_deltas: bool,
    ) -> None:
        self.deadline: float | None = None
        """The event loop's time at which the current step has to be over."""
        self.repeats_itself = False
        """Whether the same call was made so often that the model has to answer."""
        self._run = run
        self._locks = locks
        self._repeats = Repeats(repeats)
        self._wants_deltas = wants_deltas
        self._call_ids = {call.id for message in run.transcript for call in message.tool_calls}
        self._told: set[str] = set()
        """The ids of calls whose result was told of."""
        self.make = wrap(
            [(n, m.step) for n, m in middlewares if type(m).step is not Middleware.step],
            self._make_step, StepResult, once=True, failed=lambda n, e: run.plugin_failed(n, "step", e),
        )  # fmt: skip
        """Make one step."""
        self._model = wrap(
            [(n, m.model) for n, m in middlewares if type(m).model is not Middleware.model],
            self._make_model_call, Completion, once=False, failed=lambda n, e: run.plugin_failed(n, "model", e),
        )  # fmt: skip
        self._tool = wrap(
            [(n, m.tool) for n, m in middlewares if type(m).tool is not Middleware.tool],
            self._make_tool_call, ToolResult, once=True, failed=lambda n, e: run.plugin_failed(n, "tool", e),
        )  # fmt: skip

    async def _make_step(self, request: StepRequest) -> StepResult:
        """Think, act, observe."""
        run = self._run
        started = time.perf_counter()
        completion = await self._model(
            ModelRequest(
                model=request.model,
                view=request.view,
                tools=request.tools,
                output=request.output,
                choice=request.choice,
                sampling=request.sampling,
                cause=request.cause,
                deadline=self.deadline - EARLIER if self.deadline else None,
            )
        )
        reply = completion.reply
        message = self._with_unique_ids(reply.message, request.index)
        if reply.problem is not None and message.tool_calls:  # calls that are not made are not kept
            message = dataclasses.replace(message, tool_calls=())
        thought = time.perf_counter()
        results: list[ToolResult] = []
        try:
            if reply.problem is None and message.tool_calls:
                handler = self._refuse if request.choice == "none" else self._guarded_tool
                await act(message.tool_calls, handler, results)
                await self._fit(results, request, completion)
        finally:  # whatever happened, every call in the transcript has its result
            for result in results:
                if result.call.id not in self._told:  # stopped before it had one
                    self._tell(result)
            if message.content or message.tool_calls:
                run.append(message, *(result.message(run.nonce) for result in results))
        acted = time.perf_counter()
        for result in results:
            if result.outcome == "ok":
                self._repeats.succeeded(result.call, request.index)
        answers = reply.problem is None and not message.tool_calls
        return StepResult(
            index=request.index,
            model=request.model.name,
            message=message,
            results=tuple(results),
            answer=message.content if answers else None,
            problem=reply.problem,
            usage=completion.usage,
            seconds=acted - started,
            model_seconds=completion.seconds,
            tool_seconds=acted - thought if results else 0.0,
        )

    async def _make_model_call(self, request: ModelRequest) -> Completion:
        """One call, asked anew where the reply breaks off: no tool has started yet."""
        attempt = 0
        while True:
            attempt += 1
            try:
                return await self._run.calls.make(request, on_delta=self._delta_sink(attempt))
            except ModelError as error:
                if not (error.delivered and error.retryable and attempt <= request.model.retry.restarts):
                    raise
                self._run.emit(AttemptDiscarded(attempt=attempt, error=str(error)))

    def _delta_sink(self, attempt: int) -> Callable[[Delta], None] | None:
        if not self._wants_deltas:
            return None
        emit = self._run.emit
        return lambda delta: emit(ModelDelta(text=delta.text, reasoning=delta.reasoning, attempt=attempt))

    async def _guarded_tool(self, call: ToolCall) -> ToolResult:
        """One tool call: repeats are answered here, before any plug-in."""
        tool = self._run.tools.get(call.name)
        response = "run" if tool is not None and tool.repeatable else self._repeats.note(call)
        if response == "force":
            self.repeats_itself = True
        if response != "run":
            self._run.emit(Nudged(reason=f"repeated call of {call.name}"))
            content = words.repeated(
                call.name, self._repeats.step_of(call), [n for n in self._run.tools if n != call.name]
            )
            return self._tell(ToolResult(call=call, content=content, outcome="repeated", trust="instruction"))
        self._run.emit(ToolStarted(call=call))
        try:
            result = await self._tool(call)
        except Exception as error:  # noqa: BLE001 - a plug-in gave up a tool at work; the call still has its result
            result = ToolResult(call=call, content=f"{call.name} failed: {error}", outcome="failed")
        return self._tell(result if result.call is call else dataclasses.replace(result, call=call))

    async def _make_tool_call(self, call: ToolCall) -> ToolResult:
        run = self._run
        context = ToolContext(
            run_id=run.id, call_id=call.id, session=run.session, tenant=run.tenant, workspace=run.workspace
        )
        return await execute(run.tools, call, context, self._locks)

    async def _refuse(self, call: ToolCall) -> ToolResult:
        return self._tell(ToolResult(call=call, content=words.not_run(), outcome="cancelled", trust="instruction"))

    def _tell(self, result: ToolResult) -> ToolResult:
        self._told.add(result.call.id)
        self._run.emit(
            ToolFinished(call=result.call, outcome=result.outcome, content=result.content, seconds=result.seconds)
        )
        return result

    def _with_unique_ids(self, message: Message, step: int) -> Message:
        """The message with an id for every call, none used before in this run."""
        if not message.tool_calls:
            return message
        calls = []
        for position, call in enumerate(message.tool_calls, 1):
            unique = call.id if call.id and call.id not in self._call_ids else f"call_{step}_{position}"
            while unique in self._call_ids:
                unique += "_"
            self._call_ids.add(unique)
            calls.append(call if unique == call.id else dataclasses.replace(call, id=unique))
        if all(one is other for one, other in zip(calls, message.tool_calls, strict=True)):
            return message
        return dataclasses.replace(message, tool_calls=tuple(calls))

    async def _fit(self, results: list[ToolResult], request: StepRequest, completion: Completion) -> None:
        """Shorten results that would leave no room for an answer; their full texts are kept in the workspace."""
        run = self._run
        if run.limits.tokens is None and run.limits.cost is None and request.model.context_window is None:
            return
        room = result_room(
            run.limits,
            run.spent(),
            prompt_tokens=completion.usage.total_tokens,
            pricing=request.model.pricing,
            window=request.model.context_window,
        )
        if room is None:
            return
        counter = request.model.counter
        taken = sum(counter.calibrate(counter.count(result.content.encode(errors="replace"))) for result in results)
        if taken <= room:
            return
        share = max(room, 0) / taken
        for position, result in enumerate(results):
            kept = max(int(len(result.content) * share * 0.9), LEAST_RESULT)
            if len(result.content) > kept:
                handle = result.handle or await self._keep(result.content)
                where = f"; all of it is kept as {handle}" if handle else ""
                content = f"{result.content[:kept]}\n[cut here: there is hardly any room left{where}]"
                results[position] = dataclasses.replace(result, content=content, handle=handle)

    async def _keep(self, content: str) -> str | None:
        try:
            return await run_in_thread(lambda: self._run.workspace.keep(content.encode(errors="replace")))
        except OSError:
            return None
