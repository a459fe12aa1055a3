"""Which error a refusal is: from the HTTP status and what the endpoint wrote."""

import contextlib
import json
import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from agentinfer.errors import (
    AuthenticationFailed,
    ContextTooLong,
    InvalidResponse,
    ModelError,
    RateLimited,
    RequestRefused,
    ServerFailed,
    UnknownModel,
)

__all__ = ["error_in_body", "error_of_status", "not_json", "retry_after"]

_TOO_LONG = re.compile(
    r"context.?(length|window|size)|maximum context|too many tokens|prompt is too long|exceeds? the (available|model)",
    re.IGNORECASE,
)
_INVALID = re.compile(r"\bvalidation errors?\b", re.IGNORECASE)
_QUOTA = re.compile(r"insufficient_quota|exceeded your current quota|billing_(hard_limit|not_active)", re.IGNORECASE)
MAX_SHOWN = 500
"""Characters of an endpoint's own words in an error message."""


def error_of_status(status: int, headers: Mapping[str, str], body: bytes) -> ModelError:
    """The error that an HTTP answer outside 2xx stands for."""
    text = _words(body)
    message = f"The endpoint answered {status}: {text}"
    if status in (401, 403):
        return AuthenticationFailed(f"{message} (is the API key right?)", status=status)
    if status == 404:
        return UnknownModel(
            f"{message} (are the model's name and the base URL right? It usually ends in /v1)", status=status
        )
    if status == 413 or (status in (400, 422, 500) and _TOO_LONG.search(text)):
        return ContextTooLong(message, status=status)
    if status == 429:
        error = RateLimited(message, status=status, retry_after=retry_after(headers))
        # A spent quota does not come back by waiting.
        error.retryable = not _QUOTA.search(body.decode(errors="replace"))
        return error
    if status == 500 and _INVALID.search(text):  # llama-cpp-python's server refuses requests so
        return RequestRefused(message, status=status)
    if status in (408, 409, 425) or status >= 500:
        return ServerFailed(message, status=status, retry_after=retry_after(headers))
    return RequestRefused(message, status=status)


def error_in_body(error: Any, partial: str) -> ModelError:
    """The error that a body with an `error` field stands for, in spite of its status 200."""
    words = dumps_error(error)
    code = error.get("code") if isinstance(error, Mapping) else None
    if isinstance(code, int) and 400 <= code < 600:
        found = error_of_status(code, {}, words.encode(errors="replace"))
    elif _TOO_LONG.search(words):
        found = ContextTooLong(f"The endpoint answered with an error: {words}")
    else:
        found = ServerFailed(f"The endpoint answered with an error: {words}")
    found.partial = partial
    return found


def not_json(content_type: str, body: bytes) -> InvalidResponse:
    """The error for an answer with status 200 that is no JSON."""
    start = body[:MAX_SHOWN].decode(errors="replace").strip()
    if "html" in content_type or start[:1] == "<":
        what = "HTML instead of JSON (is the base URL right? It usually ends in /v1)"
    else:
        what = "something that is not JSON" if start else "nothing"
    error = InvalidResponse(f"The endpoint answered with {what}: {start[:120]!r}")
    error.retryable = False
    return error


def retry_after(headers: Mapping[str, str]) -> float | None:
    """The seconds an endpoint asks to wait: `retry-after-ms`, or `retry-after` in seconds or as a date."""
    value = headers.get("retry-after", "")
    for number, unit in ((headers.get("retry-after-ms", ""), 0.001), (value, 1.0)):
        with contextlib.suppress(ValueError):
            seconds = float(number) * unit
            return None if math.isnan(seconds) else max(seconds, 0.0)
    try:
        return max((parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None


def dumps_error(error: Any) -> str:
    """An endpoint's error in few words."""
    while isinstance(error, Mapping) and (key := next(filter(error.get, ("message", "detail", "error")), None)):
        error = error[key]
    text = error if isinstance(error, str) else json.dumps(error, default=str)
    return text[:MAX_SHOWN]


def _words(body: bytes) -> str:
    """What the endpoint wrote, as far as a person wants to read it."""
    try:
        return dumps_error(json.loads(body))
    except (ValueError, RecursionError):
        text = re.sub(r"<[^>]*>|\s+", " ", body[: 4 * MAX_SHOWN].decode(errors="replace"))
        return " ".join(text.split())[:MAX_SHOWN] or "no explanation"
