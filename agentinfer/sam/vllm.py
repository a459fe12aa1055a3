"""A drafter for vLLM: drafts from the session, and from earlier ones, by the draft index.

```sh
vllm serve MODEL --speculative-config '{"method": "custom_class",
  "model": "agentinfer.sam.vllm.SamProposer", "num_speculative_tokens": 16}'
```

Settings come from the environment:

- `AGENTINFER_SAM_PATH`: a folder in which the index is kept, one for each tokenizer.
- `AGENTINFER_SAM_TENANT`: whose it is; a server with this drafter serves one tenant.
- `AGENTINFER_SAM_FLOOR`: the least probability of a drafted token (0.3).
- `AGENTINFER_SAM_COSTS`: a JSON file, a list of `{"costs": {"1": 1.0, ...}, "batch": 1, "context": 0}`, by which each
  draft is as long as pays.
"""

import hashlib
import json
import logging
import os
import sys
import threading
from collections.abc import Sequence
from multiprocessing.util import Finalize
from pathlib import Path
from typing import Any

from agentinfer.errors import UserError
from agentinfer.sam._batch import Batch
from agentinfer.sam._gain import CostTable, draft_length
from agentinfer.sam._index import DraftIndex
from agentinfer.sam._store import load_index, save_index

__all__ = ["SamProposer"]

LOG = logging.getLogger("vllm.agentinfer.sam")
"""Shown where the engine's own messages are."""
SAVE_EVERY = 60.0
"""Seconds after which sessions that rest are saved: a server that is stopped is often killed before it can save any."""


class SamProposer:
    """Proposes tokens to vLLM (`method: custom_class`).

    Args:
        vllm_config: vLLM's own configuration.

    Raises:
        UserError: A setting is wrong.
    """

    def __init__(self, vllm_config: Any) -> None:
        self.config = vllm_config
        self.k = int(vllm_config.speculative_config.num_speculative_tokens)
        self.vocabulary = int(vllm_config.model_config.get_vocab_size())
        self.ends = _ends(vllm_config.model_config)
        self.floor = _floor(os.environ.get("AGENTINFER_SAM_FLOOR", "0.3"))
        self.tenant = os.environ.get("AGENTINFER_SAM_TENANT")
        self.path = os.environ.get("AGENTINFER_SAM_PATH")
        self.tables = _tables(os.environ.get("AGENTINFER_SAM_COSTS"))
        self.index = DraftIndex(max_sessions=sys.maxsize, max_open=sys.maxsize)
        self.batch = Batch(self.index, self.tenant)
        self._failed = False
        self._tokenizer: str | None = None
        self._loaded = False
        """Whether the earlier sessions are there; before, and where they cannot be read, nothing is saved."""
        self._sharing = threading.Lock()
        """Held by who changes sessions: a pass, the keeper that shares those that rest, the end."""
        self._keeper: threading.Thread | None = None
        self._stopped = threading.Event()

    def load_model(self, *args: Any, **kwargs: Any) -> None:
        """Have a thread load the earlier sessions and save new ones; before that, drafts come from the session."""
        if self.path is not None:
            saves = getattr(self.config.parallel_config, "rank", 0) == 0  # all ranks hear the same; one of them saves
            self._keeper = threading.Thread(
                target=self._keep, args=(saves,), name="agentinfer sam: keeper", daemon=True
            )
            self._keeper.start()
            if saves:
                Finalize(self, self.close, exitpriority=1)

    def propose(
        self,
        sampled_token_ids: Sequence[Sequence[int]],
        num_tokens_no_spec: Any,
        token_ids_cpu: Any,
        slot_mappings: Any = None,
    ) -> list[list[int]]:
        """Draft for every request of a batch. It never raises: after a failure, which is logged, nothing is drafted.

        Args:
            sampled_token_ids: Of each request the tokens it has just got; none while it is prefilled.
            num_tokens_no_spec: Of each request how many tokens it has, shape (requests,).
            token_ids_cpu: The tokens of each request from its first one on, shape (requests, longest), 32 bits each.
            slot_mappings: Not used.

        Returns:
            Of each request the drafted tokens, `num_speculative_tokens` at most.
        """
        del slot_mappings
        if not self._failed:
            try:
                with self._sharing:
                    return self._propose(sampled_token_ids, num_tokens_no_spec, token_ids_cpu)
            except Exception:
                self._failed = True
                LOG.exception("drafting failed, and is off until the server is started again")
        return [[] for _ in sampled_token_ids]

    def _propose(self, sampled_tokens: Sequence[Sequence[int]], lengths: Any, rows: Any) -> list[list[int]]:
        batch = sum(1 for sampled in sampled_tokens if len(sampled))
        self.batch.keep(len(sampled_tokens), rows, lengths)
        drafts: list[list[int]] = []
        for number, sampled in enumerate(sampled_tokens):
            if not len(sampled):
                drafts.append([])
                continue
            length = int(lengths[number])
            followed = self.batch.follow(number, rows[number], length, len(sampled))
            room = min(self.k, int(rows.shape[1]) - length - 1)  # one more comes with every pass
            draft = followed.drafts.draft(max(room, 0), self.floor)
            if self.tables:
                table = CostTable.nearest(self.tables, batch=batch, context=length)
                draft = draft.cut(draft_length(draft.probabilities, table))
            drafts.append(self._proper(draft.tokens))
        return drafts

    def _proper(self, draft: list[int]) -> list[int]:
        """A draft up to the end of the reply, and to what is no token of the model."""
        for at, token in enumerate(draft):
            if token >= self.vocabulary:
                return draft[:at]
            if token in self.ends:
                return draft[: at + 1]
        return draft

    def _keep(self, saves: bool) -> None:
        """Load the earlier sessions; then save those that are over or rest, as long as the server runs."""
        self._load()
        while self._loaded and saves and not self._stopped.wait(SAVE_EVERY):
            with self._sharing:
                self.batch.share()
            if self.batch.unsaved:
                self._save()

    def close(self) -> None:
        """The server stops: end all sessions, and save them."""
        self._stopped.set()
        if self._keeper is not None:
            self._keeper.join(timeout=10)
        with self._sharing:
            self.batch.close()
        if self._loaded:
            self._save()

    def _load(self) -> None:
        try:
            self._tokenizer = _tokenizer(self.config.model_config)
            count = load_index(self.index, str(self.path), tenant=self.tenant, tokenizer=self._tokenizer)
        except (UserError, OSError) as error:
            LOG.warning("Earlier sessions are not drafted from, and none are saved: %s", error)
        except Exception:
            LOG.exception("earlier sessions are not drafted from, and none are saved")
        else:
            self._loaded = True
            LOG.info("Drafting from %d earlier sessions of %s", count, self.path)

    def _save(self) -> None:
        self.batch.unsaved = False
        try:
            save_index(self.index, str(self.path), tenant=self.tenant, tokenizer=self._tokenizer)
        except (UserError, OSError) as error:
            LOG.warning("The sessions are not saved: %s", error)
        except Exception:
            LOG.exception("the sessions are not saved")


def _ends(model_config: Any) -> frozenset[int]:
    """The tokens that end a reply."""
    generation: dict[str, Any] = getattr(model_config, "try_get_generation_config", dict)()
    told = (generation.get("eos_token_id"), getattr(model_config.hf_config, "eos_token_id", None))
    ends: list[Any] = [token for some in told for token in (some if isinstance(some, list) else [some])]
    return frozenset(token for token in ends if token is not None)


def _tokenizer(model_config: Any) -> str:
    """A name by which two tokenizers are told apart: a digest of the vocabulary."""
    from vllm.tokenizers import cached_tokenizer_from_config  # type: ignore[import-not-found]

    vocabulary = sorted(cached_tokenizer_from_config(model_config).get_vocab().items())
    return hashlib.sha256(json.dumps(vocabulary).encode()).hexdigest()[:32]


def _floor(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UserError(f"AGENTINFER_SAM_FLOOR is {text!r}, and should be a number from 0 to 1") from None


def _tables(path: str | None) -> list[CostTable]:
    if path is None:
        return []
    try:
        return [
            CostTable(
                costs={int(size): float(cost) for size, cost in table["costs"].items()},
                batch=int(table.get("batch", 1)),
                context=int(table.get("context", 0)),
            )
            for table in json.loads(Path(path).read_text())
        ]
    except (AttributeError, KeyError, OSError, TypeError, ValueError) as error:
        raise UserError(f"AGENTINFER_SAM_COSTS: {path} is no list of cost tables: {error!r}") from None
