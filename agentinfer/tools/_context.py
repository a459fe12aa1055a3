"""What a tool may know of the call it answers."""

from dataclasses import dataclass

from agentinfer.tools._workspace import Workspace

__all__ = ["ToolContext"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolContext:
    """Handed to a tool that has a parameter of this type."""

    run_id: str
    call_id: str
    """Unique within the run."""
    session: str | None
    """The conversation that the run belongs to."""
    tenant: str | None
    """On whose behalf the run is made."""
    workspace: Workspace
    """Where long texts are kept; the model can read them by their handle."""
