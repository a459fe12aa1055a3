"""The cuts that could be made of a view, in tokens."""

import math
from collections.abc import Sequence

from agentinfer.compress._cut import Step, cuttable, is_whole, stub
from agentinfer.compress._notes import MATERIAL_TOKENS
from agentinfer.compress._policy import Option
from agentinfer.compress._settings import Settings
from agentinfer.models import ModelRequest

__all__ = ["options_of"]

SOURCE_TOKENS = 20
"""To name one result to who writes the notes."""
ASKED_TOKENS = 250
"""To ask for notes."""
EXAMPLE_TOKENS = 200
"""To show how they look, to a model that has not seen the history."""
NOTES_SHARE = 0.2
"""Of the material: how long notes are expected to be."""


def options_of(
    request: ModelRequest, steps: Sequence[Step], settings: Settings, *, apart: bool
) -> list[tuple[Option, list[Step]]]:
    """The cuts that begin at each of the old steps, and go up to the recent ones.

    Args:
        request: What would be sent without a cut.
        steps: The steps of its view.
        settings: How.
        apart: Whether another model than the agent's own writes the notes.
    """
    chosen = cuttable(steps, recent=settings.recent, least=settings.least)
    if not chosen:
        return []
    encoded, calibrate = request.encoded, request.model.counter.calibrate
    shift = len(encoded.parts) - len(request.view)  # a system message that only carries the protocol's preamble
    sample = next(r for r in chosen[0].results if is_whole(r, settings.least))
    short = stub(sample, 0, "result-100", noted=settings.notes != "none")
    stub_tokens = request.codec.count(short.encoded(request.codec, leading=False))

    def tokens(first: int, last: int) -> float:
        return encoded.tokens_of(last + shift) - encoded.tokens_of(first + shift)

    options = []
    removed = added = carried = 0.0
    results = 0
    for begin in range(len(chosen) - 1, -1, -1):
        step = chosen[begin]
        before = removed - added
        gone = [at for at, r in enumerate(step.results, step.position + 1) if is_whole(r, settings.least)]
        results += len(gone)
        if settings.reasoning:
            removed += sum(tokens(at, at + 1) for at in gone)
            added += stub_tokens * len(gone)
        else:
            removed += tokens(step.position, step.end)
        carried += (removed - added - before) * (len(steps) - settings.recent - step.number + 1)
        notes = min(float(settings.notes_tokens), NOTES_SHARE * removed) if settings.notes != "none" else 0.0
        asked = settings.notes == "model"
        calls = math.ceil(removed / MATERIAL_TOKENS) if apart else 1
        told = calls * (ASKED_TOKENS + apart * EXAMPLE_TOKENS) + SOURCE_TOKENS * results + apart * removed
        first = gone[0] if settings.reasoning else step.position
        option = Option(
            kept=calibrate(request.codec.tool_tokens + encoded.tokens_of(first + shift)),
            removed=calibrate(removed),
            added=calibrate(added + notes),
            carried=calibrate(carried),
            notes_prompt=calibrate(asked * told),
            notes_cached=calibrate(request.raw_tokens) if asked and not apart else 0,
            notes_completion=calibrate(asked * notes),
        )
        options.append((option, chosen[begin:]))
    return options
