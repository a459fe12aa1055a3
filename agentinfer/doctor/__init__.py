"""What an endpoint can do, found out by asking it: probes, their findings, and the profile that follows.

```python
examination = await examine("http://127.0.0.1:8080/v1", "my-model")
model = Model("my-model", base_url="http://127.0.0.1:8080/v1", profile=examination.judgement.profile)
```
"""

from agentinfer.doctor._examine import Examination, choose_model, examine
from agentinfer.doctor._findings import Finding, Findings, Verdict
from agentinfer.doctor._judge import Judgement, judge
from agentinfer.doctor._probes import Probe, probes

__all__ = [
    "Examination",
    "Finding",
    "Findings",
    "Judgement",
    "Probe",
    "Verdict",
    "choose_model",
    "examine",
    "judge",
    "probes",
]
