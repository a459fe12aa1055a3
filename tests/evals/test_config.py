"""Configurations in files."""

import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agentinfer import Limits, Middleware, MissingExtra, Model, Pricing, Sampling, Timeouts, UserError
from agentinfer import _plugins as plugins
from agentinfer.config import Config, load_config, variants

MODEL = '[model]\nname = "m"\nbase_url = "http://endpoint.test/v1"\n'


class Patient:
    """A plug-in of this module."""

    def __init__(self, patience: int = 1) -> None:
        if patience < 0:
            raise ValueError("patience cannot be negative")
        self.patience = patience

    @asynccontextmanager
    async def bind(self, run: object) -> Any:
        yield Middleware()


class Handy(Patient):
    """A plug-in that takes a small model."""

    def __init__(self, small: Model | None = None) -> None:
        super().__init__()
        self.small = small


class Needy(Handy):
    """A plug-in that needs one."""

    def __init__(self, small: Model) -> None:
        super().__init__(small)


class Idle:
    """No plug-in."""


def written(path: Path, text: str, name: str = "mine.toml") -> Path:
    (path / name).write_text(text)
    return path / name


def test_a_whole_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "sk-secret-1")
    text = f"""
        name = "two"
        plugins."{__name__}:Patient" = {{patience = 3}}
        plugins."{__name__}:Needy" = {{}}
        [model]
        name = "big"
        base_url = "http://endpoint.test/v1"
        api_key_env = "MY_KEY"
        profile = "vllm"
        protocol = "json"
        sampling = {{temperature = 0.0, stop = ["x"]}}
        pricing = {{input = 1.0, output = 2.0}}
        timeouts = {{call = 30}}
        [small]
        local = "qwen2.5-coder-0.5b-instruct"
        server = {{context = 2048}}
        [limits]
        steps = 4
    """

    config = load_config(written(tmp_path, text))
    setup = config.build()

    assert config.name == "two"
    assert (setup.model.name, setup.model.profile.name, setup.model.protocol.name) == ("big", "vllm", "json")
    assert setup.model.sampling == Sampling(temperature=0.0, stop=("x",))
    assert setup.model.pricing == Pricing(input=1.0, output=2.0)
    assert setup.model.timeouts == Timeouts(call=30)
    assert setup.model._secrets == ("sk-secret-1",)
    assert setup.limits == Limits(steps=4)
    patient, needy = setup.plugins
    assert isinstance(patient, Patient)
    assert patient.patience == 3
    assert isinstance(needy, Needy)
    assert needy.small is setup.small
    assert setup.small is not None
    assert (setup.small.endpoint, setup.small.context_window) == ("local:qwen2.5-coder-0.5b-instruct", 2048)
    assert "sk-secret-1" not in config.model_dump_json()


@pytest.mark.parametrize("suffix", ["yaml", "yml"])
def test_the_same_in_yaml(tmp_path: Path, suffix: str) -> None:
    pytest.importorskip("yaml")
    text = f"""
model: {{local: qwen2.5-coder-1.5b-instruct}}
plugins:
  {__name__}:Patient:
    patience: 2
  {__name__}:Handy:
"""
    config = load_config(written(tmp_path, text, f"mine.{suffix}"))

    assert config.name == "mine"
    assert list(config.plugins.values()) == [{"patience": 2}, {}]
    setup = config.build()
    assert setup.small is None
    assert isinstance(setup.plugins[1], Handy)


def test_yaml_without_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(MissingExtra, match=r"agentinfer\[yaml\]"):
        load_config(written(tmp_path, "name: x", "mine.yaml"))


def test_plugins_may_be_a_list_of_names(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, f'plugins = ["{__name__}:Patient"]\n{MODEL}'))
    assert [type(plugin) for plugin in config.build().plugins] == [Patient]


def test_a_small_model_that_nobody_takes_is_not_made(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, MODEL + '[small]\nlocal = "qwen2.5-coder-0.5b-instruct"'))
    assert config.build().small is None


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("mine.toml", "[model", "mine.toml is not TOML"),
        ("mine.yaml", "model: [", "mine.yaml is not YAML"),
        ("mine.yaml", "- a", "a table of settings, not list"),
        ("mine.json", "{}", "a .toml, .yaml or .yml file"),
        ("mine.toml", "modle = 1", "modle: Extra inputs are not permitted"),
        ("mine.toml", MODEL + "temperature = 1", "model.temperature: Extra inputs are not permitted"),
        ("mine.toml", MODEL + "sampling = {temprature = 1}", "model.sampling.temprature: Unexpected keyword argument"),
        ("mine.toml", MODEL + 'api_key = "sk-1"', "model: keys are not written into the file"),
        ("mine.toml", '[model]\nname = "m"\nbase_url = "http://me:pw@a/v1"', "passwords are not written into the file"),
        ("mine.toml", '[model]\nname = "m"', "model: base_url is missing"),
        ("mine.toml", "[model]", "model: give either name and base_url, or local"),
        ("mine.toml", MODEL + 'local = "m"', "model: give either name and base_url, or local"),
        ("mine.toml", MODEL + "server = {context = 1}", "server belongs to a local model"),
        ("mine.toml", '[model]\nlocal = "m"\napi_key_env = "X"', "a local model has no base_url and no api_key_env"),
        ("mine.toml", MODEL + 'protocol = "xml"', "model.protocol: Input should be 'native', 'json' or 'tagged'"),
        ("mine.toml", MODEL + 'profile = "x"', "model.profile: there is no profile 'x'; profiles: deepseek"),
        ("mine.toml", "[limits]\nsteps = 0", "a limit is positive"),
        ("mine.toml", "plugins = 3", "plugins: Input should be a valid dictionary"),
        ("mine.toml", "[plugins]\ncollab = 3", "plugins.collab: Input should be a valid dictionary"),
    ],
)
def test_what_is_wrong_is_told_with_the_file(tmp_path: Path, name: str, text: str, complaint: str) -> None:
    if name.endswith("yaml"):
        pytest.importorskip("yaml")
    with pytest.raises(UserError) as raised:
        load_config(written(tmp_path, text, name))
    assert complaint in str(raised.value)
    assert str(tmp_path / name) in str(raised.value)
    assert "sk-1" not in str(raised.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read the configuration"):
        load_config(tmp_path / "missing.toml")
    (tmp_path / "bytes.toml").write_bytes(b"\xff")
    with pytest.raises(UserError, match="is not UTF-8"):
        load_config(tmp_path / "bytes.toml")


@pytest.mark.parametrize(
    ("name", "settings", "complaint"),
    [
        ("nope", {}, r"there is no plug-in 'nope': known are collab, "),
        ("not_there", {}, r"the plug-in 'not_there' is not part of this installation"),
        ("no.such.module:Thing", {}, r"the plug-in 'no.such.module:Thing' cannot be imported: No module named 'no'"),
        (f"{__name__}:Nothing", {}, r"has no Nothing"),
        (f"{__name__}:Patient", {"patients": 1}, r"does not take its settings {\"patients\": 1}: .*unexpected keyword"),
        (f"{__name__}:Patient", {"patience": -1}, r"patience cannot be negative"),
        (f"{__name__}:Needy", {}, r"needs a small model: name one under \[small\]"),
        (f"{__name__}:Needy", {"small": "x"}, r"its small model is the one under \[small\]"),
        (f"{__name__}:Idle", {}, r"has no method bind"),
    ],
)
def test_plugins_that_are_not_there_or_do_not_fit(
    name: str, settings: dict[str, Any], complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "PLUGINS", {**plugins.PLUGINS, "not_there": "agentinfer.not_there:NotThere"})
    with pytest.raises(UserError, match=complaint):
        Config(plugins={name: settings}).build(Model("m", base_url="http://endpoint.test/v1"))


def test_a_key_that_is_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    config = load_config(written(tmp_path, MODEL + 'api_key_env = "MY_KEY"'))
    with pytest.raises(UserError, match="MY_KEY, named by api_key_env, is not set"):
        config.build()


def test_no_model_at_all() -> None:
    with pytest.raises(UserError, match="names no model"):
        Config().build()


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    registry = {
        "patient": f"{__name__}:Patient",
        "handy": f"{__name__}:Handy",
        "absent": "agentinfer.absent:Absent",
        "idle": f"{__name__}:Idle",
    }
    monkeypatch.setattr(plugins, "PLUGINS", registry)


@pytest.mark.usefixtures("known")
def test_the_variants_of_a_configuration() -> None:
    chosen, missing = variants(Config(plugins={"handy": {"a": 1}}))

    assert missing == ["absent"]
    assert {name: list(config.plugins) for name, config in chosen.items()} == {
        "plain": [],
        "handy": ["handy"],
        "patient": ["patient"],
        "idle": ["idle"],
        "all": ["handy", "patient", "idle"],
        "all-but-handy": ["patient", "idle"],
        "all-but-patient": ["handy", "idle"],
        "all-but-idle": ["handy", "patient"],
    }
    assert chosen["all"].plugins["handy"] == {"a": 1}
    assert chosen["all"].name == "all"


def test_variants_of_the_same_plugins_run_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "PLUGINS", {"patient": f"{__name__}:Patient", "handy": f"{__name__}:Handy"})
    assert list(variants(Config())[0]) == ["plain", "patient", "handy", "all"]
    monkeypatch.setattr(plugins, "PLUGINS", {"absent": "agentinfer.absent:Absent"})
    assert list(variants(Config())[0]) == ["plain"]
