"""`agentinfer doctor`: find out what an endpoint can do, and keep it as a profile."""

import argparse
import asyncio
import json
import os
import shlex
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from agentinfer.cli._options import Commands
from agentinfer.errors import UserError

if TYPE_CHECKING:
    from agentinfer.doctor import Examination, Finding, Probe

__all__ = ["register"]

_EPILOG = """\
It sends about 35 short requests and, where the context window is known or small, one that is too long for it. What it
finds is kept as a profile: a TOML file to read and to edit; one that is there becomes FILE.old. The
other commands use it for the same --base-url and --model, and say so, unless --profile names another; in a program
give its path: Model(..., profile="FILE"). The API key comes from OPENAI_API_KEY.

The exit code is 0 where the endpoint was examined, 1 where it does not answer or was given up, 2 where the command
cannot be run as it was given, 130 after Ctrl-C.

Examples:
  agentinfer doctor --base-url http://127.0.0.1:8080/v1
  agentinfer doctor --base-url https://api.example.com/v1 --model large --longest 0 --json
"""


def register(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "doctor",
        help="find out what an endpoint can do",
        description="Ask an OpenAI-compatible endpoint what it can do, and keep what follows as a profile.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--base-url", metavar="URL", help="the endpoint, usually ending in /v1 (or OPENAI_BASE_URL)")
    parser.add_argument(
        "--model", metavar="NAME", help="its name there (or AGENTINFER_MODEL; the only one listed unless given)"
    )
    keep = parser.add_mutually_exclusive_group()
    keep.add_argument("--out", metavar="FILE", type=Path, help="the profile's file (default: one that is found again)")
    keep.add_argument("--no-keep", action="store_true", help="write no profile")
    parser.add_argument(
        "--timeout", type=float, default=60.0, metavar="SECONDS", help="for one probe (default: %(default)g)"
    )
    parser.add_argument(
        "--longest",
        type=int,
        default=40_000,
        metavar="TOKENS",
        help="of the longest prompt sent to see how it is refused; 0 sends none (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print findings and profile as JSON")
    parser.set_defaults(command=_doctor)


def _doctor(arguments: argparse.Namespace) -> int:
    base_url = arguments.base_url or os.environ.get("OPENAI_BASE_URL")
    if not base_url:
        raise UserError("no endpoint to examine: give --base-url (or set OPENAI_BASE_URL)")
    if not arguments.timeout > 0:
        raise UserError("--timeout must be positive")
    if arguments.longest < 0:
        raise UserError("--longest must not be negative")
    if arguments.out is not None and arguments.out.suffix.lower() != ".toml":
        raise UserError("a profile is a .toml file: give --out a name that ends so")
    return asyncio.run(_examine(arguments, base_url))


async def _examine(arguments: argparse.Namespace, base_url: str) -> int:
    from agentinfer.doctor import choose_model, examine
    from agentinfer.models import profile_path, write_profile

    key = os.environ.get("OPENAI_API_KEY") or None
    model = arguments.model or os.environ.get("AGENTINFER_MODEL")
    if not model:
        model = await choose_model(base_url, api_key=key, seconds=arguments.timeout)
    view = _View(as_json=arguments.json)
    examination = await examine(
        base_url,
        model,
        api_key=key,
        seconds=arguments.timeout,
        longest=arguments.longest,
        on_start=view.start,
        on_finding=view.show,
    )
    path: Path | None = None
    judgement = examination.judgement
    if examination.answers and not arguments.no_keep:
        path = arguments.out or profile_path(base_url, model)
        if path.is_file():  # somebody may have edited it
            path.replace(f"{path}.old")
        write_profile(
            path,
            judgement.profile,
            base_url=base_url,
            model=model,
            reasons=judgement.reasons,
            notes=judgement.notes,
        )
    if arguments.json:
        print(json.dumps({**examination.to_dict(), "file": path and str(path)}, ensure_ascii=False))
    else:
        _report(examination, path, found_again=arguments.out is None)
    if examination.given_up is not None:
        print(f"agentinfer: {examination.base_url} was given up: {examination.given_up}", file=sys.stderr)
    return 0 if examination.given_up is None and examination.answers else 1


class _View:
    """Prints findings as they come; with --json they are the progress, on standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self._out = sys.stderr if as_json else sys.stdout
        self._terminal = sys.stderr.isatty()
        self._started = 0.0

    def start(self, probe: "Probe") -> None:
        """Say what is being asked."""
        self._started = time.monotonic()
        if self._terminal:
            print(f"\r\033[K{probe.title} ...", end="", file=sys.stderr, flush=True)

    def show(self, probe: "Probe", finding: "Finding") -> None:
        """Print a finding."""
        if self._terminal:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        seconds = time.monotonic() - self._started
        print(f"{probe.title:<40} {finding.verdict:<8} {seconds:6.1f} s  {finding.words}", file=self._out, flush=True)


def _report(examination: "Examination", path: Path | None, *, found_again: bool) -> None:
    """What follows from the findings."""
    from agentinfer.models import profile_lines

    if not examination.answers:
        return
    judgement = examination.judgement
    print("\nThe profile that follows:")
    for line in profile_lines(judgement.profile, judgement.reasons):
        print(f"  {line}")
    if judgement.notes:
        print("\nWhat else the runtime does about it:")
        for note in judgement.notes:
            print(f"  - {note}")
    if path is not None:
        options = f"--base-url {shlex.quote(examination.base_url)} --model {shlex.quote(examination.model)}"
        named = "" if found_again else f" --profile {shlex.quote(str(path))}"
        print(f"\nKept in {path}; used by\n  agentinfer ask '...' {options}{named}")
