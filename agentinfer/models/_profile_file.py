"""Profiles as files: TOML that `agentinfer doctor` writes, people edit, and `Model(profile=...)` reads.

```toml
base_url = "http://127.0.0.1:8080/v1"    # whose profile it is; without a model it is that of all models there
model = "my-model"

protocol = "json"                        # the fields of Profile; those left out are as for any endpoint
late_system = false
```
"""

import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import TypeAdapter, ValidationError

from agentinfer.errors import UserError
from agentinfer.models._address import Address
from agentinfer.models._profile import Profile

__all__ = [
    "KeptProfile",
    "kept_profile",
    "profile_lines",
    "profile_path",
    "profiles_directory",
    "read_profile",
    "write_profile",
]

_FIELDS = {field.name: field for field in dataclasses.fields(Profile)}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptProfile:
    """What a profile's file holds."""

    path: Path
    profile: Profile
    base_url: str | None = None
    """The endpoint it was made for."""
    model: str | None = None
    """The model it was made for; `None`: all models there."""


def profiles_directory() -> Path:
    """Where profiles are kept: `$AGENTINFER_HOME/profiles`, else `agentinfer/profiles` in the user's configuration."""
    if home := os.environ.get("AGENTINFER_HOME"):
        return Path(home).expanduser() / "profiles"
    if sys.platform == "win32":
        config = Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming")
    else:
        config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return config / "agentinfer" / "profiles"


def profile_path(base_url: str, model: str) -> Path:
    """The file in which the profile of a model at an endpoint is kept."""
    parts = urlsplit(Address(base_url).shown)
    words = [parts.netloc.replace(":", "-"), *parts.path.split("/"), model]
    return profiles_directory() / ("_".join(quote(word, safe="") for word in words if word)[:200] + ".toml")


def kept_profile(base_url: str, model: str) -> KeptProfile | None:
    """The profile kept for a model at an endpoint: one for this very model before one for all models there.

    Nothing in the library looks for kept profiles by itself; the command line does, and says so.

    Raises:
        UserError: A kept profile cannot be read.
    """
    endpoint = Address(base_url).shown
    files = sorted(profiles_directory().glob("*.toml"))
    kept = [profile for profile in map(read_profile, files) if profile.base_url == endpoint]
    by_model = {profile.model: profile for profile in kept}
    return by_model.get(model) or by_model.get(None)


def read_profile(path: str | os.PathLike[str]) -> KeptProfile:
    """Read a profile from a file.

    Raises:
        UserError: The file cannot be read or holds no profile; the message names the file and the field.
    """
    import tomllib  # what reads no file loads no parser

    file = Path(path)
    try:
        data = tomllib.loads(file.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise UserError(f"cannot read the profile {file}: {error.strerror or error}") from None
    except ValueError as error:  # neither UTF-8 nor TOML
        raise UserError(f"the profile {file} is not TOML: {error}") from None
    about = {name: data.pop(name, None) for name in ("base_url", "model")}
    if wrong := [name for name, value in about.items() if not isinstance(value, str | None)]:
        raise UserError(f"{file}: {wrong[0]} is a text")
    if unknown := sorted(data.keys() - _FIELDS.keys()):
        raise UserError(f"{file}: a profile has no field {unknown[0]!r}; its fields: {', '.join(_FIELDS)}")
    try:
        profile = _adapter().validate_python({"name": file.stem, **data})
    except ValidationError as error:
        problems = (f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors(include_url=False))
        raise UserError(f"{file}: " + "; ".join(problems)) from None
    for name in ("context_window", "default_max_tokens", "max_concurrency"):
        if (value := getattr(profile, name)) is not None and value < 1:
            raise UserError(f"{file}: {name} is a positive number")
    shown = Address(about["base_url"]).shown if about["base_url"] else None
    return KeptProfile(path=file, profile=profile, base_url=shown, model=about["model"])


@lru_cache(maxsize=1)
def _adapter() -> TypeAdapter[Profile]:
    return TypeAdapter(Profile)


def write_profile(
    path: str | os.PathLike[str],
    profile: Profile,
    *,
    base_url: str,
    model: str,
    reasons: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> Path:
    """Write a profile to a file, in place of what it holds.

    Args:
        path: The file; its folder is made.
        profile: The profile.
        base_url: The endpoint it is for; user, password and query are left out.
        model: The model it is for.
        reasons: Why fields are what they are, by their names: written above them.
        notes: Written as comments at the end.

    Raises:
        UserError: The file cannot be written.
    """
    file = Path(path)
    lines = [
        f"# Written by `agentinfer doctor` on {date.today().isoformat()}. Edit what you know better:",  # noqa: DTZ011
        "# the fields are those of agentinfer.models.Profile, and those left out are as for any endpoint.",
        f"base_url = {_toml(Address(base_url).shown)}",
        f"model = {_toml(model)}",
        "",
    ]
    lines += profile_lines(profile, reasons)
    lines += ["", *(f"# {_one_line(note)}" for note in notes)]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", dir=file.parent, suffix=".tmp", delete=False, encoding="utf-8"
        ) as written:
            written.write("\n".join(lines).rstrip() + "\n")
        os.replace(written.name, file)
    except OSError as error:
        raise UserError(f"cannot write the profile {file}: {error.strerror or error}") from None
    return file


def profile_lines(profile: Profile, reasons: Mapping[str, str] | None = None) -> list[str]:
    """A profile as lines of TOML: the fields that there is a reason for, or that are not as for any endpoint."""
    default, reasons = Profile(), reasons or {}
    lines = []
    for name in _FIELDS:
        value = getattr(profile, name)
        if value is None or (value == getattr(default, name) and name not in reasons):
            continue
        if name in reasons:
            lines.append(f"# {_one_line(reasons[name])}")
        lines.append(f"{name} = {_toml(value)}")
    return lines


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return (
            "{ "
            + ", ".join(f"{_toml(str(key))} = {_toml(item)}" for key, item in value.items() if item is not None)
            + " }"
        )
    if isinstance(value, frozenset | list | tuple):
        items = sorted(value) if isinstance(value, frozenset) else value
        return "[" + ", ".join(map(_toml, items)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())
