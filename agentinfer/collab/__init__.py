"""AgentCollab: the right model, thinking the right amount, at every step (arXiv 2512.18337, 2603.26034).

```python
async with Model.local("qwen2.5-coder-0.5b-instruct") as small:
    agent = search_agent(Model.local("qwen2.5-coder-1.5b-instruct"), corpus, plugins=[Collab(small)])
```
"""

from agentinfer.collab._events import FallCause, ModelFellOver, ModelSwitched, ProgressJudged, SwitchPutOff, TierChosen
from agentinfer.collab._plugin import Check, Collab
from agentinfer.collab._policy import Phase, Policy, PolicyState
from agentinfer.collab._price import Economy
from agentinfer.collab._run import CollabState
from agentinfer.collab._tiers import Think, Tier
from agentinfer.collab._verdict import Judgement, Verdict, judgement_in
from agentinfer.collab._vetoes import Veto, Vetoes

__all__ = [
    "Check",
    "Collab",
    "CollabState",
    "Economy",
    "FallCause",
    "Judgement",
    "ModelFellOver",
    "ModelSwitched",
    "Phase",
    "Policy",
    "PolicyState",
    "ProgressJudged",
    "SwitchPutOff",
    "Think",
    "Tier",
    "TierChosen",
    "Verdict",
    "Veto",
    "Vetoes",
    "judgement_in",
]
