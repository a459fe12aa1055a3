"""Real decoding with drafts: `python -m benchmarks.sam_decode MODEL [TRAJECTORIES ...]`.

MODEL is a name of the catalogue or a GGUF file. TRAJECTORIES are folders that `agentinfer eval --out` made, with the
JSON protocol. Every model call in them is made again with its recorded prompt, at temperature 0, under the schema of
its tools: without drafts and with them, turn by turn in alternating order, from the same KV cache. A time is that of
decoding, drafting included, the prompt's prefill apart.

The oracle is simulated: at each place it knows how far what will be written stands anywhere in earlier text, takes
the lengths that cost least by the cost table, and pays nothing for looking.

`--cost` measures the cost table instead: FILE.json for `local_model(costs=...)` and vLLM, FILE-CONTEXT.json for
`agentinfer sam simulate --costs`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # for every engine alike, before any is loaded

from agentinfer import Model, UserError
from agentinfer.errors import AgentInferError
from agentinfer.evals._bootstrap import interval_of
from agentinfer.local import LocalServer
from agentinfer.models import ModelRequest
from agentinfer.models._codec import request_body
from agentinfer.sam import COMPILED, CostTable, Cursor, DraftIndex, SuffixAutomaton
from agentinfer.sam.engine import Engine, Follower, Llama, common_prefix, measure_costs, write_costs
from agentinfer.sam.engine._choose import Chooser, grammar_of
from agentinfer.sam.engine._costs import read_costs
from agentinfer.sam.engine._request import Wanted, parse_request
from agentinfer.sam.engine._template import ChatTemplate
from agentinfer.tools import ToolSet, corpus_tools
from agentinfer.transcript import Message, View

SIZES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)
CONTEXTS = (512, 4096, 16384)
CLOSE = 1e-3
"""Two logits that lie no further apart may swap places by rounding."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """One model call."""

    session: str
    body: bytes


def recorded(folders: Sequence[Path]) -> Iterator[Recorded]:
    """The model calls of trajectories, in their order."""
    model = Model("recorded", base_url="http://127.0.0.1/v1", profile="local")
    tools = ToolSet(corpus_tools(None))  # type: ignore[arg-type]  # they are told of, and never called
    for folder in folders:
        inner = folder / "trajectories"
        for path in sorted((inner if inner.is_dir() else folder).glob("*.json")):
            messages = [Message.from_dict(data) for data in json.loads(path.read_text())["messages"]]
            for at, message in enumerate(messages):
                if message.role == "assistant" and message.raw:
                    known = all(call.name in tools for before in messages[:at] for call in before.tool_calls)
                    view = View(messages[:at])
                    request = ModelRequest(model=model, view=view, tools=tools if known else ToolSet())
                    yield Recorded(path.stem, request_body(request, model.sampling, stream=False))


@dataclass(slots=True)
class Outcome:
    """What one variant did in one call."""

    session: str
    prompt: int = 0
    prefill: float = 0.0
    seconds: float = 0.0
    tokens: list[int] = field(default_factory=list)
    passes: int = 0
    drafted: int = 0
    accepted: int = 0


class Replay:
    """Makes recorded calls again, without drafts and with them."""

    def __init__(self, llama: Llama, tables: Sequence[CostTable]) -> None:
        self.llama = llama
        self.tables = tables
        self.template = ChatTemplate(llama)
        self.engine = Engine(llama, tables=tables)
        self.follower = Follower(DraftIndex())
        self.outcomes: dict[str, list[Outcome]] = {"off": [], "AgentSAM": []}
        self.oracle: list[float] = []
        """Seconds of each call, simulated."""
        self.gaps: list[float] = []
        """Where texts differ: how far the two logits lie apart there."""
        self._seen = SuffixAutomaton()
        self._seen_last: list[int] = []
        self._grammars: dict[str, str] = {}

    def call(self, call: Recorded, number: int) -> bool:
        """Make a call in every variant; whether the context has room for it."""
        wanted = parse_request(call.body)
        prompt = self.llama.tokenize(self.template.render(wanted.messages))
        limit = min(wanted.max_tokens or 512, self.llama.context - len(prompt))
        if limit < 1:
            return False
        new = len(prompt) - self.engine.reusable(prompt)
        started = time.perf_counter()
        for _ in self.engine.generate(prompt, lambda at: at, limit=0):
            pass
        prefill = time.perf_counter() - started
        names = sorted(self.outcomes, reverse=number % 2 == 1)
        for name in names:
            outcome = Outcome(call.session, prompt=new, prefill=prefill)
            self._decode(wanted, prompt, limit, outcome, drafting=name != "off")
            self.outcomes[name].append(outcome)
        off, drafted = self.outcomes["off"][-1], self.outcomes["AgentSAM"][-1]
        if off.tokens != drafted.tokens:
            self.gaps.append(self._gap(wanted, prompt, off.tokens, drafted.tokens))
        self.oracle.append(self._oracle(prompt, off.tokens))
        return True

    def _decode(self, wanted: Wanted, prompt: list[int], limit: int, outcome: Outcome, *, drafting: bool) -> None:
        chooser = self._chooser(wanted)
        started = time.perf_counter()
        followed = self.follower.follow(prompt) if drafting else None
        for done in self.engine.generate(prompt, chooser.choose, limit=limit, followed=followed):
            outcome.tokens += done.written
            outcome.passes += bool(done.written)
            outcome.drafted += done.drafted
            outcome.accepted += done.accepted
        outcome.seconds = time.perf_counter() - started
        chooser.close()

    def _chooser(self, wanted: Wanted) -> Chooser:
        if wanted.schema is None:
            return Chooser(self.llama)
        key = json.dumps(wanted.schema)
        if key not in self._grammars:
            self._grammars[key] = grammar_of(wanted.schema)
        return Chooser(self.llama, grammar=self._grammars[key])

    def _gap(self, wanted: Wanted, prompt: list[int], one: list[int], other: list[int]) -> float:
        """How far the logits of the two first different tokens lie apart, when decoded token by token."""
        same = common_prefix(one, other)
        if same == min(len(one), len(other)):
            return float("inf")
        chooser = self._chooser(wanted)
        found: list[float] = []

        def choose(at: int) -> int:
            if len(found) == same:
                logits = self.llama.logits(at)
                found.append(abs(float(logits[one[same]]) - float(logits[other[same]])))
            else:
                found.append(0.0)
            return chooser.choose(at)

        for _ in self.engine.generate(prompt, choose, limit=same + 1):
            pass
        chooser.close()
        return found[-1] if len(found) == same + 1 else float("inf")

    def _oracle(self, prompt: list[int], written: list[int]) -> float:
        self._seen.extend(prompt[common_prefix(self._seen_last, prompt) :])
        copies = []
        for at in range(len(written)):
            copies.append(_copied(self._seen, written[at : at + self.engine.most]))
            self._seen.extend(written[at : at + 1])
        self._seen_last = [*prompt, *written]
        table = CostTable.nearest(self.tables, batch=1, context=len(prompt))
        least = [0.0] * (len(written) + 1)
        for at in range(len(written) - 1, -1, -1):
            lengths = range(min(copies[at], len(written) - at - 1) + 1)
            least[at] = min(table.cost(length + 1) + least[at + length + 1] for length in lengths)
        return least[0]


def _copied(seen: SuffixAutomaton, coming: Sequence[int]) -> int:
    """How many of the coming tokens stand somewhere in a row."""
    cursor = Cursor(seen)
    for length, token in enumerate(coming):
        cursor.follow([token])
        if cursor.match_length != length + 1:
            return length
    return len(coming)


def report(replay: Replay, resamples: int) -> dict[str, Any]:
    """Print the table; the same as data."""
    off, drafted = replay.outcomes["off"], replay.outcomes["AgentSAM"]
    rows = {}
    print(f"\n{len(off)} calls of {len({outcome.session for outcome in off})} sessions, temperature 0, JSON schema")
    print(
        f"{'':10}{'decode s':>9}{'prefill s':>10}{'tokens':>8}{'tok/s':>8}{'tok/pass':>9}{'acc/pass':>9}{'wasted':>8}"
    )
    for name, outcomes in replay.outcomes.items():
        seconds, tokens = sum(o.seconds for o in outcomes), sum(len(o.tokens) for o in outcomes)
        passes, right = sum(o.passes for o in outcomes), sum(o.accepted for o in outcomes)
        tried = sum(o.drafted for o in outcomes)
        wasted = 1 - right / tried if tried else 0.0
        prefill = sum(o.prefill for o in outcomes)
        print(
            f"{name:10}{seconds:10.2f}{prefill:10.2f}{tokens:10}{tokens / seconds:10.1f}"
            f"{tokens / passes:10.2f}{right / passes:10.2f}{wasted:10.0%}"
        )
        rows[name] = {"seconds": seconds, "prefill": prefill, "tokens": tokens, "passes": passes}
        rows[name] |= {"accepted": right, "drafted": tried}
    ratio = paired(off, drafted, resamples)
    plain = sum(len(o.tokens) * CostTable.nearest(replay.tables, batch=1, context=o.prompt).cost(1) for o in off)
    oracle = sum(replay.oracle) / plain
    gain = (1 - ratio["estimate"]) / (1 - oracle) if oracle < 1 else 0.0
    same = sum(one.tokens == other.tokens for one, other in zip(off, drafted, strict=True))
    print(f"paired time ratio to off: {ratio['estimate']:.3f} (95 % {ratio['low']:.3f} to {ratio['high']:.3f})")
    print(f"oracle, simulated: {oracle:.3f} of the time of single steps; share of its gain reached: {gain:.0%}")
    apart = [gap for gap in replay.gaps if gap > CLOSE]
    print(
        f"same text: {same} of {len(off)}; first difference at logits within {CLOSE}: {len(replay.gaps) - len(apart)}"
    )
    print(f"first difference further apart: {len(apart)} {sorted(round(gap, 4) for gap in apart)}")
    return {"calls": len(off), "variants": rows, "ratio": ratio, "oracle": oracle, "gain": gain, "same": same} | {
        "gaps": replay.gaps
    }


def paired(off: Sequence[Outcome], other: Sequence[Outcome], resamples: int) -> dict[str, float]:
    """The ratio of the times over the same calls, sessions resampled."""
    sessions: dict[str, tuple[float, float]] = {}
    for one, two in zip(off, other, strict=True):
        top, bottom = sessions.get(one.session, (0.0, 0.0))
        sessions[one.session] = (top + two.seconds, bottom + one.seconds)
    interval = interval_of(list(sessions.values()), seed=1, resamples=resamples)
    assert interval is not None
    return asdict(interval)


def replay(arguments: argparse.Namespace) -> int:
    """Decode all calls for which there is time, and print what came of it."""
    calls = list(recorded(arguments.trajectories))
    if not calls:
        raise UserError("no trajectory holds a reply that a model wrote under the JSON protocol")
    llama = load(arguments, arguments.context)
    tables = read_costs(arguments.costs) if arguments.costs else measure_costs(llama)
    shown = {size: round(tables[0].cost(size) / tables[0].cost(1), 2) for size in (1, 2, 4, 8, 16)}
    single = tables[0].cost(1) * 1000
    if not COMPILED:
        print("the automaton runs in plain Python: drafting costs tens of times more than compiled")
    print(f"{arguments.model}: a pass over 1 token {single:.1f} ms; over more, times that: {shown}", flush=True)
    made = Replay(llama, tables)
    ends, skipped = time.monotonic() + arguments.seconds, 0
    done: list[Recorded] = []
    for number, call in enumerate(calls):
        if time.monotonic() > ends:
            print(f"out of time after {number} of {len(calls)} calls")
            break
        if made.call(call, number):
            done.append(call)
        else:
            skipped += 1
    if skipped:
        print(f"{skipped} calls did not fit a context of {arguments.context} tokens")
    found = report(made, arguments.resamples)
    llama.close()
    for peer in arguments.peer:
        found[peer] = peer_row(peer, arguments, done)
    if arguments.out:
        arguments.out.write_text(json.dumps(found, indent=1) + "\n")
    return 0


def peer_row(peer: str, arguments: argparse.Namespace, calls: Sequence[Recorded]) -> Any:
    """Another engine over the same calls, by its own clock."""
    try:
        from benchmarks import sam_decode_peer

        return sam_decode_peer.compare(str(found_path(arguments)), arguments, calls)
    except ImportError as error:
        print(f"skipped: {peer}: {error}", file=sys.stderr)
    except (AgentInferError, OSError, RuntimeError, ValueError, AttributeError) as error:
        print(f"failed: {peer}: {error!r}", file=sys.stderr)
    return None


def costs(arguments: argparse.Namespace) -> int:
    """Measure the cost table, print it, and keep it."""
    largest = max(arguments.contexts) + max(SIZES)
    llama = load(arguments, largest)
    tables = measure_costs(llama, contexts=arguments.contexts, sizes=SIZES, repeats=arguments.repeats)
    llama.close()
    print(f"{arguments.model}, {arguments.gpu_layers} layers on a GPU: ms of a pass, and times that of one token")
    print(f"{'context':>8}" + "".join(f"{size:>14}" for size in SIZES))
    for table in tables:
        cells = (f"{table.cost(size) * 1000:.2f} ({table.cost(size) / table.cost(1):.2f})" for size in SIZES)
        print(f"{table.context:>8}" + "".join(f"{cell:>14}" for cell in cells))
    if arguments.out:
        write_costs(arguments.out, tables)
        for table in tables:
            flat = {str(size): cost for size, cost in table.costs.items()}
            beside = arguments.out.with_name(f"{arguments.out.stem}-{table.context}.json")
            beside.write_text(json.dumps(flat, indent=1) + "\n")
    return 0


def found_path(arguments: argparse.Namespace) -> Path:
    return LocalServer(arguments.model).path


def load(arguments: argparse.Namespace, context: int) -> Llama:
    return Llama(
        found_path(arguments),
        context=context,
        threads=arguments.threads,
        gpu_layers=arguments.gpu_layers,
        batch=512 if arguments.gpu_layers else 128,
        exact=arguments.exact,
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("trajectories", type=Path, nargs="*")
    parser.add_argument("--cost", action="store_true", help="measure the cost table")
    parser.add_argument("--contexts", type=int, nargs="+", default=CONTEXTS, help="of the cost table")
    parser.add_argument("--repeats", type=int, default=5, help="passes timed of each kind; the fastest counts")
    parser.add_argument("--costs", type=Path, help="cost tables to decode by, instead of measuring")
    parser.add_argument("--context", type=int, default=8192)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--gpu-layers", type=int, default=0)
    parser.add_argument("--exact", action="store_true", help="on a CPU: the same texts with drafts and without")
    parser.add_argument("--seconds", type=float, default=1e9, help="begin no call after this long")
    parser.add_argument("--peer", action="append", default=[], choices=["xllamacpp"])
    parser.add_argument("--resamples", type=int, default=2000)
    parser.add_argument("--out", type=Path, metavar="FILE", help="keep the result as JSON")
    arguments = parser.parse_args()
    try:
        return costs(arguments) if arguments.cost else replay(arguments)
    except AgentInferError as error:
        print(error, file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
