"""Chat Completions through a client the user has configured: `openai.AsyncOpenAI`, 2.x or 3.x."""

import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import httpx

from agentinfer.errors import CallTimeout, ConnectionFailed, InvalidResponse, ModelError
from agentinfer.models._backend import END, Connection, Timeouts
from agentinfer.models._faults import error_in_body, error_of_status

if TYPE_CHECKING:
    import openai

__all__ = ["SdkBackend"]

_OWN_FIELDS = ("model", "messages", "stream")


class SdkBackend:
    """An endpoint reached through the user's own SDK client, which is used as it is and stays the user's to close.

    Its own retries are off for our calls: the runtime retries by itself, and two owners would multiply.

    Args:
        client: The configured client.
    """

    def __init__(self, client: "openai.AsyncOpenAI") -> None:
        self._client = client

    @property
    def endpoint(self) -> str:
        """The client's base URL."""
        url = self._client.base_url.copy_with(username=None, password=None, query=None)
        return str(url).rstrip("/")

    @asynccontextmanager
    async def open(self, timeouts: Timeouts) -> AsyncIterator[Connection]:
        """Nothing to open: the client is the user's."""
        del timeouts
        yield _SdkConnection(self._client.with_options(max_retries=0))


class _SdkConnection:
    def __init__(self, client: "openai.AsyncOpenAI") -> None:
        self._client = client

    async def chunks(self, body: bytes, *, stream: bool) -> AsyncGenerator[Any, None]:
        """Send one request; see `Connection.chunks`."""
        import openai

        fields = json.loads(body)
        extra = {name: value for name, value in fields.items() if name not in _OWN_FIELDS}
        create: Any = self._client.chat.completions.create
        try:
            answer = await create(model=fields["model"], messages=fields["messages"], stream=stream, extra_body=extra)
            if not stream:
                yield _as_dict(answer)
                yield END
                return
            if not isinstance(answer, openai.AsyncStream):
                raise InvalidResponse("The client did not give a stream")
            async with answer as chunks:
                async for chunk in chunks:  # the client keeps `[DONE]` to itself: only a finish_reason tells the end
                    yield _as_dict(chunk)
        except openai.APIError as error:
            raise _translated(error) from None  # the SDK's own error may repeat the key
        except httpx.TimeoutException:  # what 2.x lets through while a reply streams in
            raise CallTimeout("The client's own time-out passed", phase="call") from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise ConnectionFailed(f"The connection failed: {str(error) or type(error).__name__}") from error
        except (ValueError, RecursionError) as error:
            raise InvalidResponse(f"The endpoint's answer cannot be read: {str(error)[:120]}") from None


def _as_dict(answer: Any) -> Any:
    return answer.to_dict(mode="json") if hasattr(answer, "to_dict") else answer


def _translated(error: "openai.APIError") -> ModelError:
    """The SDK's error as one of ours."""
    import openai

    if isinstance(error, openai.APITimeoutError):
        return CallTimeout("The client's own time-out passed", phase="call")
    if isinstance(error, openai.APIConnectionError):
        detail = str(error.__cause__ or error)
        return ConnectionFailed(f"The connection failed: {detail}")
    if isinstance(error, openai.APIStatusError):
        return error_of_status(error.status_code, error.response.headers, error.response.content)
    if isinstance(error, openai.APIResponseValidationError):
        return InvalidResponse(str(error))
    return error_in_body(error.body or str(error), "")
