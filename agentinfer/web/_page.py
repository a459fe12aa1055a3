"""What of a page a model is shown: its readable text, with numbered links."""

import contextlib
import json
import os
import re
import subprocess
import sys
import threading
from typing import Literal

from agentinfer.errors import ToolError

__all__ = ["Reader", "read", "readable"]

Reader = Literal["auto", "plain", "trafilatura"]
"""How the text of an HTML page is found; `auto` is trafilatura where it is installed."""

LINKS = 60
"""How many links of a page are listed."""
AT_ONCE = 4
"""How many pages are read at the same time."""
SMALL_CHARS = 64_000
SMALL_TAGS = 4_000
"""Up to here even a page made for it takes a parser only seconds."""

_OPEN, _CLOSE = "⸨", "⸩"
"""Brackets that hardly any page has: around a link's number until it is known which links are left in the text."""
_MARK = re.compile(f" ?{_OPEN}([0-9]{{1,6}}){_CLOSE}")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f⸨⸩]")

_slots = threading.BoundedSemaphore(AT_ONCE)


def readable(html: str, base: str, reader: Reader, seconds: float) -> tuple[str, str]:
    """The title and the text of a page, its links listed at the end. Blocks: call it in a thread.

    A page can be made so that reading it takes minutes, and a parser cannot be stopped. Large pages are therefore
    read in a process of their own, which can.

    Args:
        html: The page.
        base: Its URL.
        reader: How to find the text.
        seconds: How long it may take.

    Raises:
        ToolError: It cannot be read, or not in that time.
    """
    if not _slots.acquire(timeout=seconds):
        raise ToolError("Too many pages are being read at the moment")
    try:
        if len(html) <= SMALL_CHARS and html.count("<") <= SMALL_TAGS:
            return read(html, base, reader)
        return _read_apart(html, base, reader, seconds)
    finally:
        _slots.release()


def _read_apart(html: str, base: str, reader: Reader, seconds: float) -> tuple[str, str]:
    """What `read` gives, from a process of its own, which sees nothing of this one's environment."""
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "agentinfer.web._page"],
            input=json.dumps([html, base, reader, seconds]).encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=seconds,
            env={"PYTHONPATH": os.pathsep.join(sys.path)},
            check=True,
        )
        title, text = json.loads(done.stdout)
    except (subprocess.SubprocessError, OSError, ValueError):
        raise ToolError("The page is too large or too tangled to be read") from None
    return title, text


def read(html: str, base: str, reader: Reader) -> tuple[str, str]:
    """What `readable` gives, however long it takes."""
    marked, urls = _mark_links(_CONTROLS.sub(" ", html), base)
    title, text = _read(marked, reader)
    return _MARK.sub("", title), _list_links(text, urls)


def _read(html: str, reader: Reader) -> tuple[str, str]:
    from agentinfer.corpus._html import read_html

    title, text = read_html(html)
    if reader == "plain":
        return title, text
    try:
        import trafilatura
    except ImportError:
        if reader == "auto":
            return title, text
        raise ToolError("The page cannot be read: trafilatura is not properly installed") from None
    return title, trafilatura.extract(html, include_comments=False, favor_recall=True) or text


def _mark_links(html: str, base: str) -> tuple[str, list[str]]:
    """The page with a mark after each link to another page, and where those lead."""
    import httpx
    from selectolax.lexbor import LexborHTMLParser

    page = LexborHTMLParser(html)
    root = httpx.URL(base)
    urls: dict[str, int] = {}
    for node in page.css("a[href]"):
        try:
            url = root.join((node.attributes.get("href") or "").strip()).copy_with(fragment=None)
        except (httpx.InvalidURL, ValueError):
            continue
        host = url.raw_host
        if url.scheme in ("http", "https") and host and b"%" not in host and url != root and len(str(url)) <= 500:
            node.insert_child(f" {_OPEN}{urls.setdefault(str(url), len(urls))}{_CLOSE}")
    return page.html or "", list(urls)


def _list_links(text: str, urls: list[str]) -> str:
    """The text with the links that are left in it numbered as they come, and listed."""
    numbers: dict[int, int] = {}

    def number(found: re.Match[str]) -> str:
        index = int(found[1])
        if index >= len(urls) or (index not in numbers and len(numbers) >= LINKS):
            return ""
        return f" [{numbers.setdefault(index, len(numbers) + 1)}]"

    text = _MARK.sub(number, text)
    if not numbers:
        return text
    return text + "\n\nLinks:\n" + "\n".join(f"[{shown}] {urls[index]}" for index, shown in numbers.items())


def _main() -> None:
    """The process that reads one large page."""
    html, base, reader, seconds = json.load(sys.stdin.buffer)
    with contextlib.suppress(ImportError):  # where there are no such limits, the parent's time-out has to do
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (int(seconds) + 1, int(seconds) + 2))
    sys.stdout.write(json.dumps(read(html, base, reader)))


if __name__ == "__main__":
    _main()
