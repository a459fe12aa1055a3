"""Histories to cut: generated, and small ones written by hand."""

import json
import random
from typing import Any

from hypothesis import strategies as st

from agentinfer import Message, ToolCall, View

CANCELLED = "This call was stopped before it had a result; it may have taken effect."
WORDS = ["", "Look at Laos.", "早上好 [w1] x", "What now?\n\nNext."]


def call_of(number: int, name: str = "corpus_search", **arguments: Any) -> ToolCall:
    return ToolCall(f"call_{number}", name, json.dumps(arguments or {"query": f"query {number}"}))


def _history(seed: int) -> View:
    choose = random.Random(seed)
    messages = [Message.system(choose.choice(WORDS))] if choose.random() < 0.7 else []
    number = 0
    for _ in range(choose.randint(1, 3)):
        messages.append(Message.user(choose.choice(WORDS)))
        for _ in range(choose.randint(0, 5)):
            if choose.random() < 0.2:
                messages += [Message.assistant(choose.choice(WORDS)), Message.user("Your reply could not be read.")]
                continue
            calls = []
            for _ in range(choose.randint(1, 3)):
                number += 1
                calls.append(call_of(number, choose.choice(["corpus_search", "open_document", "ask_agent"])))
            reasoning = choose.choice([None, *WORDS])
            messages.append(Message.assistant(choose.choice(WORDS), tool_calls=calls, reasoning=reasoning))
            for call in choose.sample(calls, len(calls)):
                inner = json.dumps({"answer": choose.choice(WORDS), "steps": ["inner " * choose.randint(0, 200)]})
                long = choose.choice(WORDS) + "word " * choose.randint(0, 300)
                messages.append(Message.tool(call, choose.choice([CANCELLED, "", inner, long])))
    return View(messages)


def histories() -> st.SearchStrategy[View]:
    """Steps with calls side by side, cancelled ones, results of runs inside the run, complaints, several questions."""
    return st.integers(0, 2**32).map(_history)


def history(steps: int, *, chars: int = 2_000, parallel: int = 1) -> View:
    """A question and steps with long results."""
    messages = [Message.system("Be right."), Message.user("What is it?")]
    number = 0
    for step in range(1, steps + 1):
        calls = []
        for _ in range(parallel):
            number += 1
            calls.append(call_of(number))
        messages.append(Message.assistant(f"thought {step}", tool_calls=calls))
        messages += [Message.tool(call, f"[d{call.id}] Title\n" + "word " * (chars // 5)) for call in calls]
    return View(messages)
