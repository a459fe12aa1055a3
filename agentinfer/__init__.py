"""Run LLM agents fast and cheaply over any OpenAI-compatible endpoint."""

from agentinfer._version import __version__
from agentinfer.agent import Agent
from agentinfer.background import Background
from agentinfer.errors import (
    AgentInferError,
    AuthenticationFailed,
    BudgetSpent,
    CallTimeout,
    ConnectionFailed,
    ContextTooLong,
    CorpusError,
    InvalidResponse,
    LocalModelError,
    MissingExtra,
    ModelError,
    RateLimited,
    RequestRefused,
    ServerFailed,
    StreamCut,
    ToolError,
    UnknownModel,
    UserError,
)
from agentinfer.ledger import Ledger, Price
from agentinfer.limits import Limits
from agentinfer.models import Completion, Model, ModelRequest, Profile, RetryPolicy, Sampling, Timeouts
from agentinfer.repeats import RepeatPolicy
from agentinfer.run import Feedback, Run, RunResult, StopReason
from agentinfer.step import Middleware, Plugin, StepRequest, StepResult
from agentinfer.tools import Tool, ToolContext, ToolResult, ToolSet, tool
from agentinfer.transcript import Message, ToolCall, View
from agentinfer.usage import Pricing, Usage

__all__ = [
    "Agent",
    "AgentInferError",
    "AuthenticationFailed",
    "Background",
    "BudgetSpent",
    "CallTimeout",
    "Completion",
    "ConnectionFailed",
    "ContextTooLong",
    "CorpusError",
    "Feedback",
    "InvalidResponse",
    "Ledger",
    "Limits",
    "LocalModelError",
    "Message",
    "Middleware",
    "MissingExtra",
    "Model",
    "ModelError",
    "ModelRequest",
    "Plugin",
    "Price",
    "Pricing",
    "Profile",
    "RateLimited",
    "RepeatPolicy",
    "RequestRefused",
    "RetryPolicy",
    "Run",
    "RunResult",
    "Sampling",
    "ServerFailed",
    "StepRequest",
    "StepResult",
    "StopReason",
    "StreamCut",
    "Timeouts",
    "Tool",
    "ToolCall",
    "ToolContext",
    "ToolError",
    "ToolResult",
    "ToolSet",
    "UnknownModel",
    "Usage",
    "UserError",
    "View",
    "__version__",
    "tool",
]
