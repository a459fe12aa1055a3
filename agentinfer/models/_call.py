"""One attempt at one call: sent, timed, read, and accounted for."""

import asyncio
import time
from collections.abc import Callable
from contextlib import aclosing
from typing import TYPE_CHECKING

from agentinfer.errors import CallTimeout, ConnectionFailed, InvalidResponse, ModelError, StreamCut
from agentinfer.models._accumulate import Accumulator
from agentinfer.models._backend import END, Connection
from agentinfer.models._codec import request_body
from agentinfer.models._request import Completion, Delta, ModelRequest
from agentinfer.transcript import Message
from agentinfer.usage import Usage

if TYPE_CHECKING:
    from agentinfer.models._model import Model

__all__ = ["attempt_call"]

_FOR_EVER = 1e9


async def attempt_call(
    model: "Model",
    connection: Connection,
    request: ModelRequest,
    on_delta: Callable[[Delta], None] | None,
    end: float,
) -> Completion:
    """Send a request once.

    Args:
        model: Who is asked.
        connection: The model's open connection.
        request: What is asked.
        on_delta: Called with each piece of the reply.
        end: The loop's time at which the whole call must be over.

    Raises:
        ModelError: It failed; `delivered` tells whether some of the reply had arrived.
    """
    sampling = request.sampling or model.sampling
    body = request_body(request, sampling, stream=model.stream)
    accumulator = Accumulator()
    whole = False
    first_token: float | None = None
    loop = asyncio.get_running_loop()
    started = time.perf_counter()
    patience = (model.timeouts.first_token if model.stream else None) or _FOR_EVER
    watch = asyncio.timeout_at(min(end, loop.time() + patience))
    try:
        async with watch, aclosing(connection.chunks(body, stream=model.stream)) as chunks:
            async for chunk in chunks:
                if chunk is END:
                    whole = True
                    break
                delta = accumulator.add(chunk)
                if accumulator.begun:
                    now = loop.time()
                    if first_token is None:
                        first_token = time.perf_counter() - started
                        if model.stream:
                            patience = model.timeouts.between_tokens or _FOR_EVER
                            watch.reschedule(min(end, now + patience))
                    elif (watch.when() or end) < min(end, now + patience):
                        # A tenth longer than needed: a new timer for every token costs too much.
                        watch.reschedule(min(end, now + 1.1 * patience))
                if delta and on_delta:
                    on_delta(delta)
        profile = model.profile
        raw = accumulator.finish(think_tags=profile.think_tags, think_opened=profile.think_opened, whole=whole)
    except TimeoutError:
        if not watch.expired():
            raise
        raise _timed_out(model, accumulator, late=loop.time() >= end) from None
    except ModelError as error:
        raise _with_partial(error, accumulator) from error.__cause__
    reply = model.protocol.read(raw, request.tools, request.output, request.choice)
    return Completion(
        reply=reply,
        finish_reason=accumulator.finish_reason,
        usage=_account(model, request, accumulator, reply.message),
        model=accumulator.model or model.name,
        seconds=time.perf_counter() - started,
        first_token_seconds=first_token if model.stream else None,
    )


def _timed_out(model: "Model", accumulator: Accumulator, *, late: bool) -> CallTimeout:
    if late:
        phase, what = "call", "did not finish within the time of the call"
    elif accumulator.begun:
        phase, what = "between_tokens", f"sent nothing more for {model.timeouts.between_tokens} seconds"
    else:
        phase, what = "first_token", f"sent nothing for {model.timeouts.first_token} seconds"
    return CallTimeout(f"{model.endpoint} {what}", phase=phase, partial=accumulator.text, delivered=accumulator.begun)


def _with_partial(error: ModelError, accumulator: Accumulator) -> ModelError:
    """The error with what had arrived; a connection that broke in the middle of a reply is a cut stream."""
    if not accumulator.begun:
        return error
    if isinstance(error, ConnectionFailed | InvalidResponse):
        return StreamCut(f"The reply broke off: {error}", partial=accumulator.text, delivered=True)
    error.partial = error.partial or accumulator.text
    error.delivered = True
    return error


def _account(model: "Model", request: ModelRequest, accumulator: Accumulator, message: Message) -> Usage:
    """What the call spent: as reported, else as estimated. A report also teaches the counter."""
    counted = request.raw_tokens
    if (reported := accumulator.usage) is not None:
        model.counter.observe(counted, reported.prompt_tokens)
        prompt, completion, cached = reported.prompt_tokens, reported.completion_tokens, reported.cached_tokens
    else:
        calls = "".join(call.name + call.arguments for call in message.tool_calls)
        written = (message.raw or message.content + calls) + (message.reasoning or "")
        prompt, cached = model.counter.calibrate(counted), None
        completion = round(model.counter.count(written.encode(errors="replace")))
    return Usage(
        calls=1,
        estimated_calls=0 if reported else 1,
        prompt_tokens=prompt,
        cached_tokens=cached,
        completion_tokens=completion,
        reasoning_tokens=reported.reasoning_tokens if reported else None,
        accepted_prediction_tokens=reported.accepted_prediction_tokens if reported else None,
        rejected_prediction_tokens=reported.rejected_prediction_tokens if reported else None,
        cost=model.pricing.cost(prompt, cached, completion) if model.pricing else None,
    )
