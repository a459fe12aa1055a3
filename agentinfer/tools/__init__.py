"""Tools an agent may call: made from functions, validated by pydantic, run side by side."""

from agentinfer.tools._context import ToolContext
from agentinfer.tools._corpus import corpus_tools
from agentinfer.tools._execute import Outcome, ResourceLocks, ToolResult, execute
from agentinfer.tools._fence import fence, fence_nonce
from agentinfer.tools._files import workspace_files
from agentinfer.tools._read_result import read_result
from agentinfer.tools._tool import ArgumentsError, Tool, ToolSet, tool
from agentinfer.tools._workspace import Workspace

__all__ = [
    "ArgumentsError",
    "Outcome",
    "ResourceLocks",
    "Tool",
    "ToolContext",
    "ToolResult",
    "ToolSet",
    "Workspace",
    "corpus_tools",
    "execute",
    "fence",
    "fence_nonce",
    "read_result",
    "tool",
    "workspace_files",
]
