"""A collaboration from a configuration file, and from the command line."""

import json
from pathlib import Path
from typing import Any

import pytest

from agentinfer import Model
from agentinfer.cli import main
from agentinfer.collab import Collab
from agentinfer.collab.router import Outcome, fit_router
from agentinfer.config import Config, load_config, variants
from agentinfer.corpus import Document, build
from agentinfer.errors import UserError
from agentinfer.evals import load_records
from agentinfer.testing import call, http, mock_endpoint, say

MODELS = """
[model]
name = "large"
base_url = "http://endpoint.test/v1"
[small]
name = "small"
base_url = "http://endpoint.test/v1"
"""


@pytest.fixture
def db(tmp_path: Path) -> str:
    path = tmp_path / "corpus.db"
    build([Document(str(n), f"Film {n}", f"Film {n} was made in {1900 + n}.") for n in range(30)], path)
    return str(path)


def searches(body: dict[str, Any]) -> Any:
    """Four searches, the first of which no model makes, and an answer."""
    question = max(n for n, m in enumerate(body["messages"]) if m["content"] == "When?")
    turn = sum(message["role"] == "assistant" for message in body["messages"][question:])
    return say("1907") if turn >= 4 else call("corpus_search", query=f"Film {turn}")


def written(path: Path, text: str) -> Path:
    (path / "mine.toml").write_text(text + MODELS)
    return path / "mine.toml"


CONFIGURATIONS = {
    # The small model finds the same films again, which is no progress.
    "collab": ('[plugins.collab]\ncheck = "reply"\neconomy = "off"', {"large": 3, "small": 1}),
    "large": ('[plugins.collab]\nexecutor = "large"\npolicy = {escalate = false}', {"large": 4}),
    "small": ('[plugins.collab]\nplanner = "small"\npolicy = {escalate = false}', {"small": 4}),
    "planner": ("[plugins.collab]\npolicy = {escalate = false}", {"large": 2, "small": 2}),
    "executor": (
        '[plugins.collab]\nplanner = "small"\nexecutor = "large"\npolicy = {escalate = false}',
        {"large": 2, "small": 2},
    ),
    "router": ('[plugins."agentinfer.collab.router:Router"]\npath = "ROUTER"\nshare = 0.0', {"small": 4}),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_the_baselines_are_configurations(name: str, tmp_path: Path, db: str) -> None:
    text, expected = CONFIGURATIONS[name]
    fit_router([Outcome("When was it?", True, True), Outcome("Who was it?", True, False)]).save(tmp_path / "r.json")
    path = written(tmp_path, text.replace("ROUTER", str(tmp_path / "r.json")))
    (tmp_path / "q.jsonl").write_text('{"id": "1", "question": "When?", "answers": ["1907"]}\n')
    with mock_endpoint(handler=searches):
        words = ["eval", str(tmp_path / "q.jsonl"), "--corpus", db, "--config", str(path), "--quiet"]
        assert main([*words, "--out", str(tmp_path / "out")]) == 0
    (record,) = load_records(tmp_path / "out")
    assert record.solved
    assert {model: share.calls for model, share in record.models.items()} == expected


def test_a_file_may_say_everything(tmp_path: Path) -> None:
    text = """
        [plugins.collab]
        planner = "top"
        executor = "quick"
        reasons = false
        stay = 4
        [[plugins.collab.tiers]]
        name = "quick"
        model = "small"
        think = "fast"
        [[plugins.collab.tiers]]
        name = "middle"
        [plugins.collab.tiers.model]
        name = "middle-sized"
        base_url = "http://other.test/v1"
        thinking = "enable_thinking"
        [[plugins.collab.tiers]]
        name = "top"
        model = "large"
        [plugins.collab.policy]
        warmup = 1
        patience = 2
        [plugins.collab.vetoes]
        nothing_new = 3
    """
    (plugin,) = load_config(written(tmp_path, text)).build().plugins
    assert isinstance(plugin, Collab)
    assert [tier.name for tier in plugin.tiers] == ["quick", "middle", "top"]
    assert (plugin.policy.planner, plugin.policy.executor, plugin.policy.warmup, plugin.policy.patience) == (2, 0, 1, 2)
    middle = plugin.tiers[1].model
    assert not isinstance(middle, str)
    assert (middle.name, middle.profile.thinking) == ("middle-sized", "enable_thinking")
    assert plugin.vetoes.nothing_new == 3


def test_a_mistake_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"plug-in 'collab' does not take its settings .*no tier 'huge'"):
        load_config(written(tmp_path, '[plugins.collab]\nplanner = "huge"')).build()
    with pytest.raises(UserError, match=r"plug-in 'collab' .* needs a small model"):
        Config(plugins={"collab": {}}).build(Model("m", base_url="http://a.test/v1"))


def test_all_variants_leave_out_what_has_no_small_model() -> None:
    assert not any("collab" in config.plugins for config in variants(Config())[0].values())
    small = {"name": "s", "base_url": "http://a.test/v1"}
    assert list(variants(Config.model_validate({"small": small}))[0]["collab"].plugins) == ["collab"]


ENDPOINT = ["--base-url", "http://endpoint.test/v1", "--model", "large"]


def test_ask_with_a_small_model(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    with mock_endpoint(handler=searches) as endpoint:
        assert main(["ask", "When?", "--corpus", db, "--small-model", "small", "--json", "--quiet", *ENDPOINT]) == 0
    assert json.loads(capsys.readouterr().out)["answer"] == "1907"
    assert [body["model"] for body in endpoint.requests][:3] == ["large", "large", "small"]


def test_ask_when_the_small_model_is_unknown_there(db: str, capsys: pytest.CaptureFixture[str]) -> None:
    def answers(body: dict[str, Any]) -> Any:
        return searches(body) if body["model"] == "large" else http(404, {"error": {"message": "no such model"}})

    with mock_endpoint(handler=answers):
        assert main(["ask", "When?", "--corpus", db, "--small-model", "tiny", *ENDPOINT]) == 0
    assert capsys.readouterr().out == "1907\n"


def test_the_small_model_is_named_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[small]\nname = "s"\nbase_url = "http://a.test/v1"\n')
    assert main(["ask", "x", "--config", str(path), "--small-model", "t", *ENDPOINT]) == 2
    assert "the configuration names the small model" in capsys.readouterr().err
    assert main(["ask", "x", "--config", str(written(tmp_path, "")), "--small-model", "t"]) == 2
    assert "--small-model cannot be given beside it" in capsys.readouterr().err


def test_a_plug_in_of_the_configuration_takes_the_small_model(tmp_path: Path, db: str) -> None:
    path = tmp_path / "c.toml"
    path.write_text('[plugins.collab]\npolicy = {escalate = false}\nplanner = "small"\n')
    with mock_endpoint(handler=searches) as endpoint:
        words = ["ask", "When?", "--corpus", db, "--config", str(path), "--small-model", "small", "--quiet", *ENDPOINT]
        assert main(words) == 0
    assert {body["model"] for body in endpoint.requests} == {"small"}
