"""Runs the benchmarks and prints their figures: `./benchmarks/run [name ...]`."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

CHECKOUT = Path(__file__).resolve().parent.parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agentinfer" / "benchmarks"
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")},
    "OPENAI_API_KEY": "none",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "LANGSMITH_TRACING": "false",
    "PYTHONWARNINGS": "ignore",
}
PATIENCE = 900
"""Seconds for one client program."""


@dataclass(frozen=True, slots=True)
class Client:
    """One program under test."""

    name: str
    venv: str
    program: str
    options: tuple[str, ...] = ()
    framework: bool = False


BARE = Client("httpx loop", "agentinfer", "bare")
BARE_STREAM = Client("httpx loop, streaming", "agentinfer", "bare", ("stream",))
OURS = Client("agentinfer", "agentinfer", "agentinfer_agent")
OURS_WHOLE = Client("agentinfer, stream=False", "agentinfer", "agentinfer_agent", ("whole",))
OURS_HTTPTOOLS = Client("agentinfer, httptools", "agentinfer", "agentinfer_agent", ("httptools",))
OURS_FASTEST = Client("agentinfer, httptools, stream=False", "agentinfer", "agentinfer_agent", ("httptools", "whole"))
OPENAI = Client("openai SDK loop", "peers", "openai_sdk")
FRAMEWORKS = (
    Client("openai-agents", "peers", "openai_agents_agent", framework=True),
    Client("pydantic-ai", "peers", "pydantic_ai_agent", framework=True),
    Client("smolagents", "peers", "smolagents_agent", framework=True),
    Client("langgraph", "peers", "langgraph_agent", framework=True),
)
OURS_ALL = (OURS, OURS_WHOLE, OURS_HTTPTOOLS, OURS_FASTEST)

Samples = dict[str, list[float]]
"""The figure of each client, round by round."""


def install() -> None:
    """Make the virtual environments: one for the checkout, one for its peers."""
    wanted = {
        "agentinfer": ["-e", f"{CHECKOUT}[fast]"],
        "peers": ["-r", str(Path(__file__).with_name("peers.txt"))],
    }
    for name, requirements in wanted.items():
        folder = CACHE / name
        stamp = folder / "installed.json"
        if stamp.is_file() and json.loads(stamp.read_text()) == requirements:
            continue
        print(f"Installing into {folder} ...", file=sys.stderr)
        venv.create(folder, with_pip=True, clear=True)
        for arguments in (["--upgrade", "pip"], requirements):  # an old pip may not find versions that fit together
            command = [str(python(name)), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
            subprocess.run(command, check=True)
        stamp.write_text(json.dumps(requirements))


def python(name: str) -> Path:
    """The interpreter of a virtual environment."""
    return CACHE / name / "bin" / "python"


@contextmanager
def serving() -> Iterator[str]:
    """The loopback server, in a process of its own; its address."""
    process = subprocess.Popen(
        [python("agentinfer"), "-m", "benchmarks.server"],
        cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield f"http://127.0.0.1:{process.stdout.readline().strip()}"
    finally:
        process.stdin.close()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()


def ask(client: Client, **settings: Any) -> dict[str, float]:
    """Run a client's program; its figures."""
    command = [
        str(python(client.venv)),
        "-m",
        f"benchmarks.clients.{client.program}",
        json.dumps(settings),
        *client.options,
    ]
    done = subprocess.run(
        command, cwd=CHECKOUT, env=ENVIRONMENT, capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{client.name} failed:\n{done.stderr[-2000:]}")
    figures: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return figures


def run_steps(rounds: int, scale: float) -> dict[str, Any]:
    """Claim 1: one agent, ten steps."""
    samples: Samples = {}
    with serving() as server:
        for _ in range(rounds):
            for client in (BARE, BARE_STREAM, *OURS_ALL, OPENAI, *FRAMEWORKS):
                runs = max(round((10 if client.venv == "peers" else 40) * scale), 2)
                figures = ask(client, mode="steps", server=server, calls=9, runs=runs, warm_ups=3)
                _add(samples, client, figures["ms_per_step"])
    ratios = {
        "agentinfer / httpx loop, streaming": _ratios(samples, OURS, BARE_STREAM),
        "agentinfer, stream=False / httpx loop": _ratios(samples, OURS_WHOLE, BARE),
        "agentinfer, httptools, stream=False / httpx loop": _ratios(samples, OURS_FASTEST, BARE),
        "best framework / agentinfer": _against_best(samples, OURS),
        "best framework / agentinfer, stream=False": _against_best(samples, OURS_WHOLE),
    }
    return {"title": "CPU per step, one agent, ten steps (ms)", "samples": samples, "ratios": ratios}


def run_history(rounds: int, scale: float) -> dict[str, Any]:
    """Claim 2: a step with 200 past turns against a step with one."""
    early: Samples = {}
    late: Samples = {}
    with serving() as server:
        for _ in range(rounds):
            for client in (BARE, OURS, OURS_WHOLE, OURS_FASTEST, OPENAI):
                runs = max(round((2 if client.venv == "peers" else 8) * scale), 1)
                figures = ask(client, mode="history", server=server, turns=200, span=10, runs=runs)
                _add(early, client, figures["early_ms"])
                _add(late, client, figures["late_ms"])
    samples = {f"{name}, {when}": side[name] for name in early for when, side in (("1", early), ("200", late))}
    ratios = {
        f"{name}: 200 / 1": [after / before for after, before in zip(late[name], early[name], strict=True)]
        for name in early
    }
    title = "CPU per step with 1 (to 10) and with 200 (to 210) past turns (ms)"
    return {"title": title, "samples": samples, "ratios": ratios}


def run_crowd(rounds: int, scale: float) -> dict[str, Any]:
    """Claim 3: a thousand agents at once."""
    samples: Samples = {}
    agents = max(round(1000 * scale), 10)
    with serving() as server:
        for number in range(rounds):
            for client in (BARE, *OURS_ALL, *FRAMEWORKS):
                slow = client.framework or client is BARE
                if slow and number:  # minutes each: once has to do
                    continue
                figures = ask(client, mode="crowd", server=server, calls=1 if slow else 9, agents=agents)
                _add(samples, client, figures["ms_per_step"])
    best = min(median(samples[client.name]) for client in FRAMEWORKS)
    ratios = {f"best framework / {client.name}": [best / ms for ms in samples[client.name]] for client in OURS_ALL}
    title = f"CPU per step, {agents} agents at once (ms; frameworks and httpx loop: two steps, once; others ten)"
    return {"title": title, "samples": samples, "ratios": ratios}


def run_memory(rounds: int, scale: float) -> dict[str, Any]:
    """Claim 3: what a waiting agent takes."""
    samples: Samples = {}
    agents = max(round(1000 * scale), 10)
    with serving() as server:
        for _ in range(min(rounds, 3)):
            for client in (BARE, OURS, OURS_HTTPTOOLS, *FRAMEWORKS):
                figures = ask(client, mode="waiting", server=server, agents=agents)
                _add(samples, client, figures["kib_per_agent"])
    title = f"Resident memory per agent, {agents} agents waiting for a reply (KiB)"
    return {"title": title, "samples": samples, "ratios": {}}


USED = "from agentinfer import Agent, Model, tool"
"""The package itself loads what it names when that is first used: this is what a program pays."""


def run_imports(rounds: int, scale: float) -> dict[str, Any]:
    """Claim 4: importing."""
    samples: Samples = {}
    statements = {
        "import httpx": "agentinfer",
        "import agentinfer": "agentinfer",
        USED: "agentinfer",
        "import openai": "peers",
        "import agents": "peers",
        "import pydantic_ai": "peers",
        "import smolagents": "peers",
        "import langgraph.prebuilt": "peers",
    }
    for number in range(rounds * max(round(3 * scale), 1) + 1):
        with tempfile.TemporaryDirectory() as elsewhere:
            for statement, name in statements.items():
                code = f"from time import perf_counter as t; a = t(); {statement}; print(t() - a)"
                done = subprocess.run(
                    [python(name), "-c", code],
                    cwd=elsewhere, env=ENVIRONMENT, capture_output=True, text=True, timeout=60, check=True,
                )  # fmt: skip
                if number:  # the first one may have had to compile
                    samples.setdefault(statement, []).append(1000 * float(done.stdout.splitlines()[-1]))
    ratios = {
        f"{ours} / import httpx": [
            one / other for one, other in zip(samples[ours], samples["import httpx"], strict=True)
        ]
        for ours in ("import agentinfer", USED)
    }
    return {"title": "Importing, in a fresh process (ms of wall time)", "samples": samples, "ratios": ratios}


BENCHMARKS = {
    "steps": run_steps,
    "history": run_history,
    "crowd": run_crowd,
    "memory": run_memory,
    "imports": run_imports,
}


def _add(samples: Samples, client: Client, figure: float) -> None:
    samples.setdefault(client.name, []).append(figure)


def _ratios(samples: Samples, one: Client, other: Client) -> list[float]:
    """Round by round, so that what slowed a round down slowed both."""
    return [a / b for a, b in zip(samples[one.name], samples[other.name], strict=True)]


def _against_best(samples: Samples, ours: Client) -> list[float]:
    frameworks = zip(*(samples[client.name] for client in FRAMEWORKS), strict=True)
    return [min(theirs) / own for theirs, own in zip(frameworks, samples[ours.name], strict=True)]


def _versions() -> dict[str, str]:
    """What is compared, with versions."""
    code = (
        "import json, importlib.metadata as m; print(json.dumps({d.name: d.version for d in m.distributions() if d.name"
        " in ('agentinfer', 'httpx', 'httptools', 'pydantic', 'sniffio', 'openai', 'openai-agents', 'pydantic-ai-slim',"
        " 'smolagents', 'langgraph', 'langchain-openai')}))"
    )
    versions: dict[str, str] = {}
    for name in ("peers", "agentinfer"):
        done = subprocess.run([python(name), "-c", code], capture_output=True, text=True, check=True)
        versions.update({f"{name}: {key}": value for key, value in json.loads(done.stdout).items()})
    return dict(sorted(versions.items()))


def _print(result: dict[str, Any]) -> None:
    print(f"\n## {result['title']}\n")
    print(f"| {'':50} | {'median':>8} | {'min':>8} | {'max':>8} |  n |")
    print(f"|{'-' * 52}|{'-' * 10}|{'-' * 10}|{'-' * 10}|{'-' * 4}|")
    for side, unit in (("samples", ""), ("ratios", " x")):
        for name, figures in result[side].items():
            low, mid, high = (f"{figure:.2f}{unit}" for figure in (min(figures), median(figures), max(figures)))
            print(f"| {name:50} | {mid:>8} | {low:>8} | {high:>8} | {len(figures):2} |")


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks/run", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"which: {', '.join(BENCHMARKS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="how often every client is measured (default: 5)")
    parser.add_argument("--scale", type=float, default=1.0, help="less than 1 for a quick, less certain look")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures there, too")
    parser.add_argument("--install", action="store_true", help="only install what is compared")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(BENCHMARKS):
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    install()
    if arguments.install:
        return
    results = {}
    for name in arguments.names or BENCHMARKS:
        measure = partial(BENCHMARKS[name], arguments.rounds, arguments.scale)
        results[name] = measure()
        _print(results[name])
        if arguments.json:
            machine = {"python": sys.version.split()[0], "cores": os.cpu_count()}
            document = {"machine": machine, "versions": _versions(), "results": results}
            arguments.json.write_text(json.dumps(document, indent=2) + "\n")


if __name__ == "__main__":
    main()
