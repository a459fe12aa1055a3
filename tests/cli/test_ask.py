"""`agentinfer ask`, from the words on the command line to the exit code."""

import json
from pathlib import Path

import httpx
import pytest
import respx

from agentinfer.cli import main
from agentinfer.corpus import Document, build

ENDPOINT = ["--base-url", "http://endpoint.test/v1", "--model", "m"]
CHAT = "http://endpoint.test/v1/chat/completions"


def says(content: str | None, *calls: tuple[str, str]) -> httpx.Response:
    tool_calls = [
        {"id": f"c{n}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for n, (name, arguments) in enumerate(calls)
    ]
    message = {"role": "assistant", "content": content, **({"tool_calls": tool_calls} if calls else {})}
    return httpx.Response(
        200,
        json={
            "choices": [{"message": message, "finish_reason": "tool_calls" if calls else "stop"}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 7},
        },
    )


@pytest.fixture
def db(tmp_path: Path) -> Path:
    path = tmp_path / "corpus.db"
    filler = [Document(str(n), f"Filler {n}", f"Nothing of note, number {n}.") for n in range(20)]
    build([Document("a", "Jaws", "Jaws is a film directed by Steven Spielberg."), *filler], path)
    return path


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "AGENTINFER_MODEL"):
        monkeypatch.delenv(name, raising=False)


@respx.mock
def test_the_run_is_shown_and_the_answer_printed(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    respx.post(CHAT).mock(side_effect=[says(None, ("corpus_search", '{"query": "Jaws director"}')), says("Spielberg")])

    assert main(["ask", "Who directed Jaws?", "--corpus", str(db), *ENDPOINT]) == 0

    out, err = capsys.readouterr()
    assert out == "Spielberg\n"
    assert 'corpus_search "Jaws director"' in err
    assert "[a] Jaws" in err
    assert "3 steps · 2 tool calls · 200 tokens in, 14 out" in err


@respx.mock
def test_json_gives_the_whole_result(capsys: pytest.CaptureFixture[str]) -> None:
    respx.post(CHAT).mock(return_value=says("42"))

    assert main(["ask", "Why?", "--json", "--quiet", *ENDPOINT]) == 0

    out, err = capsys.readouterr()
    result = json.loads(out)
    assert (result["answer"], result["stop_reason"], result["usage"]["prompt_tokens"]) == ("42", "answered", 100)
    assert [message["role"] for message in result["messages"]] == ["user", "assistant"]
    assert err == ""


@respx.mock
def test_without_an_answer_the_exit_code_is_1_and_says_why(capsys: pytest.CaptureFixture[str]) -> None:
    respx.post(CHAT).mock(return_value=httpx.Response(401, json={"error": {"message": "Incorrect API key"}}))

    assert main(["ask", "Why?", *ENDPOINT]) == 1

    out, err = capsys.readouterr()
    assert out == ""
    assert "Incorrect API key" in err
    assert "is the API key right?" in err


@respx.mock
def test_the_key_of_the_environment_is_sent_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret-1")
    route = respx.post(CHAT).mock(return_value=httpx.Response(401, text="bad key sk-secret-1"))

    main(["ask", "Why?", "--json", *ENDPOINT])

    out, err = capsys.readouterr()
    assert route.calls[0].request.headers["authorization"] == "Bearer sk-secret-1"
    assert "sk-secret-1" not in out + err


@respx.mock
def test_max_steps_bounds_the_calls(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    search = says(None, ("corpus_search", '{"query": "Jaws"}'))
    route = respx.post(CHAT).mock(side_effect=[search, says("perhaps Spielberg")])

    assert main(["ask", "Who?", "--corpus", str(db), "--max-steps", "3", *ENDPOINT]) == 0

    assert json.loads(route.calls[-1].request.content)["tool_choice"] == "none"
    assert "asking for the answer" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["ask", "x"], "no model to ask"),
        (["ask", "x", "--model", "m"], "no model to ask"),
        (["ask", "x", "--local", "--base-url", "http://a/v1"], "exclude each other"),
        (["ask", "x", "--base-url", "nonsense", "--model", "m"], "should look like"),
        (["ask", "x", "--max-steps", "0", *ENDPOINT], "a limit is positive"),
        (["ask", "x", "--profile", "nope", *ENDPOINT], "There is no profile"),
        (["ask", "x", "--corpus", "missing.db", *ENDPOINT], "missing.db"),
        (["ask", "x", "--local", "--model", "no-such-model"], "no-such-model"),
        (["corpus", "search", "missing.db", "x"], "missing.db"),
        (["corpus", "build", "missing.jsonl", "--out", "x.db"], "missing.jsonl"),
        (["models", "pull", "no-such-model"], "no-such-model"),
    ],
)
def test_wrong_use_is_told_in_one_line(
    words: list[str],
    complaint: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(words) == 2

    out, err = capsys.readouterr()
    assert complaint in err
    assert "Traceback" not in err
    assert out == ""


@pytest.mark.parametrize("words", [[], ["ask"], ["corpus"], ["corpus", "build"], ["models"], ["serve"]])
def test_every_command_explains_itself(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        main([*words, "--help"])

    assert leaving.value.code == 0
    assert "usage: agentinfer" in capsys.readouterr().out
