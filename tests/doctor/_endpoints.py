"""Endpoints to examine: one that can do everything, and what others do instead."""

import json
from collections.abc import Callable
from typing import Any

from agentinfer.testing import HttpAnswer, ScriptedReply, call, finish, http, say, usage

Body = dict[str, Any]
Answer = ScriptedReply | HttpAnswer

WINDOW = 4096
TOO_LONG = f"This model's maximum context length is {WINDOW} tokens. However, you requested more."


def refused(words: str, status: int = 400) -> HttpAnswer:
    return http(status, {"error": {"message": words}})


class Capable:
    """Answers as a good endpoint with a good model does; `other` answers instead, where it does."""

    def __init__(self, other: Callable[[Body], Answer | None] = lambda body: None) -> None:
        self.other = other
        self.seen: set[str] = set()

    def __call__(self, body: Body) -> Answer:
        if (answer := self.other(body)) is not None:
            return answer
        messages = body.get("messages")
        if not isinstance(messages, list):
            return refused("messages must be a list")
        if body["model"] != "loopback":
            return refused(f"no model {body['model']}", 404)
        text = json.dumps(messages)
        if body.get("max_tokens", 0) > WINDOW or len(text) > 5 * WINDOW:
            return refused(TOO_LONG)
        return self.reply(body, messages, text) + self.usage(text)

    def reply(self, body: Body, messages: list[Any], text: str) -> ScriptedReply:
        kind = body.get("response_format", {}).get("type")
        if body.get("tools") and body.get("tool_choice") != "none" and messages[-1]["role"] != "tool":
            if "Cairo" in text:
                return call("weather", city="Oslo") + call("weather", city="Cairo")
            if "Oslo" in text or body.get("tool_choice"):
                return call("weather", city="Oslo")
        if kind == "json_schema":
            return say('{"action": "paint", "input": {"colour": "teal"}}')
        if kind == "json_object":
            return say('{"greeting": "hello"}')
        if body.get("max_tokens") == 6:
            return say("1, 2") + finish("length")
        if messages[-1]["role"] == "tool":
            return say("It is 3 degrees.")
        return say("Marm", "alade") if "Marmalade" in text else say("Par", "is")

    def usage(self, text: str) -> ScriptedReply:
        start = text[:1000]
        cached = 256 if len(text) > 1000 and start in self.seen else 0
        self.seen.add(start)
        return usage(300, 5, cached_tokens=cached)
