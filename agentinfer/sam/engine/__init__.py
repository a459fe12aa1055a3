"""llama.cpp in the process, with drafts of the draft index. Needs the extra `llama-cpp`.

```python
async with local_model("qwen2.5-coder-1.5b-instruct") as model:
    result = await Agent(model).run("What is 2 + 3?")
```

What a model writes does not depend on the drafts but for rounding; how fast it writes does.
"""

from agentinfer.sam.engine._backend import EngineBackend, local_model
from agentinfer.sam.engine._costs import kept_costs, measure_costs, write_costs
from agentinfer.sam.engine._follow import Followed, Follower
from agentinfer.sam.engine._loop import Engine, Pass
from agentinfer.sam.engine._native import Llama
from agentinfer.sam.engine._plan import accepted_tokens, common_prefix, planned_draft

__all__ = [
    "Engine",
    "EngineBackend",
    "Followed",
    "Follower",
    "Llama",
    "Pass",
    "accepted_tokens",
    "common_prefix",
    "kept_costs",
    "local_model",
    "measure_costs",
    "planned_draft",
    "write_costs",
]
