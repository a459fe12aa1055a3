"""Putting results away: their texts into the workspace, a line and the notes in their place."""

from bisect import bisect_left
from collections.abc import Sequence

from agentinfer._threads import run_in_thread
from agentinfer.compress._cut import CLIPPED, Cut, Step, is_whole, make_cut, stub
from agentinfer.compress._lexical import words_of
from agentinfer.compress._notes import Note, extract, render
from agentinfer.compress._settings import Settings
from agentinfer.compress._sources import sources_of
from agentinfer.run import Run
from agentinfer.transcript import Message

__all__ = ["CHARS_PER_TOKEN", "cut_now", "extracted", "task_of", "thoughts_of"]

CHARS_PER_TOKEN = 3
"""On the safe side: material has to fit the window of who writes the notes."""


async def cut_now(
    run: Run,
    steps: Sequence[Step],
    settings: Settings,
    *,
    notes: Sequence[Note] | None = None,
    clipped: Sequence[Step] = (),
    must_keep: bool = False,
) -> Cut:
    """The cut that puts the results of these steps away, their texts kept in the run's workspace.

    Args:
        run: The run.
        steps: The steps.
        settings: How.
        notes: What the results came to; sentences of their own unless given.
        clipped: Steps whose long results keep a beginning and an end.
        must_keep: Whether a text that cannot be kept is an error; the transcript has it in any case.

    Raises:
        OSError: The workspace cannot be written.
    """
    least = settings.least
    places = {m.tool_call_id: at for at, m in enumerate(run.transcript) if m.role == "tool"}
    gone = [r for step in steps for r in step.results if is_whole(r, least) and r.tool_call_id in places]
    cut_short = [r for step in clipped for r in step.results if is_whole(r, CLIPPED) and r.tool_call_id in places]
    noted = settings.notes != "none"
    if must_keep and any(r.tool_call_id not in places for step in steps for r in step.results):
        raise ValueError("stale")

    def make() -> tuple[dict[str, Message], str | None]:
        stubs = {}
        for result, clip in [*((r, False) for r in gone), *((r, True) for r in cut_short)]:
            handle = _keep(run, result, must_keep=must_keep)
            place = places[result.tool_call_id]
            stubs[result.tool_call_id or ""] = stub(result, place, handle, noted=noted, clip=clip)
        if not noted or not gone:
            return stubs, None
        read = [result for step in steps for result in step.results]  # notes are on those that stay, too
        fenced = any(result.content.startswith("<tool-data ") for result in read)
        lines = extracted(run, steps, settings) if notes is None else notes
        return stubs, render(lines, steps[0].number, steps[-1].number, run.nonce if fenced else "")

    stubs, text = await run_in_thread(make)
    return make_cut([*steps, *clipped], stubs, text, whole_steps=not settings.reasoning and not clipped)


def extracted(run: Run, steps: Sequence[Step], settings: Settings) -> list[Note]:
    """The sentences of the results of these steps that fit their task and the agent's last thought best."""
    names = [r.tool_call_id or "" for step in steps for r in step.results if is_whole(r, settings.least)]
    wanted = words_of(f"{task_of(run.view, steps, run.question)} {thoughts_of(run.view)}")
    return extract(sources_of(steps, names), wanted, settings.notes_tokens * CHARS_PER_TOKEN)


def _keep(run: Run, result: Message, *, must_keep: bool) -> str | None:
    try:
        return run.workspace.keep(result.content.encode(errors="replace"))
    except OSError:
        if must_keep:
            raise
        return None


def task_of(view: Sequence[Message], steps: Sequence[Step], question: str) -> str:
    """What the agent worked on in these steps, and works on now: in a session these differ."""
    asked = [at for at, m in enumerate(view) if m.role == "user" and m.trust == "instruction"]
    before = (bisect_left(asked, step.position) for step in steps)
    return "\n".join(dict.fromkeys([*(view[asked[at - 1]].content for at in before if at), question]))


def thoughts_of(view: Sequence[Message]) -> str:
    """What the agent thought last, shortened."""
    for position in range(len(view) - 1, -1, -1):
        message = view[position]
        if message.role == "assistant" and not message.stands_for and (message.content or message.reasoning):
            return (message.content or message.reasoning or "")[-500:]
    return ""
