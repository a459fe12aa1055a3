"""Test doubles: scripted models, a loopback endpoint with faults on demand, and a mocked one.

```python
with ScriptedModel(call("search", query="tides"), say("Twice a day.")) as model:
    result = await Agent(model, tools=[search]).run("How often is high tide?")
assert model.requests[1]["messages"][-1]["role"] == "tool"
```

The same steps make a real endpoint (`async with LoopbackServer(...) as server`) or a mocked one
(`with mock_endpoint(...) as endpoint`). Fixtures for pytest are in `agentinfer.testing.pytest_plugin`.
"""

from agentinfer.testing._http import HttpRequest
from agentinfer.testing._mock import MockedEndpoint, mock_endpoint, register_httpcore2
from agentinfer.testing._model import ScriptedBackend, ScriptedModel
from agentinfer.testing._script import Script, ScriptError, ScriptExhausted, StepsUnread
from agentinfer.testing._server import LoopbackServer
from agentinfer.testing._steps import (
    Handler,
    HttpAnswer,
    ScriptedReply,
    Step,
    call,
    cut,
    delay,
    end_early,
    fail,
    finish,
    hang,
    http,
    no_usage,
    raw,
    reset,
    say,
    think,
    usage,
    wait_for,
)

__all__ = [
    "Handler",
    "HttpAnswer",
    "HttpRequest",
    "LoopbackServer",
    "MockedEndpoint",
    "Script",
    "ScriptError",
    "ScriptExhausted",
    "ScriptedBackend",
    "ScriptedModel",
    "ScriptedReply",
    "Step",
    "StepsUnread",
    "call",
    "cut",
    "delay",
    "end_early",
    "fail",
    "finish",
    "hang",
    "http",
    "mock_endpoint",
    "no_usage",
    "raw",
    "register_httpcore2",
    "reset",
    "say",
    "think",
    "usage",
    "wait_for",
]
