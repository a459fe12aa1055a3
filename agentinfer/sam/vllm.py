"""A drafter for vLLM: drafts from the session, and from earlier ones, by the draft index.

```sh
vllm serve MODEL --speculative-config '{"method": "custom_class",
  "model": "agentinfer.sam.vllm.SamProposer", "num_speculative_tokens": 16}'
```

Settings come from the environment:

- `AGENTINFER_SAM_PATH`: a folder in which the index is kept.
- `AGENTINFER_SAM_TENANT`: whose it is; a server with this drafter serves one tenant.
- `AGENTINFER_SAM_FLOOR`: the least probability of a drafted token (0.3).
- `AGENTINFER_SAM_COSTS`: a JSON file, a list of `{"costs": {"1": 1.0, ...}, "batch": 1, "context": 0}`, by which each
  draft is as long as pays.
"""

import json
import logging
import os
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentinfer.sam._gain import CostTable, draft_length
from agentinfer.sam._index import DraftIndex, SessionDrafts
from agentinfer.sam._store import load_index, save_index

__all__ = ["SamProposer"]

LOG = logging.getLogger(__name__)
SAVE_EVERY = 50
"""Sessions after which the index is saved."""
CHECKED = 64
"""Tokens before the end by which a request is known again; what is mistaken for another only drafts worse."""


class _Followed:
    """A sequence that the drafter has seen."""

    def __init__(self, key: str, drafts: SessionDrafts) -> None:
        self.key = key
        self.drafts = drafts
        self.tail: list[int] = []

    def continued_by(self, row: Any, length: int) -> bool:
        """Whether a row of tokens begins with this sequence, as far as its end tells."""
        seen = len(self.drafts)
        return 0 < seen <= length and row[seen - len(self.tail) : seen].tolist() == self.tail

    def extend(self, tokens: list[int], *, own: bool) -> None:
        self.drafts.extend(tokens, own=own)
        self.tail = [*self.tail, *tokens[-CHECKED:]][-CHECKED:]


class SamProposer:
    """Proposes tokens to vLLM (`method: custom_class`).

    Args:
        vllm_config: vLLM's own configuration; `speculative_config.num_speculative_tokens` is read.
    """

    def __init__(self, vllm_config: Any) -> None:
        self.k = int(vllm_config.speculative_config.num_speculative_tokens)
        self.floor = float(os.environ.get("AGENTINFER_SAM_FLOOR", "0.3"))
        self.tenant = os.environ.get("AGENTINFER_SAM_TENANT")
        self.path = os.environ.get("AGENTINFER_SAM_PATH")
        self.tables = _tables(os.environ.get("AGENTINFER_SAM_COSTS"))
        self.index = DraftIndex(max_sessions=64)
        self._rows: dict[int, _Followed] = {}
        self._known: dict[str, _Followed] = {}
        self._number = 0
        self._saving: threading.Thread | None = None

    def load_model(self, *args: Any, **kwargs: Any) -> None:
        """Load the earlier sessions, beside everything else: until they are there, drafts come from the session."""
        if self.path is not None:
            threading.Thread(target=self._load, name="agentinfer sam", daemon=True).start()

    def propose(
        self,
        sampled_token_ids: Sequence[Sequence[int]],
        num_tokens_no_spec: Any,
        token_ids_cpu: Any,
        slot_mappings: Any = None,
    ) -> list[list[int]]:
        """Draft for every request of a batch.

        Args:
            sampled_token_ids: Of each request the tokens it has just got; none while it is prefilled.
            num_tokens_no_spec: Of each request how many tokens it has, shape (requests,).
            token_ids_cpu: The tokens of each request from its first one on, shape (requests, longest).
            slot_mappings: Not used.

        Returns:
            Of each request the drafted tokens, `num_speculative_tokens` at most.
        """
        del slot_mappings
        batch = sum(1 for sampled in sampled_token_ids if len(sampled))
        drafts: list[list[int]] = []
        for number, sampled in enumerate(sampled_token_ids):
            if not len(sampled):
                drafts.append([])
                continue
            length = int(num_tokens_no_spec[number])
            followed = self._follow(number, token_ids_cpu[number], length, len(sampled))
            room = min(self.k, int(token_ids_cpu.shape[1]) - length)
            draft = followed.drafts.draft(max(room, 0), self.floor)
            if self.tables:
                table = CostTable.nearest(self.tables, batch=batch, context=length)
                draft = draft.cut(draft_length(draft.probabilities, table))
            drafts.append(draft.tokens)
        return drafts

    def _follow(self, number: int, row: Any, length: int, sampled: int) -> _Followed:
        """The sequence in a row, with what is new in it. Rows are reused and moved by the engine."""
        followed = self._rows.get(number)
        if followed is None or not followed.continued_by(row, length):
            followed = self._find(row, length)
            self._rows[number] = followed
        seen = len(followed.drafts)
        written = max(length - sampled, seen)
        if seen < written:
            followed.extend(row[seen:written].tolist(), own=False)
        if written < length:
            followed.extend(row[written:length].tolist(), own=True)
        return followed

    def _find(self, row: Any, length: int) -> _Followed:
        """The longest known sequence that this one goes on from, as the next turn of a session does; else a new one."""
        going_on = [known for known in self._known.values() if known.continued_by(row, length)]
        if going_on:
            longest = max(going_on, key=lambda known: len(known.drafts))
            self.index.session(longest.key, tenant=self.tenant)
            return longest
        self._number += 1
        key = str(self._number)
        followed = self._known[key] = _Followed(key, self.index.session(key, tenant=self.tenant))
        alive = self.index.open_sessions(self.tenant)
        self._known = {key: known for key, known in self._known.items() if key in alive}
        if self.path is not None and self._number % SAVE_EVERY == 0:
            self.save()
        return followed

    def save(self) -> None:
        """Save the sessions that are over, in a thread."""
        if self._saving is None or not self._saving.is_alive():
            self._saving = threading.Thread(target=self._save, name="agentinfer sam")
            self._saving.start()

    def _load(self) -> None:
        try:
            load_index(self.index, str(self.path), tenant=self.tenant)
        except Exception:
            LOG.exception("the draft index in %s is not used", self.path)

    def _save(self) -> None:
        try:
            save_index(self.index, str(self.path), tenant=self.tenant)
        except Exception:
            LOG.exception("the draft index was not saved in %s", self.path)


def _tables(path: str | None) -> list[CostTable]:
    if path is None:
        return []
    return [
        CostTable(
            costs={int(size): float(cost) for size, cost in table["costs"].items()},
            batch=int(table.get("batch", 1)),
            context=int(table.get("context", 0)),
        )
        for table in json.loads(Path(path).read_text())
    ]
