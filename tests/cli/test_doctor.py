"""`agentinfer doctor`, and the profiles it keeps being used by the other commands."""

import asyncio
import json
import stat
from pathlib import Path

import httpx
import pytest
import respx
from doctor._endpoints import Answer, Body, Capable, refused

from agentinfer.cli import main
from agentinfer.config import load_config
from agentinfer.errors import UserError
from agentinfer.models import kept_profile, read_profile
from agentinfer.testing import LoopbackServer, hang, http, say

KEY = "sk-secret-0123456789"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "AGENTINFER_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AGENTINFER_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


async def doctor(server: LoopbackServer, *words: str) -> int:
    """Run the command in a thread, while the server answers here."""
    return await asyncio.to_thread(main, ["doctor", "--base-url", server.base_url, *words])


def no_tools(body: Body) -> Answer | None:
    return refused("tools are not supported") if body.get("tools") else None


async def test_findings_profile_and_where_it_is_kept(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with LoopbackServer(handler=Capable(no_tools)) as server:
        assert await doctor(server) == 0
        kept = kept_profile(server.base_url, "loopback")
        assert kept is not None
        kept.path.write_text("# edited\n")
        assert await doctor(server) == 0

    out, err = capsys.readouterr()
    old = await asyncio.to_thread(Path(f"{kept.path}.old").read_text)
    assert old == "# edited\n"
    assert kept.path.parent == home / "profiles"
    assert (kept.profile.protocol, kept.profile.context_window) == ("json", 4096)
    assert [line.split()[-1] for line in out.splitlines() if line.startswith("tool calls ")] == 2 * ["supported"]
    assert 'protocol = "json"' in out
    assert f"Kept in {kept.path}" in out
    assert err == ""


async def test_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    async with LoopbackServer(handler=Capable(), models=("loopback", "other")) as server:
        assert await doctor(server, "--json", "--out", str(file), "--model", "loopback", "--longest", "0") == 0

    out, err = capsys.readouterr()
    told = json.loads(out)
    assert told["file"] == str(file)
    assert told["findings"]["tool_call"]["verdict"] == "yes"
    assert "overlong" not in told["findings"]
    assert told["profile"]["protocol"] == read_profile(file).profile.protocol == "native"
    assert "tool calls" in err, "the progress goes to standard error"


async def test_nothing_is_kept_where_nothing_was_found(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    async with LoopbackServer(handler=lambda body: hang()) as server:
        assert await doctor(server, "--model", "loopback", "--timeout", "0.2") == 1
    async with LoopbackServer(handler=lambda body: http(500, "out of order")) as server:
        assert await doctor(server) == 1
    async with LoopbackServer(handler=Capable()) as server:
        assert await doctor(server, "--no-keep") == 0

    assert "does not answer a plain question" in capsys.readouterr().err
    assert not await asyncio.to_thread(home.exists)


async def test_the_key_is_sent_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    async with LoopbackServer(handler=Capable(lambda body: say(f"Hello, {KEY}!")), api_key=KEY) as server:
        assert await doctor(server) == 0

    [file] = (home / "profiles").iterdir()
    out, err = capsys.readouterr()
    assert "Hello, ***!" in out
    assert KEY not in out + err + file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) & 0o077 == 0


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["doctor"], "give --base-url"),
        (["doctor", "--base-url", "nonsense", "--model", "m"], "should look like"),
        (["doctor", "--base-url", "http://127.0.0.1:9/v1"], "name one with --model"),
        (["doctor", "--base-url", "http://h/v1", "--timeout", "0"], "must be positive"),
        (["doctor", "--base-url", "http://h/v1", "--longest", "-1"], "must not be negative"),
        (["doctor", "--base-url", "http://h/v1", "--out", "profile.json"], "a .toml file"),
    ],
)
def test_wrong_use_is_told_in_one_line(words: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert complaint in err
    assert (out, err.count("\n")) == ("", 1)


ASK = ["ask", "Why?", "--base-url", "http://endpoint.test/v1", "--model", "m"]
CHAT = "http://endpoint.test/v1/chat/completions"
ANSWER = httpx.Response(200, json={"choices": [{"message": {"content": "42"}, "finish_reason": "stop"}]})


def write(path: Path, **fields: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(f"{name} = {value}" for name, value in fields.items()))


@respx.mock
def test_a_kept_profile_is_used_and_told_of(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    route = respx.post(CHAT).mock(return_value=ANSWER)
    kept = home / "profiles" / "kept.toml"
    write(kept, base_url='"http://endpoint.test/v1"', stream="false")

    assert main(ASK) == 0
    assert f"profile: {kept}\n" in capsys.readouterr().err
    assert main([*ASK, "--profile", "generic"]) == 0
    assert "profile:" not in capsys.readouterr().err

    streamed = [json.loads(call.request.content).get("stream", False) for call in route.calls]
    assert streamed == [False, True]


@respx.mock
def test_a_profile_given_as_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    route = respx.post(CHAT).mock(return_value=ANSWER)
    write(tmp_path / "mine.toml", stream="false")

    assert main([*ASK, "--profile", str(tmp_path / "mine.toml")]) == 0
    assert main([*ASK, "--profile", str(tmp_path / "none.toml")]) == 2

    assert "stream" not in json.loads(route.calls[0].request.content)
    assert "none.toml" in capsys.readouterr().err


def test_a_configuration_names_a_profile_beside_it(tmp_path: Path) -> None:
    config = tmp_path / "agent.toml"
    config.write_text('[model]\nname = "m"\nbase_url = "http://h/v1"\nprofile = "mine.toml"\n')
    with pytest.raises(UserError, match=r"mine\.toml"):
        load_config(config)
    write(tmp_path / "mine.toml", protocol='"tagged"')
    assert load_config(config).build().model.protocol.name == "tagged"
