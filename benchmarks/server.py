"""A loopback endpoint that costs its clients as little as it can: `python -m benchmarks.server`.

It prints its port and serves until its standard input ends. The path says what it does:
`/calls/N/v1/chat/completions` asks for N tool calls, one per step, and then answers; `/silent/v1/chat/completions`
never answers. Which step it is, it sees from the number of assistant messages in the request.
"""

import asyncio
import json
import re
import resource
import sys
from typing import Any

ASSISTANT = re.compile(rb'"role":\s*"assistant"')
STREAM = re.compile(rb'"stream":\s*true')
USAGE = re.compile(rb'"include_usage":\s*true')
LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
PATH = re.compile(rb"^POST /(?:calls/(\d+)|(silent))/v1/chat/completions ")
ANSWER = "All of the records have been looked up, and none of them says anything."


class Endpoint(asyncio.Protocol):
    """One connection."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._wanted = 0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._buffer += data
        while len(self._buffer) >= self._wanted and (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head = bytes(self._buffer[: end + 2])
            length = LENGTH.search(head)
            self._wanted = end + 4 + int(length[1] if length else 0)
            if len(self._buffer) < self._wanted:
                return
            body = bytes(self._buffer[end + 4 : self._wanted])
            del self._buffer[: self._wanted]
            self._wanted = 0
            self._answer(head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        assert self._transport is not None
        path = PATH.match(head)
        if path is None:
            self._transport.write(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n")
        elif path[2] is None:
            self._transport.write(reply(body, calls=int(path[1])))


def reply(body: bytes, *, calls: int) -> bytes:
    """The answer to a request, head and all."""
    step = len(ASSISTANT.findall(body))
    call: dict[str, Any] | None = None
    if step < calls:
        call = {"name": "lookup", "arguments": json.dumps({"record": step})}
    elif b'"final_answer"' in body:  # a library whose agents answer by a tool call
        call = {"name": "final_answer", "arguments": json.dumps({"answer": ANSWER})}
    prompt, written = len(body) // 4, 20
    usage = {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": prompt * 3 // 4},
    }
    if STREAM.search(body):
        return _stream(step, call, usage if USAGE.search(body) else None)
    message: dict[str, Any] = {"role": "assistant", "content": None if call else ANSWER}
    if call:
        message["tool_calls"] = [{"id": f"call_{step}", "type": "function", "function": call}]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "tool_calls" if call else "stop"}
    content = _dumps({**_common(step, "chat.completion"), "choices": [choice], "usage": usage})
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        len(content),
        content,
    )


def _stream(step: int, call: dict[str, Any] | None, usage: dict[str, Any] | None) -> bytes:
    """A tool call in three pieces or an answer in eight, one HTTP chunk per event, as servers send them."""
    deltas: list[dict[str, Any]]
    if call:
        text, middle = call["arguments"], len(call["arguments"]) // 2
        first: dict[str, Any] = {"index": 0, "id": f"call_{step}", "type": "function"}
        first["function"] = {**call, "arguments": ""}
        rest: list[dict[str, Any]] = [
            {"index": 0, "function": {"arguments": t}} for t in (text[:middle], text[middle:])
        ]
        deltas = [{"role": "assistant", "content": None, "tool_calls": [first]}, *({"tool_calls": [r]} for r in rest)]
    else:
        size = len(ANSWER) // 8 + 1
        deltas = [{"role": "assistant", "content": ""}]
        deltas += [{"content": ANSWER[start : start + size]} for start in range(0, len(ANSWER), size)]
    common = _common(step, "chat.completion.chunk")
    choices: list[dict[str, Any]] = [
        {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None} for delta in deltas
    ]
    choices.append({"index": 0, "delta": {}, "logprobs": None, "finish_reason": "tool_calls" if call else "stop"})
    events = [_dumps({**common, "choices": [choice]}) for choice in choices]
    if usage:
        events.append(_dumps({**common, "choices": [], "usage": usage}))
    events.append(b"[DONE]")
    chunks = [b"data: " + event + b"\n\n" for event in events]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n\r\n"


def _common(step: int, kind: str) -> dict[str, Any]:
    return {"id": f"chatcmpl-{step}", "object": kind, "created": 1_700_000_000, "model": "scripted"}


def _dumps(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


async def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Endpoint, "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(main())
