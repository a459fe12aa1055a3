"""How a model says what to do: native tool calls, schema-constrained JSON, or tagged text."""

from agentinfer.protocol._base import ActionProtocol, RawReply, Reply, ToolChoice, Wishes
from agentinfer.protocol._json import JsonProtocol
from agentinfer.protocol._native import NativeProtocol
from agentinfer.protocol._tagged import TaggedProtocol

__all__ = [
    "PROTOCOLS",
    "ActionProtocol",
    "JsonProtocol",
    "NativeProtocol",
    "RawReply",
    "Reply",
    "TaggedProtocol",
    "ToolChoice",
    "Wishes",
]

PROTOCOLS: dict[str, ActionProtocol] = {
    protocol.name: protocol for protocol in (NativeProtocol(), JsonProtocol(), TaggedProtocol())
}
"""The protocols by name, as an endpoint's profile or `Model(protocol=...)` names them."""
