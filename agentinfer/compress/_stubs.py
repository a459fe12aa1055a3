"""What the stubs of a view name."""

import re
from collections.abc import Collection, Sequence

from agentinfer.compress._cut import HEAD
from agentinfer.transcript import Message

__all__ = ["missing_texts"]

_STUB = re.compile(r"\((?:see the notes below; )?full text: (result-\d+)\)")
_CLIPPED = re.compile(r"\n\[\.\.\. [\d,]+ characters left out; full text: (result-\d+) \.\.\.\]\n")


def missing_texts(view: Sequence[Message], transcript: Sequence[Message], kept: Collection[str]) -> dict[str, bytes]:
    """The texts that stubs name and that are not kept, by handle: the transcript has them.

    Args:
        view: What is sent.
        transcript: What happened.
        kept: The handles of what is kept.
    """
    missing = {}
    for message in view:
        if message.role != "tool" or message.stands_for is None:
            continue
        # a clipped result begins with its own text, which may name anything
        found = _STUB.match(message.content) or _CLIPPED.match(message.content, HEAD)
        if found and found[1] not in kept and message.stands_for[0] < len(transcript):
            missing[found[1]] = transcript[message.stands_for[0]].content.encode(errors="replace")
    return missing
