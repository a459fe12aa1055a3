"""An agent's configuration in a file: the model, a small model, plug-ins and their settings.

```toml
name = "two plug-ins"

[model]
local = "qwen2.5-coder-1.5b-instruct"    # or: name = "...", base_url = "...", api_key_env = "MY_KEY"
sampling = { temperature = 0.0 }

[small]
local = "qwen2.5-0.5b-instruct"

[limits]
steps = 12

[plugins.compress]                       # outermost first
[plugins."my_package.my_module:MyPlugin"]
patience = 3
```

The same in YAML needs the extra `yaml`. Secrets are not written into the file: `api_key_env` names the variable of the
environment that holds the key.
"""

import dataclasses
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError, ValidationInfo, field_validator, model_validator

from agentinfer._plugins import available_plugins, find_plugin, make_plugin, takes_small
from agentinfer.errors import MissingExtra, UserError
from agentinfer.limits import Limits
from agentinfer.models import PROFILES, THINKING, Model, Sampling, Timeouts, read_profile
from agentinfer.step import Plugin
from agentinfer.usage import Pricing

__all__ = ["Config", "ModelConfig", "Setup", "load_config", "variants"]


class ModelConfig(BaseModel):
    """Which model, and how it is reached."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str | None = None
    """The model's name at the endpoint."""
    base_url: str | None = None
    """The endpoint, usually ending in `/v1`."""
    api_key_env: str | None = None
    """The environment variable that holds the endpoint's key; no key is sent unless given."""
    local: str | None = None
    """A model of this machine instead: a name of the catalogue, or the path of a GGUF file."""
    server: dict[str, Any] = {}
    """Further arguments of `LocalServer`, such as `context` and `threads`."""
    profile: str | None = None
    """The name of a known profile, or a `.toml` file that `agentinfer doctor` wrote, beside the configuration."""
    protocol: Literal["native", "json", "tagged"] | None = None
    """How the model says what to do; the profile's unless given."""
    thinking: str | None = None
    """How it is told how much to think, where its profile does not say: a name of `agentinfer.models.THINKING`."""
    sampling: Sampling | None = None
    pricing: Pricing | None = None
    timeouts: Timeouts | None = None
    context_window: int | None = None
    """Tokens of prompt and completion together."""
    max_concurrency: int | None = None
    """How many calls may be at work at once."""
    stream: bool | None = None
    """Whether replies are streamed."""

    @model_validator(mode="before")
    @classmethod
    def _no_key(cls, data: Any) -> Any:
        if isinstance(data, dict) and "api_key" in data:
            raise ValueError("keys are not written into the file: let api_key_env name the variable that holds it")
        return data

    @field_validator("base_url")
    @classmethod
    def _no_password(cls, value: str | None) -> str | None:
        if value is not None and urlsplit(value).password:
            raise ValueError("passwords are not written into the file: let api_key_env name the variable that holds it")
        return value

    @field_validator("profile")
    @classmethod
    def _known_profile(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None or value in PROFILES:
            return value
        if not value.lower().endswith(".toml"):
            names = ", ".join(sorted(PROFILES))
            raise ValueError(f"there is no profile {value!r}; profiles: {names}, or the path of a .toml file")
        path = Path(info.context or "") / Path(value).expanduser()
        read_profile(path)
        return str(path)

    @field_validator("thinking")
    @classmethod
    def _known_thinking(cls, value: str | None) -> str | None:
        if value is not None and value not in THINKING:
            raise ValueError(f"there is no way of thinking {value!r}; known: {', '.join(THINKING)}")
        return value

    @model_validator(mode="after")
    def _one_model(self) -> Self:
        if (self.local is None) == (self.name is None):
            raise ValueError("give either name and base_url, or local")
        if self.local is None and self.base_url is None:
            raise ValueError("base_url is missing")
        if self.local is not None and (self.base_url or self.api_key_env):
            raise ValueError("a local model has no base_url and no api_key_env")
        if self.local is None and self.server:
            raise ValueError("server belongs to a local model")
        return self

    def build(self) -> Model:
        """The model.

        Raises:
            UserError: The settings do not go together, or the key's variable is not set.
        """
        model = self._build()
        if self.thinking is not None:
            model.profile = dataclasses.replace(model.profile, thinking=self.thinking)
        return model

    def _build(self) -> Model:
        own = ("name", "base_url", "api_key_env", "local", "server", "thinking")
        settings = {field: value for field, value in self if field not in own and value is not None}
        if self.local is not None:
            return Model.local(self.local, server=self.server, **settings)
        key = None
        if self.api_key_env is not None:
            key = os.environ.get(self.api_key_env)
            if not key:
                raise UserError(f"the environment variable {self.api_key_env}, named by api_key_env, is not set")
        assert self.name is not None
        return Model(self.name, base_url=self.base_url, api_key=key, **settings)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a configuration comes to: what an `Agent` is made of.

    The small model is not opened by the agent: keep it open (`async with setup.small`) while the agent is used.
    """

    model: Model
    small: Model | None
    """The small model, where a plug-in takes it."""
    plugins: tuple[Plugin, ...]
    limits: Limits | None


class Config(BaseModel):
    """A configuration."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)

    name: str = "agent"
    """What it is called in tables."""
    model: ModelConfig | None = None
    """The model; where it is left out, the command line names it."""
    small: ModelConfig | None = None
    """The model that plug-ins use for easy work."""
    judge: ModelConfig | None = None
    """The model that grades answers in an evaluation."""
    plugins: dict[str, dict[str, Any]] = {}
    """The plug-ins, outermost first, by their known names or as `package.module:Class`, and their settings."""
    limits: Limits | None = None

    @field_validator("plugins", mode="before")
    @classmethod
    def _bare_names(cls, value: Any) -> Any:
        """A list of names, and a name without settings, are fine."""
        if isinstance(value, list) and all(isinstance(name, str) for name in value):
            return {name: {} for name in value}
        return (
            {name: {} if settings is None else settings for name, settings in value.items()}
            if isinstance(value, dict)
            else value
        )

    def build(self, model: Model | None = None, small: Model | None = None) -> Setup:
        """Make the models and the plug-ins.

        Args:
            model: The model, instead of the one that the configuration names.
            small: The small model, instead of the one that the configuration names.

        Raises:
            UserError: There is no model; a plug-in is not there, or does not take its settings.
        """
        if model is None and self.model is None:
            raise UserError("the configuration names no model")
        classes = {name: find_plugin(name) for name in self.plugins}
        taken = any(takes_small(cls) for cls in classes.values())
        if small is None and self.small is not None and taken:
            small = self.small.build()
        if model is None and self.model is not None:
            model = self.model.build()
        assert model is not None
        plugins = tuple(make_plugin(name, cls, self.plugins[name], small) for name, cls in classes.items())
        return Setup(model=model, small=small if taken else None, plugins=plugins, limits=self.limits)


def load_config(path: str | os.PathLike[str]) -> Config:
    """Read a configuration from a `.toml`, `.yaml` or `.yml` file.

    Raises:
        UserError: The file cannot be read or is not a configuration; the message names the file and the field.
        MissingExtra: It is a YAML file, and the extra `yaml` is not installed.
    """
    file = Path(path)
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read the configuration {file}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise UserError(f"the configuration {file} is not UTF-8 text") from None
    data = _parse(file, text)
    if not isinstance(data, dict):
        raise UserError(f"{file}: a configuration is a table of settings, not {type(data).__name__}")
    try:
        return Config.model_validate({"name": file.stem, **data}, context=file.parent)
    except UserError as error:  # limits say so by themselves
        raise UserError(f"{file}: {error}") from None
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, problem['loc'])) or 'the file'}: {problem['msg'].removeprefix('Value error, ')}"
            for problem in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise UserError(f"{file}: " + "; ".join(problems)) from None


def _parse(file: Path, text: str) -> Any:
    suffix = file.suffix.lower()
    if suffix == ".toml":
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise UserError(f"{file} is not TOML: {error}") from None
    if suffix not in (".yaml", ".yml"):
        raise UserError(f"{file}: a configuration is a .toml, .yaml or .yml file")
    try:
        import yaml
    except ImportError:
        raise MissingExtra("yaml", "A configuration in YAML") from None
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{file} is not YAML: {' '.join(str(error).split())}") from None


def variants(config: Config) -> tuple[dict[str, Config], list[str]]:
    """A configuration with each choice of the known plug-ins that tells what one of them is worth.

    Returns:
        By name: `plain`, every plug-in alone, `all` together, `all-but-...` each; choices of the same plug-ins once.
        Plug-ins that need a small model are left out where there is none. And the known plug-ins that are not
        installed.
    """
    available = available_plugins()
    others = [name for name, there in available.items() if there and name not in config.plugins]
    here = [*config.plugins, *(name for name in others if config.small is not None or not _needs_small(name))]
    choices = {"plain": [], **{name: [name] for name in here}, "all": here}
    choices |= {f"all-but-{name}": [other for other in here if other != name] for name in here}
    chosen: dict[str, Config] = {}
    seen: list[list[str]] = []
    for choice, names in choices.items():
        if names not in seen:
            seen.append(names)
            plugins = {name: config.plugins.get(name, {}) for name in names}
            chosen[choice] = config.model_copy(update={"name": choice, "plugins": plugins})
    return chosen, [name for name, there in available.items() if not there]


def _needs_small(name: str) -> bool:
    """Whether a plug-in that takes a small model cannot be made without one."""
    cls = find_plugin(name)
    if not takes_small(cls):
        return False
    try:
        make_plugin(name, cls, {}, None)
    except UserError:
        return True
    return False
