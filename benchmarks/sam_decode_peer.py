"""The same calls by xllamacpp's server, without drafts and with its own n-gram drafts: by the server's own timings."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import httpx
import xllamacpp

from agentinfer.evals._bootstrap import interval_of

if TYPE_CHECKING:
    from benchmarks.sam_decode import Recorded

SETTINGS = ((2, 4), (3, 8), (3, 16))
"""Tokens of the n-gram looked up, and tokens copied from where it stood before."""


def server(path: str, arguments: argparse.Namespace, ngram: tuple[int, int] | None) -> Any:
    """A server on a free port; it ends when it is let go of."""
    params = xllamacpp.CommonParams()
    params.model.path = path
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.n_parallel = 1
    params.n_ctx = arguments.context
    params.n_gpu_layers = arguments.gpu_layers
    params.cpuparams.n_threads = arguments.threads
    params.verbosity = 1
    if ngram is not None:
        params.speculative.types = [xllamacpp.common_speculative_type.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE]
        simple = params.speculative.ngram_simple
        simple.size_n, simple.size_m = ngram
    return xllamacpp.Server(params)


def answers(made: Any, calls: Sequence[Recorded], seconds: float) -> list[tuple[dict[str, Any], str]]:
    """The timings of each call and its text, for as many calls as there is time for."""
    found = []
    ends = time.monotonic() + seconds
    with httpx.Client(base_url=made.listening_address, timeout=600) as client:
        for call in calls:
            if time.monotonic() > ends:
                break
            answer = client.post("/v1/chat/completions", content=call.body).raise_for_status().json()
            found.append((answer["timings"], answer["choices"][0]["message"]["content"]))
    return found


def compare(path: str, arguments: argparse.Namespace, calls: Sequence[Recorded]) -> list[dict[str, Any]]:
    """Print a row for each setting: its time over that without drafts, in the same server's words."""
    print("\nxllamacpp's server, n-gram drafts, over its own time without:")
    plain = answers(server(path, arguments, None), calls, arguments.seconds)
    rows = []
    for ngram in SETTINGS:
        try:
            drafted = answers(server(path, arguments, ngram), calls[: len(plain)], arguments.seconds)
        except (RuntimeError, OSError, httpx.HTTPError, KeyError) as error:
            print(f"  n={ngram[0]} m={ngram[1]}: failed: {error!r}", file=sys.stderr)
            continue
        pairs = list(zip(plain, drafted, calls, strict=False))
        sessions: dict[str, tuple[float, float]] = {}
        for (one, _), (two, _), call in pairs:
            top, bottom = sessions.get(call.session, (0.0, 0.0))
            sessions[call.session] = (top + two["predicted_ms"], bottom + one["predicted_ms"])
        ratio = interval_of(list(sessions.values()), seed=1, resamples=arguments.resamples)
        assert ratio is not None
        tried = sum(two.get("draft_n", 0) for _, (two, _), _ in pairs)
        right = sum(two.get("draft_n_accepted", 0) for _, (two, _), _ in pairs)
        row = {
            "n": ngram[0],
            "m": ngram[1],
            "calls": len(pairs),
            "seconds": sum(two["predicted_ms"] for _, (two, _), _ in pairs) / 1000,
            "off_seconds": sum(one["predicted_ms"] for (one, _), _, _ in pairs) / 1000,
            "ratio": [ratio.estimate, ratio.low, ratio.high],
            "wasted": 1 - right / tried if tried else 0.0,
            "same": sum(one == two for (_, one), (_, two), _ in pairs),
        }
        rows.append(row)
        print(
            f"  n={ngram[0]} m={ngram[1]}: {row['seconds']:.2f} s to {row['off_seconds']:.2f} s, ratio "
            f"{ratio.estimate:.3f} (95 % {ratio.low:.3f} to {ratio.high:.3f}), wasted {row['wasted']:.0%}, "
            f"same text {row['same']} of {len(pairs)}"
        )
    return rows
