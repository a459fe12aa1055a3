"""Which session a prompt goes on from: requests name none."""

from collections import OrderedDict
from collections.abc import Sequence
from uuid import uuid4

from agentinfer.sam._index import DraftIndex
from agentinfer.sam._plain import CONTEXT
from agentinfer.sam._session import SessionDrafts
from agentinfer.sam.engine._plan import common_prefix

__all__ = ["Followed", "Follower"]


class Followed:
    """A conversation under way: its tokens, and its drafts."""

    def __init__(self, drafts: SessionDrafts) -> None:
        self.drafts = drafts
        self._tokens: list[int] = []
        self._prompt = 0
        """Tokens of its latest prompt."""

    def shared(self, prompt: Sequence[int]) -> int:
        """How much of it a prompt repeats; 0 where the prompt is no later turn of it."""
        common = common_prefix(self._tokens, prompt)
        return common if common >= self._prompt else 0

    def hear(self, prompt: Sequence[int]) -> None:
        """Take in what is new in a prompt. After it the drafts follow on the prompt's end."""
        common = common_prefix(self._tokens, prompt)
        whole = common == len(self._tokens)
        self.drafts.extend(prompt[common if whole else max(0, common - CONTEXT) :])
        self._tokens, self._prompt = list(prompt), len(prompt)

    def wrote(self, tokens: Sequence[int]) -> None:
        """Take in what the model wrote."""
        self._tokens += tokens
        self.drafts.extend(tokens, own=True)


class Follower:
    """Finds the conversation of each prompt.

    Args:
        index: Where conversations are kept.
        sessions: How many are followed at once; the longest unused becomes an earlier one, to draft from.
        tenant: Whose they all are.
    """

    def __init__(self, index: DraftIndex, *, sessions: int = 1, tenant: str | None = None) -> None:
        self.index = index
        self._sessions = max(sessions, 1)
        self._tenant = tenant
        self._open: OrderedDict[str, Followed] = OrderedDict()

    def follow(self, prompt: Sequence[int]) -> Followed:
        """The conversation that a prompt goes on from, or a new one, with the prompt taken in."""
        key = max(self._open, key=lambda key: self._open[key].shared(prompt), default=None)
        if key is None or not self._open[key].shared(prompt):
            key = f"engine {uuid4().hex}"
            while len(self._open) >= self._sessions:
                self.index.close(self._open.popitem(last=False)[0], tenant=self._tenant)
            self._open[key] = Followed(self.index.session(key, tenant=self._tenant))
        self._open.move_to_end(key)
        self._open[key].hear(prompt)
        return self._open[key]

    def close(self) -> None:
        """End all conversations: from now on they are earlier ones."""
        while self._open:
            self.index.close(self._open.popitem()[0], tenant=self._tenant)
