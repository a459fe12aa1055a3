import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

import agentinfer.local
from agentinfer.errors import LocalModelError, MissingExtra, UserError
from agentinfer.local import LocalEndpoint, LocalServer, installed

SMALL = "qwen2.5-coder-0.5b-instruct"


def test_importing_loads_neither_the_engine_nor_httpx() -> None:
    program = """if True:
        import sys, types
        package = types.ModuleType("agentinfer")
        package.__path__ = [sys.argv[1]]
        sys.modules["agentinfer"] = package
        import agentinfer.local
        sys.exit(bool({"httpx", "xllamacpp"} & set(sys.modules)))
    """
    root = Path(agentinfer.local.__file__).parents[1]
    subprocess.run([sys.executable, "-c", program, str(root)], check=True)


def test_public_names_are_sorted() -> None:
    assert agentinfer.local.__all__ == sorted(agentinfer.local.__all__)


def test_a_missing_model_says_how_to_fetch_it(tmp_path: Path) -> None:
    with pytest.raises(LocalModelError, match=f"agentinfer models pull {SMALL}"):
        LocalServer(SMALL, directory=tmp_path)


def test_an_unknown_model_is_said(tmp_path: Path) -> None:
    with pytest.raises(LocalModelError, match="neither a GGUF file nor a known"):
        LocalServer(tmp_path / "none.gguf")


def test_endpoints_name_each_model_once(tmp_path: Path) -> None:
    (tmp_path / "one.gguf").write_bytes(b"GGUF")
    with pytest.raises(UserError, match="at least one"):
        LocalEndpoint([])
    with pytest.raises(UserError, match="none twice"):
        LocalEndpoint([tmp_path / "one.gguf", tmp_path / "one.gguf"])


def test_a_server_that_does_not_run_has_no_address(tmp_path: Path) -> None:
    (tmp_path / "one.gguf").write_bytes(b"GGUF")
    with pytest.raises(UserError, match="not running"):
        _ = LocalServer(tmp_path / "one.gguf").base_url


async def test_a_missing_engine_names_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "one.gguf").write_bytes(b"GGUF")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"agentinfer\[local\]"):
        async with LocalServer(tmp_path / "one.gguf"):
            pass


async def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    (tmp_path / "page.gguf").write_bytes(b"<html>")
    with pytest.raises(LocalModelError, match="is not a GGUF file"):
        async with LocalServer(tmp_path / "page.gguf"):
            pass


async def test_a_broken_file_shows_the_engines_log(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    (tmp_path / "broken.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(LocalModelError, match=r"cannot serve .*broken\.gguf[^|]*\n  \| "):
        async with LocalServer(tmp_path / "broken.gguf"):
            pass


async def test_a_taken_port_is_said(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    (tmp_path / "one.gguf").write_bytes(b"GGUF")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LocalModelError, match=f"cannot open port {port}"):
            async with LocalServer(tmp_path / "one.gguf", port=port):
                pass
        with pytest.raises(LocalModelError, match=f"cannot open port {port}"):
            async with LocalEndpoint([tmp_path / "one.gguf"], port=port):
                pass


@pytest.fixture
def small() -> str:
    pytest.importorskip("xllamacpp")
    if SMALL not in {status.entry.name for status in installed()}:
        pytest.skip(f"agentinfer models pull {SMALL}")
    return SMALL


@pytest.mark.model
@pytest.mark.timeout(300)
async def test_a_real_model_answers(small: str) -> None:
    beats: list[float] = []

    async def beat() -> None:
        while True:
            beats.append(time.monotonic())
            await asyncio.sleep(0.01)

    heart = asyncio.create_task(beat())
    async with LocalEndpoint([small], context=2048) as endpoint, httpx.AsyncClient(timeout=200) as client:
        heart.cancel()
        assert max(after - before for before, after in pairwise(beats)) < 0.5
        url = f"{endpoint.base_url}/chat/completions"
        options = {"search": "query", "finish": "answer"}
        shapes = [
            {
                "type": "object",
                "properties": {"action": {"const": action}, value: {"type": "string"}},
                "required": ["action", value],
                "additionalProperties": False,
            }
            for action, value in options.items()
        ]
        request = {
            "model": endpoint.models[0],
            "messages": [{"role": "system", "content": "word " * 60}, {"role": "user", "content": "Who wrote Hamlet?"}],
            "max_tokens": 60,
            "temperature": 0,
            "response_format": {"type": "json_schema", "json_schema": {"name": "step", "schema": {"anyOf": shapes}}},
        }
        answer = (await client.post(url, json=request)).json()
        assert '"action"' in answer["choices"][0]["message"]["content"]
        again = {**request, "stream": True, "stream_options": {"include_usage": True}}
        streamed = (await client.post(url, json=again)).text
        assert '"cached_tokens":' in streamed
        assert '"cached_tokens":0' not in streamed
        endless = {**request, "response_format": {"type": "text"}, "max_tokens": 1500, "ignore_eos": True}
        running = asyncio.create_task(client.post(url, json=endless))
        await asyncio.sleep(1)
        stopped = time.monotonic()
    assert time.monotonic() - stopped < 2
    with pytest.raises(httpx.HTTPError):
        await running


@pytest.mark.model
@pytest.mark.skipif(os.name != "posix", reason="kills by signal")
def test_a_killed_parent_leaves_no_orphan(small: str) -> None:
    program = f"""if True:
        import asyncio
        from agentinfer.local import LocalServer
        async def main():
            async with LocalServer({small!r}, context=512) as server:
                print(server._worker._process.pid, flush=True)
                await asyncio.sleep(100)
        asyncio.run(main())
    """
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        parent.send_signal(signal.SIGKILL)
    for _ in range(50):
        if not _runs(worker):
            return
        time.sleep(0.1)
    pytest.fail("the worker outlived its parent")


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{process}/status")
    return "zombie" not in status.read_text() if status.exists() else True
