"""The passage of a text that fits a query best."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import islice

from agentinfer.corpus._text import is_cjk

WIDTH = 500
WHOLE = 700
"""Characters of a text that is not cut: what a cut would leave out is hardly worth another step."""
_IN_TITLE = 0.25
"""What a term counts that the title has too: it tells which document this is, not which of its passages."""
_MAX_MATCHES = 5_000
_BORDER = re.compile(r"(?<=[.!?])\s+|[。！？]|\n+")


def _unaccented() -> dict[int, str]:
    """Map accented Latin letters to plain ones, one to one, so that positions in the text stay the same."""
    table = {}
    for code in (*range(0xC0, 0x250), *range(0x1E00, 0x1F00)):
        base = unicodedata.normalize("NFD", chr(code))[0]
        if base.isascii():
            table[code] = base
    return table


_UNACCENTED = _unaccented()


def term_pattern(terms: Sequence[str]) -> re.Pattern[str]:
    """Return the pattern that finds the terms of a query in a text, its accents removed.

    Long words match by their beginning, since the index stems them.

    Args:
        terms: The terms as `query_terms` returns them.
    """
    parts = []
    for term in sorted((term.translate(_UNACCENTED) for term in terms), key=len, reverse=True):
        if is_cjk(term):
            parts.append(re.escape(term))
        elif len(term) < 5:
            parts.append(rf"\b{re.escape(term)}\b")
        else:
            parts.append(rf"\b{re.escape(term[: max(4, len(term) - 2)])}")
    return re.compile("|".join(parts) or "(?!)", re.IGNORECASE)


def snippet(text: str, pattern: re.Pattern[str], width: int = WIDTH, *, title: str = "") -> str:
    """Cut the passage with the most, and the most telling, of the terms out of a text.

    Args:
        text: The text.
        pattern: What finds the terms, from `term_pattern`.
        width: About how many characters to return; of a text that is hardly longer, all.
        title: The document's title, which is shown beside the passage.

    Returns:
        One line; an ellipsis marks where a sentence was cut.
    """
    if len(text) <= width * WHOLE // WIDTH:
        return " ".join(text.split())
    start, end = _best_window(text, pattern, width, title)
    return _cut(text, start, end, width)


def _matches(text: str, pattern: re.Pattern[str]) -> list[tuple[int, int, str]]:
    """Where each term begins and ends, and which it is."""
    plain = text if text.isascii() else text.translate(_UNACCENTED)
    return [(m.start(), m.end(), m.group().lower()) for m in islice(pattern.finditer(plain), _MAX_MATCHES)]


def _best_window(text: str, pattern: re.Pattern[str], width: int, title: str) -> tuple[int, int]:
    """Return where the best passage's first match begins and its last match ends."""
    found = _matches(text, pattern)
    if not found:
        return 0, 0
    # A term that is everywhere in the document says little about which passage is the right one.
    weight = {key: count**-0.5 for key, count in Counter(key for _, _, key in found).items()}
    for key in weight.keys() & {key for _, _, key in _matches(title, pattern)}:
        weight[key] *= _IN_TITLE
    best, best_score = (found[0][0], found[0][1]), 0.0
    inside: Counter[str] = Counter()
    first, score = 0, 0.0
    reach = width * 2 // 3  # the rest is for what stands before and after the terms
    for start, end, key in found:
        inside[key] += 1
        score += weight[key] if inside[key] == 1 else 0.0
        while end - found[first][0] > reach and found[first][0] < start:
            gone = found[first][2]
            inside[gone] -= 1
            score -= weight[gone] if inside[gone] == 0 else 0.0
            first += 1
        if score > best_score + 1e-9:
            best, best_score = (found[first][0], end), score
    return best


def _cut(text: str, start: int, end: int, width: int) -> str:
    """Widen a passage to about `width` characters and to sentence or word borders."""
    slack = max(0, width - (end - start))
    earliest = max(0, start - slack // 2)
    borders = [m.end() for m in _BORDER.finditer(text, earliest, start)]
    if earliest == 0:
        begin, head = 0, ""
    elif borders:
        begin, head = borders[0], ""
    else:
        begin, head = _word_start(text, earliest, start), "…"
    stop = max(end, begin + width)
    if stop >= len(text):
        return head + " ".join(text[begin:].split())
    borders = [m.end() for m in _BORDER.finditer(text, max(end, begin + width // 2), stop)]
    if borders:
        return head + " ".join(text[begin : borders[-1]].split())
    return head + " ".join(text[begin : _word_end(text, max(end, begin + width // 2), stop)].split()) + "…"


def _word_start(text: str, earliest: int, latest: int) -> int:
    space = re.compile(r"\s").search(text, earliest, latest)
    return space.end() if space else earliest


def _word_end(text: str, earliest: int, latest: int) -> int:
    for position in range(latest, earliest, -1):
        if text[position].isspace():
            return position
    return latest
