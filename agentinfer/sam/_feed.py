"""What a session's index hears of its runs: the transcript, as it grows."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from agentinfer._threads import run_in_thread
from agentinfer.sam._session import Draft, SessionDrafts
from agentinfer.sam._tokens import Tokenizer
from agentinfer.transcript import Message

__all__ = ["Feed", "text_of"]

LONG = 50_000
"""Characters from which on they are taken in a thread."""


class Feed:
    """Writes a transcript into a session's index; each message once, through all runs of the session.

    It is given the session's drafts at each call, and does not hold them: they end with the session.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.lock = asyncio.Lock()
        """Runs of one session take turns."""
        self._tokenizer = tokenizer
        self._heard: list[Message] = []
        self._opened = False
        """Whether the next message's header is there already."""

    async def hear(self, drafts: SessionDrafts, transcript: Sequence[Message]) -> None:
        """Take in what is new. When the caller is cancelled, that is done first."""
        heard = self._heard
        if len(heard) > len(transcript) or (heard and transcript[len(heard) - 1] != heard[-1]):  # another history
            pairs = zip(heard, transcript, strict=False)
            del heard[next((at for at, (one, other) in enumerate(pairs) if one != other), len(transcript)) :]
        new = [transcript[position] for position in range(len(heard), len(transcript))]
        if not new:
            return
        heard += new
        if sum(len(message.content) for message in new) < LONG:
            self._write(drafts, new)
        else:
            await _finish(run_in_thread(lambda: self._write(drafts, new)))

    def draft_reply(self, drafts: SessionDrafts, k: int, floor: float) -> Draft:
        """What the model's next message is likely to begin with."""
        if not self._opened:
            drafts.extend(self._header("assistant"))
            self._opened = True
        return drafts.draft(k, floor)

    def _write(self, drafts: SessionDrafts, messages: Sequence[Message]) -> None:
        for message in messages:
            own = message.role == "assistant"
            if not (own and self._opened):
                drafts.extend(self._header(message.name or message.role))
            self._opened = False
            tokens = [*self._tokenizer.encode(text_of(message)), self._tokenizer.end]
            drafts.extend(tokens, own=own)

    def _header(self, name: str) -> list[int]:
        return self._tokenizer.encode(f"{name}\n")


async def _finish(work: Coroutine[Any, Any, None]) -> None:
    """Wait for work to end, also when cancelled; what is written is never written by two at once."""
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    task.result()
    if cancelled is not None:
        raise cancelled


def text_of(message: Message) -> str:
    """A message as the model wrote or read it, about."""
    if message.raw is not None:
        return message.raw
    calls = [f"{call.name} {call.arguments}" for call in message.tool_calls]
    return "\n".join(filter(None, [message.content, *calls]))
