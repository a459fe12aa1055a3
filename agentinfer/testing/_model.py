"""A model that answers from a script."""

import itertools
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from types import TracebackType
from typing import Any, Self

from agentinfer.errors import ConnectionFailed
from agentinfer.models import END, Connection, Model, RetryPolicy, Timeouts
from agentinfer.models._faults import error_of_status, not_json
from agentinfer.testing._render import Broken, render
from agentinfer.testing._script import Script
from agentinfer.testing._steps import Handler, HttpAnswer, Step

__all__ = ["ScriptedBackend", "ScriptedModel"]

_numbers = itertools.count(1)


class ScriptedBackend:
    """A backend that answers from a script.

    Args:
        script: What to answer.
        protocol: The protocol of its calls and answers.
    """

    def __init__(self, script: Script, protocol: str = "native") -> None:
        self.script = script
        self.protocol = protocol
        self._endpoint = f"scripted:{next(_numbers)}"

    @property
    def endpoint(self) -> str:
        """A name that no other scripted backend has."""
        return self._endpoint

    @asynccontextmanager
    async def open(self, timeouts: Timeouts) -> AsyncIterator[Connection]:
        """Nothing to open."""
        del timeouts
        yield self

    async def chunks(self, body: bytes, *, stream: bool) -> AsyncGenerator[Any, None]:
        """The chunks of the next step."""
        del stream  # the body says so
        step = self.script.next(body)
        if isinstance(step, HttpAnswer):
            yield _completion(step)
            yield END
            return
        begun = ended = False
        reply = render(step, json.loads(body), protocol=self.protocol, number=len(self.script.bodies))
        try:
            async with aclosing(reply) as chunks:
                async for chunk in chunks:
                    begun, ended = True, chunk is END
                    yield chunk
        except Broken as broken:
            ended = True
            if broken.how != "end" or not begun:
                raise ConnectionFailed("The script broke the connection") from None
        except Exception:
            ended = True
            raise
        finally:
            self.script.abandoned += not ended


def _completion(answer: HttpAnswer) -> Any:
    if answer.status != 200:
        raise error_of_status(answer.status, answer.headers, answer.body)
    try:
        return json.loads(answer.body)
    except ValueError:
        raise not_json(answer.headers.get("content-type", ""), answer.body) from None


class ScriptedModel(Model):
    """A model that answers from a script, without any connection.

    `with ScriptedModel(...) as model:` checks at its end that every step was asked for. (`async with` opens and
    closes a model, as every run does by itself, and checks nothing.)

    Args:
        steps: One answer per call: `say("...")`, `call("search", query="...")`, ..., joined with `+`.
        handler: Makes the answer to any call instead, of the request's body.
        name: The model's name.
        settings: Further arguments of `Model`. Retries do not wait unless told otherwise.
    """

    def __init__(
        self,
        *steps: Step,
        handler: Handler | None = None,
        name: str = "scripted",
        **settings: Any,
    ) -> None:
        self.script = Script(steps, handler)
        backend = ScriptedBackend(self.script)
        super().__init__(name, backend=backend, **{"retry": RetryPolicy(first_delay=0.0), **settings})
        backend.protocol = self.protocol.name

    @property
    def requests(self) -> list[dict[str, Any]]:
        """The body of every request."""
        return self.script.requests

    @property
    def bodies(self) -> list[bytes]:
        """The body of every request, as it was sent."""
        return self.script.bodies

    @property
    def abandoned(self) -> int:
        """How many replies were left before their end, as a cancelled call leaves its own."""
        return self.script.abandoned

    def assert_complete(self) -> None:
        """Check that every step was asked for, and nothing else.

        Raises:
            ScriptError: It was not.
        """
        self.script.assert_complete()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        if exc_type is None:
            self.assert_complete()
