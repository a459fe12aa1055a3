"""An endpoint with stated speeds and a prefix cache by blocks: `python -m benchmarks.compress_server '{...}'`.

It plays an agent that looks up records question after question, a model that writes ideal notes or summaries, and
checks at each answer how many of the facts asked for stand in the prompt. It prints its address, serves until its
standard input ends, and then prints what it saw.
"""

import asyncio
import hashlib
import json
import re
import sys
from typing import Any

from agentinfer.testing import LoopbackServer, ScriptedReply, call, delay, say, usage

BLOCK_CHARS = 64
"""16 tokens of 4 characters."""
FACT = re.compile(r"The code of record \d+ is \d+")
FILLER = "nothing of note happened on that day and the clerk wrote so with care. "


def record(number: int, chars: int) -> str:
    """A record: one fact in the middle of much else."""
    filler = FILLER * (chars // len(FILLER) // 2)
    return f"Record {number}. {filler}The code of record {number} is {1000 + 7 * number}. {filler}"


def asked_for(question: int, lookups: int) -> list[int]:
    """The records that a question's answer needs: one of its own, and some of all those before."""
    seen = (question + 1) * lookups
    return sorted({seen, 1 + (question * 5) % seen, 1 + (question * 11) % seen, 1 + seen // 2})


class Endpoint:
    """Answers requests, and takes the time that a server of these speeds would."""

    def __init__(self, settings: dict[str, Any]) -> None:
        self.prefill, self.decode = settings["prefill"], settings["decode"]
        self.questions, self.lookups = settings["questions"], settings["lookups"]
        self.keeps = not settings["no_cache"]
        self.position = 0
        self.cached: set[tuple[str, bytes]] = set()
        self.found = self.wanted = 0
        self.longest = 0

    def __call__(self, body: dict[str, Any]) -> ScriptedReply:
        messages = body["messages"]
        prompt = json.dumps([body.get("tools"), messages], ensure_ascii=False)
        tokens = len(prompt) // 4
        cached = self._cached(body["model"], prompt) if self.keeps else 0
        reply, written = self._reply(body, messages, prompt)
        written = min(written, body.get("max_tokens") or written)
        return (
            delay((tokens - cached) / self.prefill)
            + reply
            + delay(written / self.decode)
            + usage(tokens, written, cached_tokens=cached)
        )

    def _cached(self, model: str, prompt: str) -> int:
        """Tokens of the longest known beginning; all of the prompt is known from now on."""
        digest, known, hit = b"", 0, True
        for start in range(0, len(prompt) - BLOCK_CHARS + 1, BLOCK_CHARS):
            block = prompt[start : start + BLOCK_CHARS].encode()
            digest = hashlib.blake2b(block, key=digest, digest_size=16).digest()
            hit = hit and (model, digest) in self.cached
            known += hit
            self.cached.add((model, digest))
        return known * BLOCK_CHARS // 4

    def _reply(self, body: dict[str, Any], messages: list[dict[str, Any]], prompt: str) -> tuple[ScriptedReply, int]:
        if body.get("max_tokens") == 1:
            return say("x"), 1
        last = str(messages[-1]["content"])
        if "Write down from the material" in last + str(messages[0]["content"]):
            text = last.partition("<tool-data")[2] if not body.get("tools") else prompt
            facts = "\n".join(f"- {fact}." for fact in dict.fromkeys(FACT.findall(text)))
            return say(facts or "nothing"), len(facts) // 4 + 1
        if last.startswith("Summarise"):
            facts = " ".join(f"{fact}." for fact in dict.fromkeys(FACT.findall(prompt)))
            return say(f"Looked up records. {facts}"), len(facts) // 4 + 5
        self.longest = max(self.longest, len(prompt) // 4)
        question, step = divmod(self.position, self.lookups + 1)
        self.position += 1
        if step < self.lookups:
            number = question * self.lookups + step + 1
            thought = f"For question {question + 1} I need record {number} next, since its code may be asked for."
            return say(thought) + call("look_up", number=number), 40
        wanted = asked_for(question, self.lookups)
        codes = [f"The code of record {number} is {1000 + 7 * number}" for number in wanted]
        there = [code for code in codes if code in prompt]
        self.wanted += len(codes)
        self.found += len(there)
        return say("; ".join(there) or "I do not know"), 10 * len(there) + 5


async def main() -> None:
    endpoint = Endpoint(json.loads(sys.argv[1]))
    async with LoopbackServer(handler=endpoint) as server:
        print(server.base_url, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    print(json.dumps({"found": endpoint.found, "wanted": endpoint.wanted, "longest": endpoint.longest}), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
