"""What of a page a model is shown: its readable text, with numbered links."""

import re
import threading
from typing import Literal

from agentinfer.errors import ToolError

__all__ = ["Reader", "readable"]

Reader = Literal["auto", "plain", "trafilatura"]
"""How the text of an HTML page is found; `auto` is trafilatura where it is installed."""

LINKS = 60
"""How many links of a page are listed."""
AT_ONCE = 4
"""How many pages are read at the same time: what reads a page cannot be stopped, so they must not pile up."""

_OPEN, _CLOSE = "\ue010", "\ue011"
"""Stand for the brackets of a link's number until it is known which links are left."""
_MARK = re.compile(f" ?{_OPEN}([0-9]{{1,6}}){_CLOSE}")
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ue010\ue011]")

_slots = threading.BoundedSemaphore(AT_ONCE)


def readable(html: str, base: str, reader: Reader, seconds: float) -> tuple[str, str]:
    """The title and the text of a page, its links listed at the end. Blocks: call it in a thread.

    Args:
        html: The page.
        base: Its URL.
        reader: How to find the text.
        seconds: How long to wait while other pages are read.

    Raises:
        ToolError: Other pages are being read all that time.
    """
    if not _slots.acquire(timeout=seconds):
        raise ToolError("Too many pages are being read at the moment")
    try:
        marked, urls = _mark_links(_CONTROLS.sub(" ", html), base)
        title, text = _read(marked, reader)
        return _MARK.sub("", title), _list_links(text, urls)
    finally:
        _slots.release()


def _read(html: str, reader: Reader) -> tuple[str, str]:
    from agentinfer.corpus._html import read_html

    title, text = read_html(html)
    if reader == "plain":
        return title, text
    try:
        import trafilatura
    except ImportError:
        return title, text
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
        if url.scheme in ("http", "https") and url.host and url != root and len(str(url)) <= 500:
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
