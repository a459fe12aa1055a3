"""Who writes notes: a model beside the agent, or the agent's own behind its own history."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Sequence

from agentinfer._json import load_json
from agentinfer._threads import run_in_thread
from agentinfer.compress._cut import Step, is_notes, is_whole
from agentinfer.compress._notes import HEADING, MATERIAL_TOKENS, Read, notes_request, read_notes, same_prefix_request
from agentinfer.compress._put_away import CHARS_PER_TOKEN, task_of, thoughts_of
from agentinfer.compress._settings import Settings
from agentinfer.compress._sources import Source, sources_of
from agentinfer.models import Completion, Model, ModelRequest
from agentinfer.protocol import PROTOCOLS
from agentinfer.run import Run
from agentinfer.step import StepRequest
from agentinfer.transcript import Message, View

__all__ = ["Call", "Writer", "earlier_notes", "request_of"]

PROMPT_TOKENS = 1_000
"""Kept free in the window of who writes, for what is said beside the material."""
LEAST_NOTES = 100
"""Tokens that each of several calls may write in any case."""

Call = Callable[[ModelRequest], Awaitable[Completion]]
"""Makes a model call on somebody's account: a run's, or that of work for its session."""


class Writer:
    """Has notes written on what the steps of a run returned.

    Args:
        run: The run.
        request: The step beside which it happens.
        settings: How.
        small: Who writes, unless the agent's own model does.
        call: Makes the calls.
    """

    def __init__(self, run: Run, request: StepRequest, settings: Settings, small: Model | None, call: Call) -> None:
        self._question, self._nonce = run.question, run.nonce
        self._request = request
        self._settings = settings
        self._small = small
        self._call = call

    async def write(self, steps: Sequence[Step]) -> Read:
        """The notes on the results of these steps, as a model writes them, checked.

        Raises:
            ModelError: A call failed.
        """
        view = self._request.view
        names = [r.tool_call_id or "" for step in steps for r in step.results if is_whole(r, 0)]
        sources = sources_of(steps, names)
        earlier = earlier_notes(view)
        task = task_of(view, steps, self._question)
        if self._small is None and self._request.output is None and self._fits_behind(view):
            text = await self._ask_behind(view, sources)
        else:
            text = await self._ask_apart(view, sources, task, earlier)
        return await run_in_thread(lambda: read_notes(text, sources, task, earlier))

    def _fits_behind(self, view: View) -> bool:
        window = self._request.model.context_window
        room = PROMPT_TOKENS + self._settings.notes_tokens
        return window is None or request_of(self._request, view).tokens + room <= window

    async def _ask_behind(self, view: View, sources: Sequence[Source]) -> str:
        """Ask the agent's own model behind its own history: the endpoint has that cached."""
        asked = View([*view, Message.user(same_prefix_request(sources))])
        request = self._request
        asking = ModelRequest(model=request.model, view=asked, tools=request.tools)
        return await self._ask(asking, self._settings.notes_tokens)

    async def _ask_apart(self, view: View, sources: Sequence[Source], task: str, earlier: Sequence[str]) -> str:
        """Ask a model that has not seen the history, in calls side by side."""
        model = (self._small or self._request.model).speaking(PROTOCOLS["native"])  # plain text
        most, thoughts = self._settings.notes_tokens, thoughts_of(view)
        room = (model.context_window or 10**9) - PROMPT_TOKENS - most
        limit = max(min(room, MATERIAL_TOKENS), 200) * CHARS_PER_TOKEN
        told = "\n".join(earlier)[-limit // 4 :]
        asked = [notes_request(batch, task, thoughts, told, self._nonce) for batch in _batches(sources, limit)]
        most = max(most // max(len(asked), 1), min(most, LEAST_NOTES))
        calls = [self._ask(ModelRequest(model=model, view=one), most) for one in asked]
        texts = await asyncio.gather(*calls, return_exceptions=True)
        for error in texts:
            if isinstance(error, BaseException):
                raise error
        return "\n".join(map(str, texts))

    async def _ask(self, request: ModelRequest, most: int) -> str:
        sampling = dataclasses.replace(request.model.sampling, max_tokens=most)
        completion = await self._call(request.replace(choice="none", sampling=sampling, purpose="notes"))
        text = completion.text
        if completion.reply.problem and text.lstrip().startswith("{"):  # cut off in the middle of its JSON
            found = load_json(text)
            given = found.get("input") if isinstance(found, dict) else None
            text = str(given.get("answer", "")) if isinstance(given, dict) else ""
        if completion.finish_reason == "length":
            text = text.rpartition("\n")[0]  # a line that was cut off says something else
        return text


def _batches(sources: Sequence[Source], limit: int) -> list[list[Source]]:
    """Sources together as long as they fit; one that is too long alone comes in parts."""
    batches: list[list[Source]] = [[]]
    taken = 0
    for source in sources:
        for at in range(0, len(source.text), limit):
            part = dataclasses.replace(source, text=source.text[at : at + limit])
            if taken + len(part.text) > limit:
                batches.append([])
                taken = 0
            batches[-1].append(part)
            taken += len(part.text)
    return [batch for batch in batches if batch]


def earlier_notes(view: Sequence[Message]) -> list[str]:
    """The lines of the notes that a view has."""
    texts = (m.content for m in view if is_notes(m) or (m.role == "tool" and m.stands_for))
    noted = (text.partition(HEADING)[2] for text in texts)
    return [line for text in noted for line in text.splitlines() if line.startswith("- ")]


def request_of(request: StepRequest, view: View) -> ModelRequest:
    """What a step like this one would send of a view."""
    return ModelRequest(model=request.model, view=view, tools=request.tools, output=request.output)
