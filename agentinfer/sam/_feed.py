"""What a session's index hears of its runs: the transcript, as it grows."""

import asyncio
from collections.abc import Sequence

from agentinfer._threads import run_in_thread
from agentinfer.sam._index import Draft, SessionDrafts
from agentinfer.sam._tokens import Tokenizer
from agentinfer.transcript import Message

__all__ = ["Feed", "text_of"]

LONG = 50_000
"""Characters from which on they are taken in a thread."""


class Feed:
    """Writes a transcript into a session's index; each message once, through all runs of the session."""

    def __init__(self, drafts: SessionDrafts, tokenizer: Tokenizer) -> None:
        self.drafts = drafts
        self.lock = asyncio.Lock()
        """Runs of one session take turns."""
        self._tokenizer = tokenizer
        self._heard = 0
        self._last: Message | None = None
        self._opened = False
        """Whether the next message's header is there already."""

    async def hear(self, transcript: Sequence[Message]) -> None:
        """Take in what is new."""
        if self._heard > len(transcript) or (self._heard and transcript[self._heard - 1] != self._last):
            self._heard = 0  # another history
        new = [transcript[position] for position in range(self._heard, len(transcript))]
        if not new:
            return
        self._heard, self._last = len(transcript), new[-1]
        if sum(len(message.content) for message in new) < LONG:
            self._write(new)
        else:
            await run_in_thread(lambda: self._write(new))

    def draft_reply(self, k: int, floor: float) -> Draft:
        """What the model's next message is likely to begin with."""
        if not self._opened:
            self.drafts.extend(self._header("assistant"))
            self._opened = True
        return self.drafts.draft(k, floor)

    def _write(self, messages: Sequence[Message]) -> None:
        for message in messages:
            own = message.role == "assistant"
            if not (own and self._opened):
                self.drafts.extend(self._header(message.name or message.role))
            self._opened = False
            tokens = [*self._tokenizer.encode(text_of(message)), self._tokenizer.end]
            self.drafts.extend(tokens, own=own)

    def _header(self, name: str) -> list[int]:
        return self._tokenizer.encode(f"{name}\n")


def text_of(message: Message) -> str:
    """A message as the model wrote or read it, about."""
    if message.raw is not None:
        return message.raw
    calls = [f"{call.name} {call.arguments}" for call in message.tool_calls]
    return "\n".join(filter(None, [message.content, *calls]))
