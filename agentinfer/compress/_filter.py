"""Search results in a run: ranked, and those that fit least left out."""

import asyncio
import dataclasses

from agentinfer._json import load_json
from agentinfer._threads import run_in_thread
from agentinfer.compress._events import HitsFiltered
from agentinfer.compress._hits import RANKING, Ranked, by_numbers, by_words, hits_of, listing, ranking_request
from agentinfer.compress._lexical import words_of
from agentinfer.compress._put_away import thoughts_of
from agentinfer.compress._report import report
from agentinfer.compress._settings import Settings
from agentinfer.errors import ModelError
from agentinfer.models import Model
from agentinfer.protocol import PROTOCOLS
from agentinfer.run import Run
from agentinfer.tools import ToolResult
from agentinfer.transcript import Message, ToolCall, View

__all__ = ["filter_hits"]

RANK_SECONDS = 10.0
"""How long a model may take to rank search results, which the tool call waits for."""


async def filter_hits(
    run: Run, settings: Settings, small: Model | None, call: ToolCall, result: ToolResult
) -> ToolResult:
    """A tool's result without the search results that fit least; any other result as it is."""
    hits = hits_of(result.value) if result.outcome == "ok" and result.handle is None else None
    tool = run.tools.get(call.name)
    if settings.rank == "off" or not hits or tool is None or tool.render is None:
        return result
    ranked = await _rank(run, settings, small, call, hits)
    # Where somebody else has had a hand in it, rendering anew would undo that.
    if not ranked.dropped or result.content != tool.render(result.value):
        return result
    dropped = [hits[at] for at in ranked.dropped]
    value = [result.value[at] for at in ranked.kept]
    shown, content = tool.render(value), result.content
    try:
        handle = await run_in_thread(lambda: run.workspace.keep(content.encode(errors="replace")))
    except OSError:
        handle = None
    report(run).hits_dropped += len(dropped)
    run.emit(
        HitsFiltered(
            call=call,
            shown=tuple(hits[at][0] for at in ranked.kept),
            dropped=tuple(name for name, _, _ in dropped),
        )
    )
    return dataclasses.replace(result, content=f"{shown}\n\n{listing(dropped, handle)}", value=value)


async def _rank(
    run: Run, settings: Settings, small: Model | None, call: ToolCall, hits: list[tuple[str, str, str]]
) -> Ranked:
    least = settings.keep_hits
    thoughts = thoughts_of(run.view)
    if settings.rank == "model" and small is not None:
        view = View([Message.system(RANKING), Message.user(ranking_request(hits, run.question, thoughts))])
        plain = small.speaking(PROTOCOLS["native"])
        sampling = dataclasses.replace(small.sampling, max_tokens=64)
        try:
            async with asyncio.timeout(RANK_SECONDS):
                answer = await run.complete(view, purpose="rank", model=plain, sampling=sampling)
            if ranked := by_numbers(answer.text, len(hits), least=least):
                return ranked
        except (ModelError, TimeoutError):
            pass  # ranked by words then
    given = load_json(call.arguments)
    asked = [value for value in given.values() if isinstance(value, str)] if isinstance(given, dict) else []
    wanted = words_of(" ".join([run.question, thoughts, *asked]))
    return by_words(hits, wanted, share=settings.hit_share, least=least)
