"""Probes of what an endpoint refuses, and whether the runtime understands how."""

import secrets

from agentinfer.doctor._endpoint import Endpoint
from agentinfer.doctor._findings import Finding, Findings, no, unclear, yes
from agentinfer.errors import AuthenticationFailed, RequestRefused, UnknownModel

__all__ = ["bad_request", "unknown_model", "wrong_key"]


async def unknown_model(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether a model that is not there is refused."""
    del found
    heard = await endpoint.ask("Say hello.", model=f"no-such-model-{secrets.token_hex(4)}")
    if heard.error is None:
        return no("answered under any name")
    return (yes if isinstance(heard.error, UnknownModel | RequestRefused) else unclear)(heard.refused)


async def bad_request(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether a body that is no request is refused as the client's fault, and so not sent again."""
    del found
    heard = await endpoint.send({"model": endpoint.model, "messages": "none"})
    if heard.error is None:
        return no("answered nonetheless")
    return (no if heard.error.retryable else yes)(heard.refused, retried=heard.error.retryable)


async def wrong_key(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether another key is refused."""
    del found
    try:
        heard = await endpoint.with_key(f"wrong-{secrets.token_hex(8)}")
    except AuthenticationFailed as error:
        return yes(str(error))
    return unclear(heard.refused) if heard.error else no("any key is taken")
