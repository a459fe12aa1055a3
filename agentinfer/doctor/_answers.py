"""Probes of plain answers: whole, streamed, limited, accounted for, cached, reasoned."""

import asyncio
import secrets
from typing import Any

from agentinfer.doctor._endpoint import Endpoint, Heard
from agentinfer.doctor._findings import Finding, Findings, no, unclear, yes
from agentinfer.errors import ConnectionFailed, RequestRefused, ServerFailed
from agentinfer.models import THINKING

__all__ = [
    "answer",
    "cached_tokens",
    "max_tokens",
    "prediction",
    "reasoning",
    "stream",
    "stream_usage",
    "thinking",
    "together",
]

QUESTION = "What is the capital of France? Answer with one word."
TOKENS = 256
REASONING_TOKENS = 4096
"""For models that think before they answer."""
FEW_TOKENS = 6
SOME_TOKENS = 24
SWITCHES = ("enable_thinking", "qwen")
"""Names of `THINKING` whose effect can be seen."""
PREFIX_LINES = (20, 110)
"""About 300 tokens, and where none of them were cached, 1,500: some endpoints cache from 1,024 on."""


async def answer(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether a plain question is answered; learns which of the usual fields may be sent."""
    del found
    heard = Heard()
    for options in (
        {"max_tokens": TOKENS, "temperature": 0},
        {"max_tokens": TOKENS},
        {"max_completion_tokens": TOKENS},
        {},
    ):
        endpoint.options = dict(options)
        heard = await endpoint.ask(QUESTION)
        if not isinstance(heard.error, RequestRefused | ServerFailed):
            break
    field = next((name for name in endpoint.options if name != "temperature"), None)
    if heard.reply.cut and not heard.text.strip() and field:
        endpoint.options[field] = REASONING_TOKENS
        heard = await endpoint.ask(QUESTION)
    if heard.error is not None:
        return no(heard.refused)
    if not heard.text.strip():
        return no("the answer is empty")
    extra = "" if "temperature" in endpoint.options else ", temperature 0 is refused"
    return yes(
        f"{heard.text.strip()[:60]!r} in {heard.seconds:.1f} s{extra}", field=field, usage=heard.usage is not None
    )


async def stream(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether replies are streamed."""
    del found
    heard = await endpoint.ask(QUESTION, stream=True)
    if heard.error is not None:
        return no(heard.refused)
    if not heard.text.strip():
        return no("a streamed answer is empty")
    endpoint.streams = True
    end = "[DONE]" if heard.done else "no [DONE]"
    return yes(f"in {heard.pieces} pieces, ended by finish_reason {heard.finish_reason!r} and {end}")


async def stream_usage(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether token counts are reported while streaming."""
    del found
    bare = await endpoint.ask(QUESTION, stream=True)
    asked = await endpoint.ask(QUESTION, stream=True, stream_options={"include_usage": True})
    if asked.error is not None:
        return no(f"stream_options is refused: {asked.refused}", refused=True)
    endpoint.stream_options = {"include_usage": True}
    if asked.usage is None:
        return no("stream_options.include_usage is taken, and nothing is reported", refused=False)
    return yes("also unasked" if bare.usage else "with stream_options.include_usage", refused=False)


async def max_tokens(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether a reply's length can be limited, and by which field."""
    del found
    for field in ("max_tokens", "max_completion_tokens"):
        few: dict[str, Any] = {**dict.fromkeys(endpoint.limit), field: FEW_TOKENS}
        heard = await endpoint.ask("Count from 1 to 40.", **few)
        if heard.error is None and (heard.finish_reason == "length" or _few(heard)):
            return yes(f"by {field}, with finish_reason {heard.finish_reason!r}", field=field)
    return no("neither max_tokens nor max_completion_tokens limits a reply")


def _few(heard: Heard) -> bool:
    return heard.usage is not None and 0 < heard.usage.completion_tokens <= FEW_TOKENS


async def together(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether two requests at once are both answered to their ends."""
    del found
    few: dict[str, Any] = {name: min(SOME_TOKENS, value) for name, value in endpoint.limit.items()}
    asked = [endpoint.ask(f"Count from {first} to {first + 20}.", **few) for first in (1, 100)]
    try:
        answers = await asyncio.gather(*asked)
    except ConnectionFailed as error:
        return no(f"one is broken off: {error}")
    failed = [heard.refused for heard in answers if heard.error is not None]
    return no(f"one fails: {failed[0]}") if failed else yes("both are answered")


async def cached_tokens(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether the second of two requests that begin alike tells what it read from the cache."""
    del found
    first = second = Heard()
    for lines in PREFIX_LINES:
        mark = secrets.token_hex(4)
        prefix = "\n".join(f"Ship {mark}-{n} sailed from Hull in {1800 + n}." for n in range(lines))
        few: dict[str, Any] = {name: min(FEW_TOKENS, value) for name, value in endpoint.limit.items()}
        first = await endpoint.ask(f"{prefix}\n\nWhen did ship {mark}-7 sail?", stream=False, **few)
        second = await endpoint.ask(f"{prefix}\n\nWhen did ship {mark}-9 sail?", stream=False, **few)
        if second.usage is None or second.usage.cached_tokens != 0:
            break
    if second.error is not None:
        return unclear(second.refused)
    times = f"{first.seconds:.1f} s, then {second.seconds:.1f} s"
    if second.usage is None or second.usage.cached_tokens is None:
        return no(f"not reported ({times})")
    cached, prompt = second.usage.cached_tokens, second.usage.prompt_tokens
    said = f"{cached:,} of {prompt:,} prompt tokens of a second request ({times})"
    return yes(said, cached=cached, prompt=prompt) if cached else no(f"none, as reported: {said}", cached=0)


async def reasoning(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether the model's reasoning comes apart from its answer, and where."""
    del found
    heard = await endpoint.ask(QUESTION)
    if heard.error is not None:
        return unclear(heard.refused)
    if heard.reasoning_field:
        return yes(f"in {heard.reasoning_field}", field=heard.reasoning_field)
    if "</think>" in heard.text:
        return yes("the text begins with reasoning that ends in </think>", field="</think>")
    return no("none comes")


async def thinking(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether reasoning can be switched off, and in which of the known ways."""
    del found
    for name in SWITCHES:
        switch = THINKING[name].fast
        assert switch is not None
        fields: dict[str, Any] = dict(switch.body)
        heard = await endpoint.ask(f"{QUESTION} {switch.suffix}".strip(), **fields)
        if heard.error is None and heard.text.strip() and not (heard.reasoning_field or "</think>" in heard.text):
            return yes(f"switched off by {name}", thinking=name)
    return no(f"neither {' nor '.join(SWITCHES)} switches reasoning off")


async def prediction(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether a text that the reply is expected to repeat is taken as a draft."""
    del found
    text = "one, two, three, four, five"
    heard = await endpoint.ask(
        f"Repeat this and nothing else: {text}", stream=False, prediction={"type": "content", "content": text}
    )
    if heard.error is not None:
        return no(f"refused: {heard.refused}")
    if heard.usage is None or heard.usage.accepted_prediction_tokens is None:
        return no("the field is taken, and nothing is reported of its use")
    return yes(f"{heard.usage.accepted_prediction_tokens} tokens of it were used")
