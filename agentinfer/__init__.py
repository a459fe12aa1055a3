"""Run LLM agents fast and cheaply over any OpenAI-compatible endpoint.

What is named here is loaded when it is first used: a program that needs only a part starts fast.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from agentinfer._version import __version__

if TYPE_CHECKING:
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
    from agentinfer.result import RunResult, StopReason
    from agentinfer.run import Feedback, Run
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

_HOMES = {
    "agent": ("Agent",),
    "background": ("Background",),
    "errors": (
        "AgentInferError",
        "AuthenticationFailed",
        "BudgetSpent",
        "CallTimeout",
        "ConnectionFailed",
        "ContextTooLong",
        "CorpusError",
        "InvalidResponse",
        "LocalModelError",
        "MissingExtra",
        "ModelError",
        "RateLimited",
        "RequestRefused",
        "ServerFailed",
        "StreamCut",
        "ToolError",
        "UnknownModel",
        "UserError",
    ),
    "ledger": ("Ledger", "Price"),
    "limits": ("Limits",),
    "models": ("Completion", "Model", "ModelRequest", "Profile", "RetryPolicy", "Sampling", "Timeouts"),
    "repeats": ("RepeatPolicy",),
    "result": ("RunResult", "StopReason"),
    "run": ("Feedback", "Run"),
    "step": ("Middleware", "Plugin", "StepRequest", "StepResult"),
    "tools": ("Tool", "ToolContext", "ToolResult", "ToolSet", "tool"),
    "transcript": ("Message", "ToolCall", "View"),
    "usage": ("Pricing", "Usage"),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'agentinfer' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"agentinfer.{_HOME_OF[name]}"), name)
    return value


def __dir__() -> list[str]:
    return __all__
