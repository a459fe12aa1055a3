"""Replies as Chat Completions writes them: chunks of a stream, or one completion."""

import json
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Any, Literal

from agentinfer.errors import ModelError
from agentinfer.models import END
from agentinfer.testing._script import ScriptError
from agentinfer.testing._steps import (
    Break,
    Call,
    Chunk,
    Failure,
    HttpAnswer,
    Part,
    Pause,
    Reasoning,
    ScriptedReply,
    Text,
    http,
)

__all__ = ["Broken", "refusal", "render"]


_STATUS = {
    "AuthenticationFailed": 401,
    "ContextTooLong": 400,
    "RateLimited": 429,
    "RequestRefused": 400,
    "UnknownModel": 404,
}


class Broken(Exception):
    """The script breaks the answer off here."""

    def __init__(self, how: Literal["end", "cut", "reset"]) -> None:
        super().__init__(how)
        self.how = how


def refusal(error: ModelError) -> HttpAnswer:
    """The HTTP answer that stands for an error."""
    status = error.status or _STATUS.get(type(error).__name__, 500)
    headers = {} if error.retry_after is None else {"retry-after": str(error.retry_after)}
    return http(status, {"error": {"message": str(error), "code": status}}, headers=headers)


async def render(
    reply: ScriptedReply, request: Mapping[str, Any], *, protocol: str, number: int
) -> AsyncGenerator[Any, None]:
    """The chunks of a reply and `END`, or its one completion and `END` where the request does not stream.

    Args:
        reply: What to answer.
        request: The request's body.
        protocol: How the model writes calls and answers; unknown ones are taken for `native`.
        number: The request's number, for the ids of calls.

    Raises:
        Broken: The script breaks off.
        Exception: The script fails with it.
    """
    parts = _written(reply.parts, protocol)
    speaks = any(isinstance(part, Text | Reasoning | Call) for part in parts)
    streams = bool(request.get("stream"))
    deltas: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, Pause):
            await part.wait()
        elif isinstance(part, Failure):
            raise part.error
        elif isinstance(part, Break):
            if part.at_byte is None:
                raise Broken(part.how)
        elif isinstance(part, Chunk):
            yield part.value
        else:
            for delta in _deltas(part, number, sum("id" in call for d in deltas for call in d.get("tool_calls", ()))):
                deltas.append(delta)
                if streams:
                    yield _chunk(request, delta)
    if speaks:
        reason = reply.finish_reason or ("tool_calls" if any("tool_calls" in delta for delta in deltas) else "stop")
        report = _usage(reply, request, deltas)
        if not streams:
            yield _completion(request, deltas, reason, report)
        else:
            yield _chunk(request, {}, finish_reason=reason)
            if report and (request.get("stream_options") or {}).get("include_usage"):
                yield {**_chunk(request, {}), "choices": [], "usage": report}
    yield END


def _written(parts: tuple[Part, ...], protocol: str) -> tuple[Part, ...]:
    """The parts with calls and answers in the form of a protocol."""
    calls = [part for part in parts if isinstance(part, Call)]
    texts = [part.text for part in parts if isinstance(part, Text)]
    if protocol not in ("json", "tagged") or not (calls or texts):
        return parts
    if protocol == "tagged":
        if not calls:
            return (Text("<answer>"), *parts, Text("</answer>"))
        return tuple(Text(_tagged(part)) if isinstance(part, Call) else part for part in parts)
    if len(calls) > 1:
        raise ScriptError("A reply of the json protocol holds one call")
    if not calls and (given := _json_object("".join(texts))) is not None:
        rest = [part for part in parts if not isinstance(part, Text)]
        return (Text(f'{{"thought": "", "action": "final_answer", "input": {given}}}'), *rest)
    others: Iterable[Part] = (part for part in parts if not isinstance(part, Call))
    inner = tuple(Text(json.dumps(part.text)[1:-1]) if isinstance(part, Text) else part for part in others)
    if calls:
        tail = f'", "action": {json.dumps(calls[0].name)}, "input": {calls[0].arguments}}}'
        return (Text('{"thought": "'), *inner, Text(tail))
    return (Text('{"thought": "", "action": "final_answer", "input": {"answer": "'), *inner, Text('"}}'))


def _tagged(part: Call) -> str:
    return f'<tool_call>{{"name": {json.dumps(part.name)}, "arguments": {part.arguments}}}</tool_call>'


def _json_object(text: str) -> str | None:
    try:
        return text if isinstance(json.loads(text), dict) else None
    except ValueError:
        return None


def _deltas(part: Text | Reasoning | Call, number: int, index: int) -> list[dict[str, Any]]:
    if isinstance(part, Text):
        return [{"content": part.text}]
    if isinstance(part, Reasoning):
        return [{"reasoning_content": part.text}]
    middle = len(part.arguments) // 2
    head = {"index": index, "id": f"call_{number}_{index + 1}", "type": "function"}
    return [
        {"tool_calls": [{**head, "function": {"name": part.name, "arguments": part.arguments[:middle]}}]},
        {"tool_calls": [{"index": index, "function": {"arguments": part.arguments[middle:]}}]},
    ]


def _chunk(request: Mapping[str, Any], delta: Mapping[str, Any], *, finish_reason: str | None = None) -> dict[str, Any]:
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": request.get("model", ""),
        "choices": [{"index": 0, "delta": dict(delta), "finish_reason": finish_reason}],
    }


def _completion(
    request: Mapping[str, Any], deltas: list[dict[str, Any]], reason: str, report: Mapping[str, Any]
) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": _joined(deltas, "content") or None}
    if reasoning := _joined(deltas, "reasoning_content"):
        message["reasoning_content"] = reasoning
    calls: list[dict[str, Any]] = []
    for piece in (piece for delta in deltas for piece in delta.get("tool_calls", ())):
        if "id" in piece:
            calls.append({"id": piece["id"], "type": "function", "function": dict(piece["function"])})
        else:
            calls[-1]["function"]["arguments"] += piece["function"]["arguments"]
    if calls:
        message["tool_calls"] = calls
    completion = {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 0,
        "model": request.get("model", ""),
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
    }
    return {**completion, "usage": report} if report else completion


def _joined(deltas: list[dict[str, Any]], name: str) -> str:
    return "".join(delta.get(name, "") for delta in deltas)


def _usage(reply: ScriptedReply, request: Mapping[str, Any], deltas: list[dict[str, Any]]) -> Mapping[str, Any]:
    """As scripted, else four characters to a token."""
    if reply.usage is not None:
        return reply.usage
    prompt = len(json.dumps([request.get("messages"), request.get("tools")], ensure_ascii=False)) // 4
    written = sum(len(json.dumps(delta, ensure_ascii=False)) for delta in deltas) // 4
    return {"prompt_tokens": prompt, "completion_tokens": written, "total_tokens": prompt + written}
