"""The draft index beside a suffix tree and n-gram lookup: `python -m benchmarks.sam --peer PATH [TEXT ...]`.

TEXT are recorded sessions, as `agentinfer sam simulate` takes them; without any, the words of a made-up language serve,
which says nothing about how good drafts are and much about what they cost.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import random
import sys
import time
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from agentinfer.sam import COMPILED, Cursor, DraftIndex, SuffixAutomaton, tokenizer_for
from agentinfer.sam._peers import SUFFIX_TREE, NgramLookup, peers
from agentinfer.sam._trajectories import load_recorded

TAIL = 20_000
DRAFTS = 2_000


class Ours:
    name = "agentinfer, compiled" if COMPILED else "agentinfer, plain"

    def __init__(self) -> None:
        self.automaton = SuffixAutomaton()

    def extend(self, tokens: array[int]) -> None:
        self.automaton.extend(tokens)

    def at(self, before: Sequence[int]) -> Callable[[], Any]:
        cursor = Cursor(self.automaton)
        cursor.follow(before)
        return lambda: cursor.draft(16)

    def memory(self) -> float:
        return float(self.automaton.memory)


class SuffixTree:
    name = "ArcticInference"

    def __init__(self) -> None:
        self.array = importlib.import_module("numpy").asarray  # it needs it as well
        self.tree = importlib.import_module(SUFFIX_TREE).SuffixTree(64)

    def extend(self, tokens: array[int]) -> None:
        self.tree.extend_ndarray(0, self.array(tokens))

    def at(self, before: Sequence[int]) -> Callable[[], Any]:
        context = list(before)
        return lambda: self.tree.speculate(context, 16, 1.0, 0.0, 0.1, False).token_ids

    def memory(self) -> float:
        return float(self.tree.estimate_memory())


class Lookup:
    name = "n-gram lookup, Python"

    def __init__(self) -> None:
        self.lookup = NgramLookup(2, 5)

    def extend(self, tokens: array[int]) -> None:
        self.lookup.extend(tokens.tolist(), False)

    def at(self, before: Sequence[int]) -> Callable[[], Any]:
        del before  # at the end of the text
        return lambda: self.lookup.draft(16)

    def memory(self) -> float:
        return float("nan")


def made_up(count: int) -> array[int]:
    """Phrases drawn again and again, rare ones seldom."""
    draw = random.Random(3)
    phrases = [[int(draw.paretovariate(0.6)) % 50_000 for _ in range(draw.randrange(2, 60))] for _ in range(20_000)]
    weights = [1 / (rank + 5) for rank in range(len(phrases))]
    drawn = itertools.chain.from_iterable(draw.choices(phrases, weights, k=count // 20))
    return array("i", itertools.islice(drawn, count))


def measure(kind: Callable[[], Any], text: array[int], size: int) -> dict[str, float]:
    """Process time per token and per draft, in µs, and bytes per token."""
    structure = kind()
    started = time.process_time()
    structure.extend(text[:size])
    build = (time.process_time() - started) / size
    started = time.process_time()
    for at in range(size, size + TAIL):
        structure.extend(text[at : at + 1])
    append = (time.process_time() - started) / TAIL
    places = random.Random(1).sample(range(64, size - 64), DRAFTS)
    spent, drafted = 0.0, 0
    for place in places:
        draft = structure.at(text[place - 64 : place])
        started = time.perf_counter()
        tokens = draft()
        spent += time.perf_counter() - started
        drafted += len(tokens[0] if isinstance(tokens, tuple) else tokens)
    figures = {"build": build, "append": append, "draft": spent / DRAFTS}
    return {
        **{name: value * 1e6 for name, value in figures.items()},
        "drafted": drafted / DRAFTS,
        "bytes": structure.memory() / size,
    }


def growing(text: array[int], turns: int = 50, size: int = 100_000) -> tuple[float, float]:
    """Seconds that a session of many turns costs, with one index and with a new one for each turn's whole prompt."""
    step = size // turns
    started = time.process_time()
    session = DraftIndex().session("s")
    for turn in range(turns):
        session.extend(text[turn * step : (turn + 1) * step])
        session.draft(16)
    kept = time.process_time() - started
    tree: Callable[[], Any] = SuffixTree if has_tree() else Ours
    started = time.process_time()
    for turn in range(turns):
        tree().extend(text[: (turn + 1) * step])
    return kept, time.process_time() - started


def has_tree() -> bool:
    return "ArcticInference" not in peers([], across=False)[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("text", type=Path, nargs="*")
    parser.add_argument("--peer", type=Path, action="append", default=[])
    parser.add_argument("--tokens", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    for name in peers(arguments.peer, across=False)[1]:
        print(f"skipped: {name} is not installed; --peer PATH says where it lies", file=sys.stderr)
    if arguments.text:
        tokenizer = tokenizer_for(None)
        sessions = [session for path in arguments.text for session in load_recorded(path, tokenizer)]
        tokens = [token for session in sessions for piece, _ in session.pieces for token in piece]
        text = array("i", [token % 2**31 for token in tokens])
    else:
        text = made_up(arguments.tokens + TAIL)
    size = min(arguments.tokens, len(text) - TAIL)
    kinds: list[Any] = [Ours, *([SuffixTree] if has_tree() else []), Lookup]
    best: dict[str, dict[str, float]] = {}
    for _, kind in itertools.product(range(arguments.rounds), kinds):
        figures = measure(kind, text, size)
        known = best.setdefault(kind.name, figures)
        best[kind.name] = {name: min(known[name], value) for name, value in figures.items()}
    print(f"{size:,} tokens, the best of {arguments.rounds} rounds\n")
    print(
        "| | build, µs/token | append, µs/token | draft of 16, µs | drafted | bytes/token |\n|---|---|---|---|---|---|"
    )
    for name, row in best.items():
        print(f"| {name} | " + " | ".join(f"{value:.2f}" for value in row.values()) + " |")
    for name, row in list(best.items())[1:]:
        ratios = {key: row[key] / best[Ours.name][key] for key in ("build", "append", "draft", "bytes")}
        print(f"| {name} / ours | {ratios['build']:.1f} x | {ratios['append']:.1f} x | {ratios['draft']:.1f} x | | "
              f"{ratios['bytes']:.1f} x |")  # fmt: skip
    kept, rebuilt = min(growing(text) for _ in range(arguments.rounds))
    print(f"\n50 turns to 100,000 tokens: {kept * 1e3:.0f} ms with one index, {rebuilt * 1e3:.0f} ms with a tree "
          f"per turn: {kept / rebuilt:.2%}")  # fmt: skip


if __name__ == "__main__":
    main()
