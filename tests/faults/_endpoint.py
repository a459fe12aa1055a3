"""A real endpoint in a process of its own: a scripted model that plays what the question says, in every protocol.

`python -m faults._endpoint` prints the base URL of each protocol as one line of JSON, and serves until its input ends.
"""

import asyncio
import contextlib
import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from agentinfer.protocol import PROTOCOLS
from agentinfer.testing import LoopbackServer, ScriptedReply, call, say

__all__ = ["TOOLS", "question", "serving"]

TOOLS = ("note", "fail", "read", "hang")
"""The tools that the scripted model calls, each with an argument `key` that is unique in its run."""


def question(seed: int, rounds: int) -> str:
    """What to ask for so many rounds of tool calls and then an answer."""
    return f"seed={seed} rounds={rounds}"


def _reply(body: dict[str, Any], protocol: str) -> ScriptedReply:
    """What the model says: the same to the same conversation, however often it is asked."""
    asked = re.search(r"seed=(\d+) rounds=(\d+)", json.dumps(body["messages"]))
    assert asked is not None
    seed, rounds = int(asked[1]), int(asked[2])
    done = sum(message["role"] == "assistant" for message in body["messages"])
    rng = random.Random(f"{seed}/{done}")
    words = [f"{rng.randrange(1000)} " for _ in range(rng.randrange(1, 30))]
    if done >= rounds:
        return say("The answer: ", *words)
    text = say("I look. ", *words)
    for position in range(1 if protocol == "json" else rng.randrange(1, 4)):
        text += call(rng.choices(TOOLS, (6, 2, 3, 1))[0], key=f"{seed}-{done}-{position}")
    return text


@contextlib.contextmanager
def serving() -> Iterator[dict[str, str]]:
    """The endpoint's base URLs, by protocol."""
    command = [sys.executable, "-m", "faults._endpoint"]
    tests = Path(__file__).parents[1]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tests) as process:
        assert process.stdin
        assert process.stdout
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.stdin.close()


async def _main() -> None:
    async with contextlib.AsyncExitStack() as stack:
        urls = {}
        for name in sorted(PROTOCOLS):
            server = LoopbackServer(handler=lambda body, name=name: _reply(body, name), protocol=name)  # type: ignore[misc]
            urls[name] = (await stack.enter_async_context(server)).base_url
        print(json.dumps(urls), flush=True)  # noqa: T201 - this is how the tests hear of them
        await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_main())
