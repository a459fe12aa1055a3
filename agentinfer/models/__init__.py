"""Models at OpenAI-compatible endpoints: the wire client, its profiles, retries and time-outs."""

from agentinfer.models._backend import END, Backend, Connection, Timeouts
from agentinfer.models._model import Model
from agentinfer.models._profile import PROFILES, Profile
from agentinfer.models._profile_file import (
    KeptProfile,
    kept_profile,
    profile_lines,
    profile_path,
    profiles_directory,
    read_profile,
    write_profile,
)
from agentinfer.models._recording import RecordingBackend, ReplayBackend, record
from agentinfer.models._request import Completion, Delta, ModelRequest, Sampling
from agentinfer.models._retry import RetryPolicy
from agentinfer.models._thinking import THINKING, Thinking, ThinkMode, ThinkSwitch

__all__ = [
    "END",
    "PROFILES",
    "THINKING",
    "Backend",
    "Completion",
    "Connection",
    "Delta",
    "KeptProfile",
    "Model",
    "ModelRequest",
    "Profile",
    "RecordingBackend",
    "ReplayBackend",
    "RetryPolicy",
    "Sampling",
    "ThinkMode",
    "ThinkSwitch",
    "Thinking",
    "Timeouts",
    "kept_profile",
    "profile_lines",
    "profile_path",
    "profiles_directory",
    "read_profile",
    "record",
    "write_profile",
]
