"""The live benchmark: questions chained in sessions, rows side by side."""

import asyncio
import importlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from agentinfer.corpus import Document, build
from agentinfer.evals import ordered
from agentinfer.evals._questions import load_questions
from agentinfer.models import Timeouts
from agentinfer.testing import MockedEndpoint, call, hang, http, mock_endpoint, say, usage

Main = Callable[[list[str]], int]
MUCH = "He was born in a town by the sea, and worked there for many years as a painter of ships. " * 30


@pytest.fixture
def main(monkeypatch: pytest.MonkeyPatch) -> Main:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    program: Main = importlib.import_module("benchmarks.compress_live").main
    return program


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """A command with three rows, one of which cannot be."""
    films = [Document(f"f{n}", f"Film {n}", f"Film {n} was made by Maker {n}. {MUCH}") for n in range(8)]
    build(films, tmp_path / "films.db")
    lines = [{"id": f"q{n}", "question": f"Who made film {n}?", "answers": [f"Maker {n}"]} for n in range(8)]
    (tmp_path / "questions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    model = '[model]\nname = "m"\nbase_url = "http://endpoint.test/v1"\n'
    small = '[small]\nname = "s"\nbase_url = "http://endpoint.test/v1"\n'
    rows = {
        "none": model,
        "notes": f"{model}{small}[plugins.compress]\nstart_tokens = 100\nturns = 1000\n",
        "broken": f"{model}[plugins.compress]\nnotes = 7\n",
    }
    for name, text in rows.items():
        (tmp_path / f"compress-{name}.toml").write_text(f'name = "row {name}"\n{text}')
    given = [str(tmp_path / "questions.jsonl"), "--corpus", str(tmp_path / "films.db"), "--configs", str(tmp_path)]
    return [*given, "--out", str(tmp_path / "out"), "--chain", "4", "--concurrency", "2", "--rows", *rows]


def asked(body: dict[str, Any]) -> list[str]:
    """The questions of a session so far."""
    return [m["content"] for m in body["messages"] if m["role"] == "user" and m["content"].startswith("Who made film")]


def answers(body: dict[str, Any]) -> Any:
    """Open some films, then say who made the one; and notes on that."""
    if body["model"] == "s":
        return say("- Film 1 was made by Maker 1. [1]") + usage(50, 9, cached_tokens=0)
    number = asked(body)[-1].removeprefix("Who made film ").removesuffix("?")
    at = max(at for at, m in enumerate(body["messages"]) if str(m["content"]).startswith("Who made film"))
    done = sum(m["role"] == "tool" for m in body["messages"][at:])
    tokens = len(json.dumps(body["messages"])) // 4
    reply = call("open_document", id=f"f{(int(number) + done) % 8}") if done < 6 else say(f"Maker {number}")
    return reply + usage(tokens, 5, cached_tokens=tokens // 2)


def test_rows_of_sessions(main: Main, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with mock_endpoint(handler=answers) as endpoint:
        assert main(words) == 1
        out, err = capsys.readouterr()
        assert err.startswith("broken: ")
        plain = [line for line in out.splitlines() if line.startswith("| row none")]
        assert "| 8 | 100 % [100, 100] |" in plain[0]
        noted = [line for line in out.splitlines() if line.startswith("| row notes")]
        assert "+0 % [+0, +0]" in noted[0]
        assert len(noted) == 2, "what became of the notes"
        _check_order(endpoint, tmp_path)
        sessions = [json.loads(path.read_text()) for path in (tmp_path / "out" / "notes").glob("*/session.json")]
        assert [len(session["asked"]) for session in sessions] == [4, 4]
        assert all(session["counts"]["swaps"] >= 1 for session in sessions)
        assert {"step", "notes"} <= sessions[0]["usage"].keys()

        before = len(endpoint.requests)
        assert main(words) == 1
        again = capsys.readouterr().out
        assert len(endpoint.requests) == before, "what is finished is not asked again"
        assert again[again.index("| ") :] == out[out.index("| ") :]


def _check_order(endpoint: MockedEndpoint, tmp_path: Path) -> None:
    """Each session has its questions in order, and sees those before."""
    questions = [question.question for question in ordered(load_questions(tmp_path / "questions.jsonl"), 0)]
    chains = [questions[:4], questions[4:]]
    seen = [asked(body) for body in endpoint.requests if body["model"] == "m"]
    assert all(any(one == chain[: len(one)] for chain in chains) for one in seen)
    assert all(chain in seen for chain in chains), "the last question of each has all before it"


def test_a_session_that_was_interrupted_is_asked_anew(
    main: Main, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = words[:-2]  # the row without compression alone
    out = tmp_path / "out" / "none"

    def refusing(body: dict[str, Any]) -> Any:
        return http(401, {"error": {"message": "no"}}) if len(asked(body)) > 2 else answers(body)

    with mock_endpoint(handler=refusing):
        assert main(words) == 1
    table, err = capsys.readouterr()
    assert err.startswith("none: 2 of 2 sessions, AuthenticationFailed")
    assert "| 4 | 100 % [100, 100] |" in table, "what was answered counts"
    with mock_endpoint(handler=answers) as endpoint:
        assert main(words) == 0
        assert "| 8 | 100 % [100, 100] |" in capsys.readouterr().out
        assert len(asked(endpoint.requests[0])) == 1, "from the first question on"
        assert sorted(path.name for path in out.iterdir()) == ["1", "1.unfinished-1", "2", "2.unfinished-1"]
        assert main([*words, "--limit", "6"]) == 0
        assert "2.unfinished-2" in [path.name for path in out.iterdir()], "other questions are another session"
        capsys.readouterr()
        assert main([*words, "--limit", "6", "--top-k", "3"]) == 1
        assert "was made with another configuration" in capsys.readouterr().err


def test_a_row_has_its_share_of_the_time(main: Main, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with mock_endpoint(handler=lambda body: hang()):
        assert main([*words[:-3], "none", "notes", "--minutes", "0.01"]) == 1
    out, err = capsys.readouterr()
    assert [line.split(":")[0] for line in err.splitlines()] == ["none", "notes"]
    assert "no question was answered" in out


async def test_models_that_share_their_cores_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    in_turns = importlib.import_module("benchmarks.compress_live").InTurns
    happened: list[str] = []
    go_on = asyncio.Event()

    class Named:
        def __init__(self, endpoint: str) -> None:
            self.endpoint = endpoint

        @asynccontextmanager
        async def open(self, timeouts: Timeouts) -> AsyncIterator["Named"]:
            yield self

        async def chunks(self, body: bytes, *, stream: bool) -> AsyncGenerator[bytes, None]:
            happened.append(f"{self.endpoint} begins")
            yield body
            await go_on.wait()
            happened.append(f"{self.endpoint} ends")

    async def call_it(endpoint: str) -> list[bytes]:
        backend = in_turns(Named(endpoint), turn)
        assert backend.endpoint == endpoint
        async with backend.open(Timeouts()) as connection, aclosing(connection.chunks(b"body", stream=True)) as chunks:
            return [chunk async for chunk in chunks]

    turn = asyncio.Lock()
    calls = [asyncio.create_task(call_it(endpoint)) for endpoint in ("large", "small")]
    for _ in range(20):
        await asyncio.sleep(0)
    assert happened == ["large begins"], "the other one waits"
    go_on.set()
    assert await asyncio.gather(*calls) == [[b"body"], [b"body"]]
    assert happened == ["large begins", "large ends", "small begins", "small ends"]


def test_what_leaving_out_hits_costs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    build([Document(f"f{n}", f"Film {n}", f"Film {n} has a maker. {MUCH}") for n in range(4)], tmp_path / "films.db")
    line = {"id": "q", "question": "Who is the maker of film 2?", "answers": ["x"], "supporting_titles": ["Film 2"]}
    (tmp_path / "questions.jsonl").write_text(json.dumps(line) + "\n")
    given = ["compress_hits", str(tmp_path / "questions.jsonl"), "--corpus", str(tmp_path / "films.db")]
    monkeypatch.setattr("sys.argv", given)
    importlib.import_module("benchmarks.compress_hits").main()
    out = capsys.readouterr().out
    assert out.startswith("1 questions, 1 documents that hold their answers\n")
    assert "| 5 | 0.3 | 1 | 1 |" in out
