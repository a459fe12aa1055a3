"""A script: its steps handed out one by one, and every request kept."""

import json
from collections.abc import Sequence
from typing import Any

from agentinfer.errors import UserError
from agentinfer.testing._steps import Answer, Handler, HttpAnswer, ScriptedReply, Step

__all__ = ["Script", "ScriptError", "ScriptExhausted", "StepsUnread"]


class ScriptError(AssertionError):
    """What was asked of a script does not fit it."""


class ScriptExhausted(ScriptError):
    """There were more calls than steps."""


class StepsUnread(ScriptError):
    """There were fewer calls than steps."""


class Script:
    """Answers requests in their order.

    Args:
        steps: One answer per request.
        handler: Makes the answer to any request instead, of its body.

    Raises:
        UserError: There are steps and a handler, or a step is none.
    """

    def __init__(self, steps: Sequence[Step], handler: Handler | None = None) -> None:
        if steps and handler:
            raise UserError("A script has steps or a handler, not both")
        for step in steps:
            if not isinstance(step, ScriptedReply | HttpAnswer) and not callable(step):
                raise UserError(f"{step!r} is no step: write say(...), call(...) or another function of this module")
        self._steps = tuple(steps)
        self._handler = handler
        self._error: Exception | None = None
        self.bodies: list[bytes] = []
        """The body of every request, as it was sent."""
        self.abandoned = 0
        """How many answers were left before their end."""

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The body of every request."""
        return [json.loads(body) for body in self.bodies]

    def next(self, body: bytes) -> Answer:
        """The answer to one more request.

        Raises:
            ScriptExhausted: There is none left.
        """
        self.bodies.append(body)
        number = len(self.bodies)
        if self._handler is None and number > len(self._steps):
            error = ScriptExhausted(f"Call {number} of a script of {len(self._steps)}: {body[-300:].decode()}")
            self.failed(error)
            raise error
        step: Step = self._handler or self._steps[number - 1]
        try:
            return step if isinstance(step, ScriptedReply | HttpAnswer) else step(json.loads(body))
        except Exception as error:
            self.failed(error)
            raise

    def failed(self, error: Exception) -> None:
        """Keep an error of the script itself; `assert_complete` raises the first one."""
        self._error = self._error or error

    def assert_complete(self) -> None:
        """Check that every step was asked for, and nothing else.

        Raises:
            ScriptError: It was not. What a step made of a function has raised is raised again.
        """
        if self._error is not None:
            raise self._error
        unread = self._steps[len(self.bodies) :]
        if unread:
            raise StepsUnread(
                f"{len(unread)} of {len(self._steps)} steps were not asked for; the first is {unread[0]!r}"
            )
