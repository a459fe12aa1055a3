"""Models at OpenAI-compatible endpoints: the wire client, its profiles, retries and time-outs."""

from agentinfer.models._backend import END, Backend, Connection, Timeouts
from agentinfer.models._model import Model
from agentinfer.models._profile import PROFILES, Profile
from agentinfer.models._recording import RecordingBackend, ReplayBackend, record
from agentinfer.models._request import Completion, Delta, ModelRequest, Sampling
from agentinfer.models._retry import RetryPolicy

__all__ = [
    "END",
    "PROFILES",
    "Backend",
    "Completion",
    "Connection",
    "Delta",
    "Model",
    "ModelRequest",
    "Profile",
    "RecordingBackend",
    "ReplayBackend",
    "RetryPolicy",
    "Sampling",
    "Timeouts",
    "record",
]
