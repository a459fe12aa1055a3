"""AgentSAM: what is the model about to write? (arXiv 2512.18337; after 2411.04975 and 2411.10666).

```python
index = DraftIndex()
session = index.session("thread-42", tenant="acme")
session.extend(prompt)                    # at every turn what is new
draft = session.draft(16)                 # likely tokens, and how likely each is
session.extend(written, own=True)         # what the model wrote in the end
```

`Sam` is the plug-in, `agentinfer.sam.engine` a local model with drafts, `agentinfer.sam.vllm` the drafter for vLLM;
`agentinfer sam simulate` tells what drafting would bring.
"""

from agentinfer.sam._automaton import COMPILED, Calibration, Cursor, SuffixAutomaton
from agentinfer.sam._gain import CostTable, draft_length, prediction_floor, speed_up
from agentinfer.sam._index import DraftIndex
from agentinfer.sam._plugin import PredictionRefused, PredictionSent, RunRepeats, Sam, excludes_prediction
from agentinfer.sam._repeats import ActionRepeats, Repetition, action_of
from agentinfer.sam._segments import Segment
from agentinfer.sam._session import Draft, SessionDrafts
from agentinfer.sam._similar import most_similar, sketch
from agentinfer.sam._store import IndexFileError, load_index, save_index
from agentinfer.sam._tokens import ByteTokenizer, TiktokenTokenizer, Tokenizer, tokenizer_for

__all__ = [
    "COMPILED",
    "ActionRepeats",
    "ByteTokenizer",
    "Calibration",
    "CostTable",
    "Cursor",
    "Draft",
    "DraftIndex",
    "IndexFileError",
    "PredictionRefused",
    "PredictionSent",
    "Repetition",
    "RunRepeats",
    "Sam",
    "Segment",
    "SessionDrafts",
    "SuffixAutomaton",
    "TiktokenTokenizer",
    "Tokenizer",
    "action_of",
    "draft_length",
    "excludes_prediction",
    "load_index",
    "most_similar",
    "prediction_floor",
    "save_index",
    "sketch",
    "speed_up",
    "tokenizer_for",
]
