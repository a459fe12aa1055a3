"""Options that several commands share."""

import argparse
import os
from typing import Any

from agentinfer.errors import UserError
from agentinfer.models import PROFILES, Model, Timeouts

__all__ = ["DEFAULT_LOCAL", "Commands", "add_model_options", "model_of"]

Commands = Any
"""What `ArgumentParser.add_subparsers` returns; argparse does not name its type."""

DEFAULT_LOCAL = "qwen2.5-coder-1.5b-instruct"

_ABOUT = "An endpoint, or a model on this machine. The API key comes from OPENAI_API_KEY."
_MODEL = "its name there (or AGENTINFER_MODEL); with --local a name of `agentinfer models list` or a GGUF file"
_LOCAL = f"serve the model on this machine; {DEFAULT_LOCAL} unless --model says otherwise"
_PROFILE = f"what the endpoint can do: {', '.join(PROFILES)}"
_PROTOCOL = "how the model says what to do: by tool calls, by JSON held to a schema, or by tagged text"


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Which model is asked."""
    group = parser.add_argument_group("model", _ABOUT)
    group.add_argument("--base-url", metavar="URL", help="the endpoint, usually ending in /v1 (or OPENAI_BASE_URL)")
    group.add_argument("--model", metavar="NAME", help=_MODEL)
    group.add_argument("--local", action="store_true", help=_LOCAL)
    group.add_argument("--profile", metavar="NAME", help=_PROFILE)
    group.add_argument("--protocol", choices=["native", "json", "tagged"], help=_PROTOCOL)
    group.add_argument("--timeout", type=float, metavar="SECONDS", help="for one model call, its retries included")


def model_of(arguments: argparse.Namespace) -> Model:
    """The model the options name.

    Raises:
        UserError: They name none.
    """
    settings: dict[str, Any] = {"profile": arguments.profile, "protocol": arguments.protocol}
    settings = {name: value for name, value in settings.items() if value is not None}
    if arguments.timeout is not None:
        settings["timeouts"] = Timeouts(call=arguments.timeout)
    if arguments.local:
        if arguments.base_url:
            raise UserError("--local and --base-url exclude each other")
        return Model.local(arguments.model or DEFAULT_LOCAL, **settings)
    name = arguments.model or os.environ.get("AGENTINFER_MODEL")
    base_url = arguments.base_url or os.environ.get("OPENAI_BASE_URL")
    key = os.environ.get("OPENAI_API_KEY") or None
    if name and (base_url or key):
        return Model(name, base_url=base_url or "https://api.openai.com/v1", api_key=key, **settings)
    raise UserError(
        "no model to ask: give --local for one on this machine, or --base-url and --model "
        "(or set OPENAI_BASE_URL, OPENAI_API_KEY and AGENTINFER_MODEL)"
    )
