"""`agentinfer serve`: local models on an OpenAI-compatible port."""

import argparse
import asyncio
import sys

from agentinfer.cli._options import DEFAULT_LOCAL, Commands

__all__ = ["register"]

_NAMES = f"names of `agentinfer models list`, or GGUF files (default: {DEFAULT_LOCAL})"


def register(commands: Commands) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "serve",
        help="serve local models on an OpenAI-compatible port",
        description="Serve local models on an OpenAI-compatible port of this machine, until Ctrl-C.",
    )
    parser.add_argument(
        "models",
        nargs="*",
        default=[DEFAULT_LOCAL],
        metavar="MODEL",
        help=_NAMES,
    )
    parser.add_argument("--port", type=int, default=8080, help="(default: %(default)s; 0 takes a free one)")
    parser.add_argument(
        "--context",
        type=int,
        default=8192,
        metavar="TOKENS",
        help="of one request and its answer (default: %(default)s)",
    )
    parser.add_argument(
        "--slots", type=int, default=1, metavar="N", help="requests served at a time, per model (default: %(default)s)"
    )
    parser.add_argument("--threads", type=int, metavar="N", help="threads to compute with (default: one per core)")
    parser.set_defaults(command=_serve)


def _serve(arguments: argparse.Namespace) -> int:
    asyncio.run(_until_interrupted(arguments))
    return 0


async def _until_interrupted(arguments: argparse.Namespace) -> None:
    from agentinfer.local import LocalEndpoint

    endpoint = LocalEndpoint(
        arguments.models,
        port=arguments.port,
        context=arguments.context,
        slots=arguments.slots,
        threads=arguments.threads,
    )
    print(f"loading {', '.join(arguments.models)} ...", file=sys.stderr)
    async with endpoint:
        print(f"serving at {endpoint.base_url} (Ctrl-C stops)", file=sys.stderr)
        options = f"--base-url {endpoint.base_url} --model {endpoint.models[0]} --profile local"
        print(f"  agentinfer ask '...' {options}", file=sys.stderr)
        await endpoint.watch()
