"""What can go wrong.

```
AgentInferError
├── UserError               the library was used wrongly: fix the program or the command line
│   └── MissingExtra        an optional dependency is needed for this
├── ModelError              one call to a model failed; keeps what had arrived
│   ├── ConnectionFailed    no connection, or it broke before an answer began
│   ├── CallTimeout         a time-out passed: connect, first token, between tokens, or the whole call
│   ├── RequestRefused      the endpoint refused the request as it stands (400, 422)
│   │   └── ContextTooLong  the prompt does not fit the model's window
│   ├── AuthenticationFailed    the key is missing or wrong (401, 403)
│   ├── UnknownModel        the endpoint does not serve this model, or has no such path (404)
│   ├── RateLimited         too many requests (429); may say when to come back
│   ├── ServerFailed        the endpoint failed (5xx)
│   ├── InvalidResponse     the answer is not a chat completion: HTML, broken JSON, an error body, no choices
│   ├── StreamCut           the answer stopped in the middle
│   ├── BudgetSpent         the call would not fit what its owner may still spend
│   └── NotRecorded         a replay holds no answer to exactly this request
├── ToolError               raised by a tool: its message goes to the model as the call's result
├── CorpusError             a document or an index cannot be read or written
└── LocalModelError         a local model cannot be fetched, verified or started
```

A run does not raise a `ModelError`: it ends with a result whose `error` holds it. A model called directly raises it.
"""

__all__ = [
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
    "NotRecorded",
    "RateLimited",
    "RequestRefused",
    "ServerFailed",
    "StreamCut",
    "ToolError",
    "UnknownModel",
    "UserError",
]


class AgentInferError(Exception):
    """The root of every error raised by this library."""


class UserError(AgentInferError):
    """The library was used wrongly; the message says what to change."""


class MissingExtra(UserError):
    """An optional dependency is needed.

    Args:
        extra: The extra to install, as in `pip install 'agentinfer[extra]'`.
        purpose: What it is needed for, as the start of a sentence.
    """

    def __init__(self, extra: str, purpose: str) -> None:
        super().__init__(f"{purpose} needs an optional package: pip install 'agentinfer[{extra}]'")
        self.extra = extra
        self.purpose = purpose

    def __reduce__(self) -> tuple[type["MissingExtra"], tuple[str, str]]:
        return type(self), (self.extra, self.purpose)


class ModelError(AgentInferError):
    """One call to a model failed.

    Args:
        message: What happened, without secrets.
        partial: The text that had arrived before the failure.
        delivered: Whether any of the reply had arrived; true where there is partial text.
        status: The HTTP status, where there was one.
        retry_after: Seconds the endpoint asked to wait, where it did.
    """

    retryable = False
    """Whether the same request may succeed when it is sent again."""

    def __init__(
        self,
        message: str,
        *,
        partial: str = "",
        delivered: bool = False,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.partial = partial
        self.delivered = delivered or bool(partial)
        self.status = status
        self.retry_after = retry_after
        self.attempts = 1
        """How often the request was sent in all."""


class ConnectionFailed(ModelError):
    """No connection to the endpoint, or it broke before an answer began."""

    retryable = True


class CallTimeout(ModelError):
    """A time-out passed.

    Args:
        message: What happened.
        phase: `connect`, `first_token`, `between_tokens` or `call`.
        partial: The text that had arrived.
        delivered: Whether any of the reply had arrived.
    """

    retryable = True

    def __init__(self, message: str, *, phase: str = "call", partial: str = "", delivered: bool = False) -> None:
        super().__init__(message, partial=partial, delivered=delivered)
        self.phase = phase


class RequestRefused(ModelError):
    """The endpoint refused the request as it stands."""


class ContextTooLong(RequestRefused):
    """The prompt does not fit the model's window."""


class AuthenticationFailed(ModelError):
    """The key is missing or wrong, or may not use this model."""


class UnknownModel(ModelError):
    """The endpoint does not serve this model, or has no such path."""


class RateLimited(ModelError):
    """Too many requests; `retry_after` says when to come back, where the endpoint told."""

    retryable = True


class ServerFailed(ModelError):
    """The endpoint failed."""

    retryable = True


class InvalidResponse(ModelError):
    """The answer is not a chat completion."""

    retryable = True


class StreamCut(ModelError):
    """The answer stopped in the middle; `partial` holds what had arrived."""

    retryable = True


class BudgetSpent(ModelError):
    """The call would not fit what its owner may still spend."""


class NotRecorded(ModelError):
    """A replay holds no answer to exactly this request; the message shows the nearest one it holds."""


class ToolError(AgentInferError):
    """Raise it in a tool to tell the model what went wrong; its message becomes the call's result."""


class CorpusError(AgentInferError):
    """A document or an index cannot be read or written."""


class LocalModelError(AgentInferError):
    """A local model cannot be fetched, verified or started."""
