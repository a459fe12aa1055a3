"""What the tests of the wire client share."""

from typing import Any, Literal

from agentinfer.models import Completion, Delta, Model, ModelRequest, RetryPolicy
from agentinfer.testing import LoopbackServer
from agentinfer.transcript import Message, View

ONCE = RetryPolicy(attempts=1)
AT_ONCE = RetryPolicy(first_delay=0.0)
Transport = Literal["httpx", "httptools"]
TRANSPORTS: tuple[Transport, ...] = ("httpx", "httptools")


def model_at(server: LoopbackServer, **settings: Any) -> Model:
    return Model("m", base_url=server.base_url, **{"retry": ONCE, **settings})


def asking(model: Model, text: str = "Hello?", **fields: Any) -> ModelRequest:
    return ModelRequest(model=model, **{"view": View([Message.user(text)]), **fields})


async def ask(model: Model, text: str = "Hello?", *, deltas: list[Delta] | None = None, **fields: Any) -> Completion:
    request = asking(model, text, **fields)
    return await model.complete(request, on_delta=None if deltas is None else deltas.append)
