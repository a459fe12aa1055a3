"""Which results of a view can go, and the view without them: pure functions.

Legal cuts only: a call keeps its result, if only as a line that says where it is kept; what users and the system said
and what the agent thought stays word for word.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from agentinfer.transcript import Message, ToolCall, View

__all__ = ["CLIPPED", "Cut", "Step", "cuttable", "is_notes", "join_notes", "make_cut", "steps_of", "stub"]

HEAD, TAIL = 600, 200
"""Characters that a clipped result keeps of its beginning and its end."""
CLIPPED = 2 * (HEAD + TAIL)
"""Characters of a result that is worth clipping."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step in a view: the calls of one message, each with its result right behind it."""

    number: int
    """Counted from 1 over the whole view."""
    position: int
    """Of the message that makes the calls."""
    calls: tuple[ToolCall, ...]
    results: tuple[Message, ...]
    """In the order in which they stand in the view."""

    @property
    def end(self) -> int:
        """The position behind its last result."""
        return self.position + 1 + len(self.results)

    def call_of(self, result: Message) -> ToolCall:
        """The call that a result answers."""
        return next(call for call in self.calls if call.id == result.tool_call_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What goes from a view, and what comes in its place."""

    originals: Mapping[str, Message]
    """By call id: the results that go."""
    stubs: Mapping[str, Message] = field(default_factory=dict)
    """By call id: what stands in their place."""
    notes: Message | None = None
    """Comes behind the last step that loses a result."""
    whole_steps: bool = False
    """Whether the steps go altogether, with what the agent thought in them."""

    def apply(self, view: View) -> View | None:
        """The view with the cut made, or nothing where it does not hold every result that goes: the cut is stale."""
        steps = [step for step in steps_of(view) if any(r.tool_call_id in self.originals for r in step.results)]
        there = {result.tool_call_id: result for step in steps for result in step.results}
        if not steps or any(there.get(name) != original for name, original in self.originals.items()):
            return None
        messages: list[Message] = []
        position = 0
        for step in steps:
            messages += view[position : step.position]
            position = step.end
            if not self.whole_steps:
                messages.append(view[step.position])
                messages += [self.stubs.get(r.tool_call_id or "", r) for r in step.results]
        if self.notes is not None:
            messages.append(self.notes)
        return View([*messages, *view[position:]])

    def joined(self) -> "Cut":
        """The same with the notes in the last line that stands for a result, and no message of their own."""
        if self.notes is None or not self.stubs:
            return self
        *_, (name, last) = self.stubs.items()
        return dataclasses.replace(self, stubs={**self.stubs, name: _join(last, self.notes)}, notes=None)


def is_notes(message: Message) -> bool:
    """Whether a message is notes that stand for themselves."""
    return message.role == "assistant" and message.stands_for is not None and not message.tool_calls


def join_notes(view: View) -> View:
    """A view whose notes are part of the results before them; the same view where it has none."""
    messages: list[Message] = []
    for message in view:
        if is_notes(message) and messages and messages[-1].role == "tool":
            messages[-1] = _join(messages[-1], message)
        else:
            messages.append(message)
    return View(messages) if len(messages) < len(view) else view


def _join(result: Message, notes: Message) -> Message:
    content = f"{result.content}\n\n{notes.content}"
    return dataclasses.replace(result, content=content, stands_for=result.stands_for or notes.stands_for)


def steps_of(view: Sequence[Message], examples: Sequence[Message] = ()) -> list[Step]:
    """The steps of a view whose calls all have their results.

    Args:
        view: What is sent.
        examples: Messages of the agent's examples, whose steps are none of a run.
    """
    steps: list[Step] = []
    for position, message in enumerate(view):
        if message.role != "assistant" or not message.tool_calls or message in examples:
            continue
        results = tuple(view[position + 1 : position + 1 + len(message.tool_calls)])
        wanted = sorted(call.id for call in message.tool_calls)
        if all(r.role == "tool" for r in results) and sorted(r.tool_call_id or "" for r in results) == wanted:
            steps.append(Step(len(steps) + 1, position, message.tool_calls, results))
    return steps


def cuttable(steps: Sequence[Step], *, recent: int, least: int) -> list[Step]:
    """The steps with a result that is still whole and longer than `least` characters, the last `recent` left out."""
    old = steps[: max(len(steps) - recent, 0)]
    return [step for step in old if any(is_whole(result, least) for result in step.results)]


def is_whole(result: Message, least: int) -> bool:
    """Whether a result stands for itself and is longer than `least` characters."""
    return result.stands_for is None and len(result.content) > least


def stub(original: Message, position: int, handle: str | None, *, noted: bool, clip: bool = False) -> Message:
    """What stands in the place of a result.

    Args:
        original: The result.
        position: Its position in the transcript.
        handle: What its text is kept under.
        noted: Whether notes tell of it.
        clip: Whether its beginning and its end stay.
    """
    where = f"full text: {handle}" if handle else "no longer shown"
    if clip:
        text = original.content
        left_out = len(text) - HEAD - TAIL
        content = f"{text[:HEAD]}\n[... {left_out:,} characters left out; {where} ...]\n{text[-TAIL:]}"
    else:
        content = f"(see the notes below; {where})" if noted else f"({where})"
    return dataclasses.replace(original, content=content, stands_for=(position, position + 1))


def make_cut(
    steps: Sequence[Step],
    stubs: Mapping[str, Message],
    notes: str | None,
    *,
    whole_steps: bool = False,
) -> Cut:
    """The cut that takes these results out of these steps.

    Args:
        steps: The steps that lose results.
        stubs: By call id: what stands in the place of the results that go.
        notes: What they came to.
        whole_steps: Whether the steps go altogether.
    """
    gone = {
        result.tool_call_id or "": result
        for step in steps
        for result in step.results
        if whole_steps or result.tool_call_id in stubs
    }
    places = [at for message in stubs.values() if (at := message.stands_for)]
    span = (min(start for start, _ in places), max(end for _, end in places)) if places else None
    message = None
    if notes is not None:
        message = Message(role="assistant", content=notes, trust="data", stands_for=span)
    return Cut(originals=gone, stubs={} if whole_steps else dict(stubs), notes=message, whole_steps=whole_steps)
