"""Plug-ins by name: found, and made with their settings."""

import importlib
import inspect
import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from agentinfer.errors import UserError
from agentinfer.models import Model
from agentinfer.step import Plugin

__all__ = ["PLUGINS", "available_plugins", "find_plugin", "make_plugin", "takes_small"]

PLUGINS: Mapping[str, str] = MappingProxyType(
    {
        "collab": "agentinfer.collab:Collab",
        "compress": "agentinfer.compress:Compress",
        "sam": "agentinfer.sam:Sam",
        "scope": "agentinfer.scope:Scope",
    }
)
"""The plug-ins known by name, and where they are."""


def find_plugin(name: str) -> Any:
    """The class of a plug-in.

    Args:
        name: A name of `PLUGINS`, or `package.module:Class`.

    Raises:
        UserError: There is none; the message says why.
    """
    path = PLUGINS.get(name, name)
    module_name, colon, attribute = path.partition(":")
    if not colon:
        raise UserError(f"there is no plug-in {name!r}: known are {', '.join(PLUGINS)}, or write package.module:Class")
    try:
        return getattr(importlib.import_module(module_name), attribute)
    except ImportError as error:
        if name in PLUGINS and isinstance(error, ModuleNotFoundError) and error.name == module_name:
            raise UserError(
                f"the plug-in {name!r} is not part of this installation: there is no {module_name}"
            ) from None
        raise UserError(f"the plug-in {name!r} cannot be imported: {error}") from None
    except AttributeError:
        raise UserError(f"the plug-in {name!r} is not there: {module_name} has no {attribute}") from None


def available_plugins() -> dict[str, bool]:
    """The plug-ins known by name, and whether each is part of this installation."""
    return {name: _is_here(name) for name in PLUGINS}


def _is_here(name: str) -> bool:
    try:
        find_plugin(name)
    except UserError:
        return False
    return True


def takes_small(cls: Any) -> bool:
    """Whether a plug-in takes a small model."""
    try:
        return "small" in inspect.signature(cls).parameters
    except (TypeError, ValueError):
        return False


def make_plugin(name: str, cls: Any, settings: Mapping[str, Any], small: Model | None) -> Plugin:
    """A plug-in with its settings, and the small model where it takes one.

    Raises:
        UserError: It does not take the settings, needs a small model, or is no plug-in.
    """
    arguments = dict(settings)
    if takes_small(cls):
        parameter = inspect.signature(cls).parameters["small"]
        if "small" in arguments:
            raise UserError(f"plug-in {name!r}: its small model is the one under [small]")
        if small is not None:
            arguments["small"] = small
        elif parameter.default is parameter.empty:
            raise UserError(f"plug-in {name!r} needs a small model: name one under [small]")
    try:
        plugin: Plugin = cls(**arguments)
    except (TypeError, ValueError, UserError) as error:
        told = json.dumps(settings, default=str)
        raise UserError(f"plug-in {name!r} does not take its settings {told}: {error}") from None
    if not callable(getattr(plugin, "bind", None)):
        raise UserError(f"plug-in {name!r} is none: {cls!r} has no method bind(run)")
    return plugin
