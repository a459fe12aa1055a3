"""The loop with nothing around it: an httpx client, and the whole history through `json.dumps` at every step."""

import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import httpx

from benchmarks.clients.harness import INSTRUCTIONS, LOOKUP, QUESTION, Ask, look_up, measure


@asynccontextmanager
async def opened(base_url: str, *, stream: bool) -> AsyncIterator[Ask]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(timeout=None, limits=limits) as client:

        async def ask() -> str:
            messages: list[dict[str, Any]] = [
                {"role": "system", "content": INSTRUCTIONS},
                {"role": "user", "content": QUESTION},
            ]
            while True:
                message = await complete(client, f"{base_url}/chat/completions", messages)
                messages.append(message)
                if not message.get("tool_calls"):
                    return str(message["content"])
                for call in message["tool_calls"]:
                    result = look_up(**json.loads(call["function"]["arguments"]))
                    messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})

        complete = _streamed if stream else _whole
        yield ask


async def _whole(client: httpx.AsyncClient, url: str, messages: list[dict[str, Any]]) -> dict[str, Any]:
    body = json.dumps({"model": "scripted", "messages": messages, "tools": [LOOKUP]}).encode()
    response = await client.post(url, content=body, headers={"content-type": "application/json"})
    response.raise_for_status()
    message: dict[str, Any] = response.json()["choices"][0]["message"]
    return message


async def _streamed(client: httpx.AsyncClient, url: str, messages: list[dict[str, Any]]) -> dict[str, Any]:
    options = {"stream": True, "stream_options": {"include_usage": True}}
    body = json.dumps({"model": "scripted", "messages": messages, "tools": [LOOKUP], **options}).encode()
    text = ""
    calls: dict[int, dict[str, Any]] = {}
    async with client.stream("POST", url, content=body, headers={"content-type": "application/json"}) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            for choice in json.loads(line[6:])["choices"]:
                text += choice["delta"].get("content") or ""
                for piece in choice["delta"].get("tool_calls") or ():
                    call = calls.setdefault(piece["index"], {**piece, "function": {"name": "", "arguments": ""}})
                    call["function"]["name"] += piece["function"].get("name") or ""
                    call["function"]["arguments"] += piece["function"].get("arguments") or ""
    message: dict[str, Any] = {"role": "assistant", "content": text or None}
    if calls:
        message["tool_calls"] = [
            {"id": call["id"], "type": "function", "function": call["function"]} for call in calls.values()
        ]
    return message


if __name__ == "__main__":
    measure(partial(opened, stream="stream" in sys.argv[2:]))
