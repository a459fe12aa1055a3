"""Pages fetched from a server on this machine, good ones and bad ones."""

import asyncio
import gzip
import shutil
import ssl
import subprocess
import sys
import time
import zlib
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentinfer.errors import ToolError, UserError
from agentinfer.tools import Tool
from agentinfer.web import _page, _pinned, fetch_page
from agentinfer.web._fetch import Fetcher
from agentinfer.web._guard import Guard
from web._server import Site, answer, serve

HTML = """<html><head><title>Laos &amp; more</title><script>evil()</script></head><body>
<nav><a href="/nav">Menu</a></nav>
<main><h1>Laos</h1><p>The capital is <a href="/vientiane?x=1#top">Vientiane</a>, on the
<a href="https://m.org/">Mekong</a>;
see <a href="/vientiane?x=1">there</a>.</p><a href="javascript:x()">no</a><a href="http://[">bad</a></main></body></html>"""


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with serve() as site:
        yield site


def fetcher(**settings: Any) -> Tool:
    return fetch_page(**{"allow_hosts": {"127.0.0.1"}, "seconds": 10, "reader": "plain", **settings})


async def fetch(url: str, **settings: Any) -> str:
    """What the model would be shown."""
    tool = fetcher(**settings)
    assert tool.render
    return tool.render(await tool(url))


async def test_a_page_and_its_links(site: Site) -> None:
    site.pages["/a"] = answer(HTML)
    assert await fetch(f"{site.url}/a#part") == (
        f"Laos & more\n{site.url}/a\n\n"
        "Laos\nThe capital is Vientiane [1], on the Mekong [2]; see there [1].\nnobad\n\n"
        f"Links:\n[1] {site.url}/vientiane?x=1\n[2] https://m.org/"
    )


async def test_what_the_server_is_told(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    site.pages["/a"] = answer("", 302, location="/b", set_cookie="a=b")
    site.pages["/b"] = answer("text", content_type="text/plain")
    assert await fetch(f"{site.url}/a") == f"{site.url}/b\n\ntext"
    for request in site.requests:
        names = {line.partition(":")[0].lower() for line in request.splitlines()[1:] if line}
        assert names == {"host", "user-agent", "accept", "accept-encoding", "connection"}
        assert f"Host: 127.0.0.1:{site.port}".lower() in request.lower()


def test_the_tool() -> None:
    tool = fetch_page()
    assert (tool.name, tool.trust, list(tool.parameters["properties"])) == ("fetch_page", "data", ["url"])
    with pytest.raises(UserError, match="allow_hosts"):
        fetch_page(allow_hosts={"http://a/"})


@pytest.mark.parametrize(
    ("kind", "body", "shown"),
    [
        ("text/plain", b"caf\xc3\xa9", "café"),
        ("text/plain; charset=iso-8859-1", b"caf\xe9 \x80", "café €"),
        ("text/plain; charset=koi8-r", "мир".encode("koi8-r"), "мир"),
        ("text/plain; charset=shift_jis", "東京".encode("cp932"), "東京"),
        ("text/plain; charset=gb2312", "中文".encode("gb18030"), "中文"),
        ("text/plain; charset=utf-16", "\ufeffmany".encode("utf-16-le"), "many"),
        ("text/plain", b"\xef\xbb\xbfmark", "mark"),
        ("text/plain; charset=nonsense", b"caf\xc3\xa9", "café"),
        ("text/plain; charset=unicode_escape", b"\\u0041", "\\u0041"),
        ("text/plain; charset=zlib", b"plain", "plain"),
        ("text/plain; charset=utf-8", b"caf\xe9 au lait", "caf\ufffd au lait"),
        ("text/plain", b"caf\xe9 au lait", "café au lait"),
        ("text/html", b'<meta charset="windows-1251"><body>' + "мир".encode("cp1251"), "мир"),
        ("text/html", b'<meta charset="utf-16"><body>caf\xc3\xa9', "café"),
        ("application/json", b'{"a": 1}', '{"a": 1}'),
        ("application/ld+json", b"{}", "{}"),
        ("application/rss+xml", b"<rss/>", "<rss/>"),
        ("", b"<!DOCTYPE html><p>guessed", "guessed"),
        ("", b"plain words", "plain words"),
        ("text/html", b"", "(no text)"),
    ],
)  # fmt: skip
async def test_kinds_and_charsets(site: Site, kind: str, body: bytes, shown: str) -> None:
    site.pages["/"] = answer(body, content_type=kind)
    assert await fetch(site.url) == f"{site.url}\n\n{shown}"


@pytest.mark.parametrize(
    ("kind", "body", "said"),
    [
        ("application/pdf", b"%PDF-1.7", "It is a PDF"),
        ("text/plain", b"%PDF-1.7", "It is a PDF"),
        ("", b"%PDF-1.7", "It is a PDF"),
        ("image/png", b"\x89PNG", "It is image/png"),
        ("image/svg+xml", b"<svg/>", "It is image/svg"),
        ("application/octet-stream", b"x", "It is application/octet-stream"),
        ("text/plain", b"\x7fELF\0\0\0", "It is binary data"),
        ("", b"PK\x03\x04\0\0", "It is binary data"),
    ],
)
async def test_what_cannot_be_read(site: Site, kind: str, body: bytes, said: str) -> None:
    site.pages["/"] = answer(body, content_type=kind)
    with pytest.raises(ToolError, match=said):
        await fetch(site.url)


@pytest.mark.parametrize("status", [204, 304, 400, 403, 404, 429, 500, 599])
async def test_statuses(site: Site, status: int) -> None:
    site.pages["/"] = answer("" if status in (204, 304) else "an error page", status)
    if status == 204:
        assert "(no text)" in await fetch(site.url)
        return
    with pytest.raises(ToolError, match=f"answered {status}"):
        await fetch(site.url)


RAW_DEFLATE = zlib.compressobj(wbits=-15)
PACKED = {
    "gzip": gzip.compress(b"packed words"),
    "x-gzip": gzip.compress(b"packed words"),
    "deflate": zlib.compress(b"packed words"),
    "Deflate": RAW_DEFLATE.compress(b"packed words") + RAW_DEFLATE.flush(),
    "identity": b"packed words",
}


@pytest.mark.parametrize("encoding", PACKED)
async def test_compressed_pages(site: Site, encoding: str) -> None:
    site.pages["/"] = answer(PACKED[encoding], content_type="text/plain", content_encoding=encoding)
    assert (await fetch(site.url)).endswith("packed words")


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "compress"])
async def test_other_compression_is_refused(site: Site, encoding: str) -> None:
    site.pages["/"] = answer(b"x", content_type="text/plain", content_encoding=encoding)
    with pytest.raises(ToolError, match="compressed in a way"):
        await fetch(site.url)


async def test_damaged_compression(site: Site) -> None:
    site.pages["/"] = answer(b"not gzip", content_type="text/plain", content_encoding="gzip")
    with pytest.raises(ToolError, match="damaged"):
        await fetch(site.url)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_a_bomb_takes_no_more_than_its_limit(site: Site, encoding: str) -> None:
    pack = zlib.compressobj(9, wbits=31 if encoding == "gzip" else 15)
    bomb = b"".join(pack.compress(b"a" * 1_000_000) for _ in range(300)) + pack.flush()
    site.pages["/"] = answer(bomb, content_type="text/plain", content_encoding=encoding)
    started = time.perf_counter()
    shown = await fetch(site.url, max_bytes=50_000)
    assert time.perf_counter() - started < 5
    assert shown.count("a") < 50_100
    assert shown.endswith("[the page goes on, but is too long to be read whole]")


async def test_an_endless_page(site: Site) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(content_type="text/plain", content_length=""))
        while True:
            writer.write(b"more " * 10_000)
            await writer.drain()

    site.pages["/"] = endless
    shown = await fetch(site.url, max_bytes=100_000)
    assert 100_000 < len(shown) < 100_200


async def test_compressed_nothing_without_end(site: Site) -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(answer(content_type="text/plain", content_length="", content_encoding="gzip"))
        while True:
            writer.write(gzip.compress(b"") * 1_000)
            await writer.drain()

    site.pages["/"] = endless
    assert "goes on" in await fetch(site.url, max_bytes=100_000)


@pytest.mark.parametrize("start", [b"", answer("x", content_length="1000")[:-1]])
async def test_a_slow_drip(site: Site, start: bytes) -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        for byte in b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n\r\n" * 100:
            writer.write(bytes([byte]))
            await writer.drain()
            await asyncio.sleep(0.05)

    site.pages["/"] = drip
    started = time.perf_counter()
    with pytest.raises(ToolError, match=r"did not arrive within 0\.5 seconds"):
        await fetch(site.url, seconds=0.5)
    assert time.perf_counter() - started < 3


@pytest.mark.parametrize("raw", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000, b"HTTP/1.1 2"])
async def test_answers_that_are_no_http(site: Site, raw: bytes) -> None:
    site.pages["/"] = raw
    with pytest.raises(ToolError, match="could not be fetched"):
        await fetch(site.url)


async def test_a_page_cut_in_the_middle(site: Site) -> None:
    site.pages["/"] = answer("half", content_length="1000", content_type="text/plain")
    with pytest.raises(ToolError, match="could not be fetched: RemoteProtocolError"):
        await fetch(site.url)


async def test_nobody_is_there(site: Site) -> None:
    with pytest.raises(ToolError, match="could not be fetched: ConnectError"):
        await fetch("http://127.0.0.1:1/")


async def test_a_page_made_to_be_read_for_ever(site: Site) -> None:
    site.pages["/"] = answer("<div>" * 300_000)
    started = time.perf_counter()
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticking = asyncio.create_task(tick())
    with pytest.raises(ToolError, match=r"too tangled|did not arrive"):
        await fetch(site.url, seconds=2)
    ticking.cancel()
    assert time.perf_counter() - started < 6
    assert ticks > 20, "the event loop stood still"


async def test_a_large_page_is_read_elsewhere(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_page, "read", None)  # not in this process
    site.pages["/"] = answer(HTML.replace("<p>", "<p>" + "word " * 20_000 + "<a href='/first'>one</a> "))
    shown = await fetch(site.url, seconds=30)
    assert "one [1] The capital is Vientiane [2]" in shown
    assert shown.endswith(f"Links:\n[1] {site.url}/first\n[2] {site.url}/vientiane?x=1\n[3] https://m.org/")


def test_at_most_so_many_pages_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(_page.AT_ONCE):
        assert _page._slots.acquire(timeout=5)
    try:
        with pytest.raises(ToolError, match="Too many pages"):
            _page.readable("<p>x", "http://a.org/", "plain", 0.01)
    finally:
        _page._slots.release(_page.AT_ONCE)


def test_many_links_and_marks_of_its_own() -> None:
    html = "<p>⸨0⸩ ⸨7⸩ " + "".join(f"<a href='/{n}'>x</a>" for n in range(100))
    text = _page.read(html, "http://a.org/", "plain")[1]
    assert text.count("http://a.org/") == _page.LINKS
    assert text.startswith("0 7 x [1]x [2]")


# Where it may go


@pytest.mark.parametrize(
    "location",
    ["http://10.0.0.1/", "http://169.254.169.254/latest/meta-data/", "http://[::1]/", "http://[::ffff:127.0.0.1]/",
     "http://2130706433/", "http://0x7f.1/", "http://localhost/", "//127.0.0.2/", "http://metadata.google.internal/",
     "file:///etc/passwd", "http://user:pw@127.0.0.1/", "http://[64:ff9b::10.0.0.1]/", "http://[2002:7f00:1::]/"],
)  # fmt: skip
async def test_redirects_to_where_it_must_not_go(site: Site, location: str) -> None:
    site.pages["/"] = answer("", 302, location=location)
    with pytest.raises(ToolError):
        await fetch(site.url)
    assert len(site.requests) == 1


async def test_too_many_redirects(site: Site) -> None:
    site.pages["/"] = answer("", 302, location="/")
    with pytest.raises(ToolError, match="redirects more than 5 times"):
        await fetch(site.url)
    assert len(site.requests) == 6


async def test_this_machine_is_refused_unless_it_is_allowed(site: Site) -> None:
    for url in (site.url, f"http://localhost:{site.port}", f"http://[::ffff:127.0.0.1]:{site.port}"):
        with pytest.raises(ToolError):
            await fetch(url, allow_hosts=(), ports={site.port})
    assert site.requests == []


async def test_names_are_dialled_at_the_address_that_was_checked(site: Site) -> None:
    asked = []

    async def resolver(name: str) -> Sequence[str]:
        asked.append(name)
        return ["127.0.0.1"]

    site.pages["/"] = answer("found", content_type="text/plain")
    shown = await fetch(f"http://intranet.example:{site.port}/", allow_hosts={"Intranet.Example."}, resolver=resolver)
    assert shown.endswith("found")
    assert asked == ["intranet.example"]
    assert f"host: intranet.example:{site.port}" in site.requests[0].lower()
    with pytest.raises(ToolError, match="not at an address of the public internet"):
        await fetch("http://intranet.example/", resolver=resolver)


def watched(addresses: list[list[str]], answers: list[httpx.Response]) -> tuple[Fetcher, list[httpx.Request]]:
    """A fetcher whose resolver gives these addresses in turn, and whose requests go nowhere."""
    sent: list[httpx.Request] = []

    async def resolver(name: str) -> Sequence[str]:
        return addresses.pop(0)

    def carry(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        if request.url.host == "1.0.0.1":
            raise httpx.ConnectError("no")
        return answers.pop(0)

    transport = httpx.MockTransport(carry)
    settings = {"max_bytes": 1_000, "seconds": 5, "reader": "plain", "user_agent": "test", "transport": transport}
    return Fetcher(Guard(resolver=resolver), **settings), sent  # type: ignore[arg-type]


TEXT = httpx.Response(200, text="hello", headers={"content-type": "text/plain"})


async def test_a_rebinding_name_meets_only_the_checked_address() -> None:
    fetcher, sent = watched([["93.184.216.34"], ["127.0.0.1"]], [TEXT, TEXT])
    assert (await fetcher.fetch("https://rebind.example/x")).text == "hello"
    (request,) = sent
    assert str(request.url) == "https://93.184.216.34/x"
    assert request.headers["host"] == "rebind.example"
    assert request.extensions["sni_hostname"] == "rebind.example"
    with pytest.raises(ToolError, match="not at an address of the public internet"):
        await fetcher.fetch("https://rebind.example/x")
    assert len(sent) == 1


async def test_a_name_that_rebinds_during_a_redirect() -> None:
    again = httpx.Response(302, headers={"location": "https://rebind.example/y"})
    fetcher, sent = watched([["93.184.216.34"], ["::ffff:169.254.169.254"]], [again])
    with pytest.raises(ToolError, match="not at an address"):
        await fetcher.fetch("https://rebind.example/x")
    assert [request.url.host for request in sent] == ["93.184.216.34"]


async def test_the_next_address_is_tried() -> None:
    fetcher, sent = watched([["1.0.0.1", "2606:4700:4700::1111"]], [TEXT])
    assert (await fetcher.fetch("http://a.example/")).url == "http://a.example/"
    assert [str(request.url) for request in sent] == ["http://1.0.0.1/", "http://[2606:4700:4700::1111]/"]


async def test_names_in_other_scripts() -> None:
    fetcher, sent = watched([["93.184.216.34"]], [TEXT])
    await fetcher.fetch("https://bücher.example/")
    assert sent[0].headers["host"] == sent[0].extensions["sni_hostname"] == "xn--bcher-kva.example"


@pytest.mark.parametrize("error", [OSError("no such name"), UnicodeError("label too long")])
async def test_names_that_do_not_exist(error: Exception) -> None:
    async def resolver(name: str) -> Sequence[str]:
        raise error

    with pytest.raises(ToolError, match=r"There is no host nowhere\.example"):
        await fetch("http://nowhere.example/", resolver=resolver)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate of good.example, and its key."""
    if shutil.which("openssl") is None:
        pytest.skip("needs openssl to make a certificate")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=good.example", "-addext", "subjectAltName=DNS:good.example", "-keyout", key, "-out", cert],
        check=True, capture_output=True,
    )  # fmt: skip
    return cert, key


async def test_the_certificate_is_that_of_the_name(
    certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    cert, key = certificate
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(cert, key)
    named: list[str | None] = []
    tls.sni_callback = lambda _, name, __: named.append(name)
    monkeypatch.setattr(_pinned, "_context", ssl.create_default_context(cafile=cert))

    async def resolver(name: str) -> Sequence[str]:
        return ["127.0.0.1"]

    async with serve(tls) as site:
        site.pages["/"] = answer("safe", content_type="text/plain")
        settings = {"allow_hosts": {"good.example", "bad.example"}, "resolver": resolver}
        assert (await fetch(f"https://good.example:{site.port}/", **settings)).endswith("safe")
        with pytest.raises(ToolError, match="certificate is not valid"):
            await fetch(f"https://bad.example:{site.port}/", **settings)
    assert named == ["good.example", "bad.example"]


def test_importing_the_tools_is_light() -> None:
    code = "import sys, agentinfer.web; print([m for m in ('httpx', 'selectolax', 'trafilatura') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
