"""What can go wrong in an evaluation."""

from agentinfer.errors import AgentInferError

__all__ = ["EvalError"]


class EvalError(AgentInferError):
    """A question file or a folder of results cannot be read, written, or gone on with."""
