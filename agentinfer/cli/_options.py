"""Options that several commands share."""

import argparse
import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agentinfer.errors import UserError
from agentinfer.limits import Limits
from agentinfer.models import PROFILES, Model, Timeouts, kept_profile

if TYPE_CHECKING:
    from agentinfer.config import Config, Setup

__all__ = [
    "CORPUS",
    "DEFAULT_LOCAL",
    "Commands",
    "add_limit_options",
    "add_model_options",
    "config_of",
    "is_local",
    "limits_of",
    "model_of",
    "setup_of",
]

Commands = Any
"""What `ArgumentParser.add_subparsers` returns; argparse does not name its type."""

DEFAULT_LOCAL = "qwen2.5-coder-1.5b-instruct"

DEFAULT_STEPS = 12

CORPUS = "what to search: an index made by `agentinfer corpus build`"

_ABOUT = "An endpoint, or a model on this machine. The API key comes from OPENAI_API_KEY."
_MODEL = "its name there (or AGENTINFER_MODEL); with --local a name of `agentinfer models list` or a GGUF file"
_LOCAL = f"serve the model on this machine; {DEFAULT_LOCAL} unless --model says otherwise"
_SMALL = "a small model at the same place: it works, and the other one plans and helps out (plug-in collab)"
_PROFILE = f"what the endpoint can do: {', '.join(PROFILES)}, or a .toml file (default: what `agentinfer doctor` kept)"
_PROTOCOL = "how the model says what to do: by tool calls, by JSON held to a schema, or by tagged text"


def add_model_options(parser: argparse.ArgumentParser, *, small: bool = False) -> None:
    """Which model is asked, and which small one helps it."""
    group = parser.add_argument_group("model", _ABOUT)
    group.add_argument("--base-url", metavar="URL", help="the endpoint, usually ending in /v1 (or OPENAI_BASE_URL)")
    group.add_argument("--model", metavar="NAME", help=_MODEL)
    group.add_argument("--local", action="store_true", help=_LOCAL)
    if small:
        group.add_argument("--small-model", metavar="NAME", help=_SMALL)
    group.add_argument("--profile", metavar="NAME|FILE", help=_PROFILE)
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
        base_url = base_url or "https://api.openai.com/v1"
        if arguments.profile is None and (kept := kept_profile(base_url, name)) is not None:
            print(f"profile: {kept.path}", file=sys.stderr)
            settings["profile"] = kept.profile
        return Model(name, base_url=base_url, api_key=key, **settings)
    raise UserError(
        "no model to ask: give --local for one on this machine, or --base-url and --model "
        "(or set OPENAI_BASE_URL, OPENAI_API_KEY and AGENTINFER_MODEL)"
    )


def config_of(path: Path | None) -> "Config | None":
    """The configuration in a file, where one is given."""
    if path is None:
        return None
    from agentinfer.config import load_config

    return load_config(path)


def setup_of(arguments: argparse.Namespace, config: "Config | None") -> "Setup":
    """What the options and the configuration come to: the model is named by one of the two.

    Raises:
        UserError: They name no model, or two.
    """
    from agentinfer.config import Config

    if config is None or config.model is None:
        return _with_small(arguments, config or Config()).build(model_of(arguments), _small_of(arguments))
    options = ("base_url", "model", "local", "small_model", "profile", "protocol", "timeout")
    given = [f"--{name.replace('_', '-')}" for name in options if getattr(arguments, name, None)]
    if given:
        raise UserError(f"the configuration names the model: {', '.join(given)} cannot be given beside it")
    return config.build()


def _small_of(arguments: argparse.Namespace) -> Model | None:
    """The small model the options name: one at the same place as the model."""
    name = getattr(arguments, "small_model", None)
    return None if name is None else model_of(argparse.Namespace(**{**vars(arguments), "model": name}))


def _with_small(arguments: argparse.Namespace, config: "Config") -> "Config":
    """The configuration with a plug-in that takes the small model the options name."""
    if getattr(arguments, "small_model", None) is None:
        return config
    if config.small is not None:
        raise UserError("the configuration names the small model: --small-model cannot be given beside it")
    from agentinfer._plugins import find_plugin, takes_small

    if any(takes_small(find_plugin(name)) for name in config.plugins):
        return config
    return config.model_copy(update={"plugins": {"collab": {}, **config.plugins}})


def add_limit_options(parser: argparse.ArgumentParser) -> None:
    """What a run may spend."""
    limits = parser.add_argument_group("limits", "Of one run. Near a limit the model is asked for its answer.")
    steps = f"model calls (default: {DEFAULT_STEPS}, or as the configuration says)"
    limits.add_argument("--max-steps", type=int, metavar="N", help=steps)
    limits.add_argument("--max-tokens", type=int, metavar="N", help="tokens of all calls together")
    limits.add_argument("--max-seconds", type=float, metavar="N", help="time for the whole run")


def limits_of(arguments: argparse.Namespace, setup: "Setup") -> Limits:
    """The limits that the options name, and beside them those of the configuration."""
    options = {"steps": arguments.max_steps, "tokens": arguments.max_tokens, "seconds": arguments.max_seconds}
    given = {name: value for name, value in options.items() if value is not None}
    return dataclasses.replace(setup.limits or Limits(steps=DEFAULT_STEPS), **given)


def is_local(model: Model) -> bool:
    """Whether a model is served on this machine for us, which takes a while to start."""
    return model.endpoint.startswith("local:")
