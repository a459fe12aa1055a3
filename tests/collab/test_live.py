"""The live rows, one after the other, against an endpoint that answers from a script."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from agentinfer import Agent
from agentinfer.collab import Collab
from agentinfer.collab.router import RouterModel
from agentinfer.config import load_config
from agentinfer.corpus import Document, build
from agentinfer.evals import load_records, load_settings
from agentinfer.testing import http, mock_endpoint, say
from benchmarks.collab_live import CONFIGS, MORE_ROWS, ROWS
from benchmarks.collab_live import main as live
from collab._pair import large, look, look_up, small, written

QUESTIONS = 24


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The command for questions of which the small model cannot answer the odd ones."""
    films = [Document(str(n), f"Film {n}", f"Film {n} was made in {1900 + n}.") for n in range(QUESTIONS)]
    build(films, tmp_path / "corpus.db")
    lines = [
        json.dumps({"id": f"q{n}", "question": f"When was {'the old ' * (n % 2)}Film {n} made?", "answers": ["1907"]})
        for n in range(QUESTIONS)
    ]
    (tmp_path / "questions.jsonl").write_text("\n".join(lines))
    configs = tmp_path / "configs"
    configs.mkdir()
    for path in CONFIGS.glob("collab-*.toml"):
        text = path.read_text()
        for size, name in (("1.5b", "big"), ("0.5b", "tiny")):
            there = f'name = "{name}"\nbase_url = "http://endpoint.test/v1"\nprofile = "llama.cpp"'
            text = text.replace(f'local = "qwen2.5-coder-{size}-instruct"', there)
        (configs / path.name).write_text(text)
    question, corpus, out = (str(tmp_path / name) for name in ("questions.jsonl", "corpus.db", "out"))
    options = ["--corpus", corpus, "--out", out, "--configs", str(configs), "--split", "report"]
    return [question, *options, "--concurrency", "2"]


def answers(body: dict[str, Any]) -> Any:
    """Two searches and an answer; of odd films the small model says it makes progress, and goes round."""
    texts = [message["content"] for message in body["messages"]]
    asked = max(n for n, text in enumerate(texts) if text.startswith("When was"))
    turn = sum(message["role"] == "assistant" for message in body["messages"][asked:])
    lost = body["model"] == "tiny" and "the old" in texts[asked]
    query = "Film 7" if lost else f"Film {6 + turn}"
    step: dict[str, Any] = {"thought": "So it is.", "action": "corpus_search", "input": {"query": query}}
    if turn >= (5 if lost else 3):
        step["action"], step["input"] = "final_answer", {"answer": "no idea" if lost else "1907"}
    elif '"progress"' in texts[0]:
        step = {"thought": step.pop("thought"), "progress": {"reason": "So it is.", "value": "TRUE"}, **step}
    return written(json.dumps(step))


def test_every_row_and_the_table(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with mock_endpoint(handler=answers) as endpoint:
        assert live(words) == 0
        asked = len(endpoint.requests)
        told = capsys.readouterr().out
        assert live(words) == 0
        assert len(endpoint.requests) == asked  # nothing is asked twice
    assert all("response_format" in body for body in endpoint.requests)
    out = tmp_path / "out"
    for row in ROWS:
        records = load_records(out / row)
        assert len(records) == len(load_records(out / "large"))
        assert {int(hashlib.sha256(record.id.encode()).hexdigest(), 16) % 2 for record in records} == {1}
        assert load_settings(out / row)["settings"]["name"] in told
    records = load_records(out / "large")
    assert all(record.solved for record in records)
    odd = [record for record in load_records(out / "small") if not record.solved]
    assert {"the old" in record.question for record in odd} == {True}
    assert (out / "table.txt").read_text() in told
    assert f"default: steps: large warmup {2 * len(records)}, small execute {len(records)}" in told
    assert f"against: same_search {len(odd)}" in told
    assert "big    yes" in told
    assert "planner: steps" not in told  # nothing is judged there


def test_the_router_makes_as_many_calls_with_the_large_model(words: list[str], tmp_path: Path) -> None:
    with mock_endpoint(handler=answers):
        assert live([*words, "large", "small", "short", "router", "--like", "short"]) == 0
    out = tmp_path / "out"
    fitted = [load_records(out / "fit" / row) for row in ("large", "small")]
    assert not {record.id for record in fitted[0]} & {record.id for record in load_records(out / "large")}
    router = RouterModel.load(out / "router.json")
    assert router.score("When was the old Film 99 made?") > router.score("When was Film 99 made?")

    def share(row: str) -> float:
        models = [record.models for record in load_records(out / row)]
        counts = [(name, spent.calls) for one in models for name, spent in one.items()]
        return sum(count for name, count in counts if name == "big") / sum(count for _, count in counts)

    assert share("router") == pytest.approx(share("short"), abs=0.15)
    assert {len(record.models) for record in load_records(out / "router")} == {1}


def test_a_row_that_fails_is_named_and_the_others_go_on(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def down(body: dict[str, Any]) -> Any:
        return answers(body) if body["model"] == "big" else http(404, {"error": {"message": "no such model"}})

    (tmp_path / "configs" / "collab-facts.toml").write_text("nonsense")
    with mock_endpoint(handler=down):
        assert live([*words, "large", "small", "facts", "planner"]) == 1
        told = capsys.readouterr()
        assert "facts: UserError: " in told.err
        assert "planner: " in told.out
        assert len(load_records(tmp_path / "out" / "planner")) == len(load_records(tmp_path / "out" / "large"))
    with mock_endpoint(handler=answers):
        assert live([*words, "default", "--minutes", "0"]) == 1
    assert "default: cut short after 0 s" in capsys.readouterr().err


def test_the_configurations_are_what_their_names_say() -> None:
    paths = {path.stem.removeprefix("collab-"): path for path in CONFIGS.glob("collab-*.toml")}
    assert set(paths) == {*ROWS, *MORE_ROWS}
    for row, path in paths.items():
        config = load_config(path)
        assert config.model is not None
        assert config.model.local == "qwen2.5-coder-1.5b-instruct"
        assert (config.small is None) == (row == "large")


async def test_the_small_model_alone_is_sent_what_it_is_sent_without_the_plug_in() -> None:
    steps = (look(1), look(2), say("done"))
    with small(*steps) as alone, small(*steps) as little, large() as big:
        plugin = Collab(little, planner="small", policy={"escalate": False})
        await Agent(alone, tools=[look_up], instructions="Answer.").run("What is it?")
        await Agent(big, tools=[look_up], instructions="Answer.", plugins=[plugin]).run("What is it?")
    assert little.requests == alone.requests
