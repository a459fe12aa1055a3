"""The model's word on its own progress, read from whatever it wrote (arXiv 2512.18337, section 3.1).

The canonical form is

```
===PROGRESS===
<reason> ... </reason>
<value> TRUE or FALSE </value>
===END_PROGRESS===
```

Under the JSON protocol it is a field of the reply: `"progress": {"reason": "...", "value": "TRUE"}`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from agentinfer._json import load_json
from agentinfer.transcript import Message

__all__ = ["FIELD", "Judgement", "Verdict", "judgement_in", "judgement_of", "render", "without_blocks"]

Verdict = Literal["yes", "no", "missing"]
"""Significant progress towards the answer; none; or nothing that can be read."""

FIELD = "progress"
"""The field of a reply under the JSON protocol."""

MAX_REASON = 300
"""Characters of a reason that are kept."""

_START = re.compile(r"={3}[ \t]{0,4}PROGRESS[ \t]{0,4}={3}", re.IGNORECASE)
_END = re.compile(r"={3}[ \t]{0,4}END[_ ]PROGRESS[ \t]{0,4}={3}|</value>", re.IGNORECASE)
_REST = re.compile(r"\s*={3}[ \t]{0,4}END[_ ]PROGRESS[ \t]{0,4}={3}", re.IGNORECASE)
_VALUE = re.compile(r"<value>\s{0,20}([A-Za-z]{2,5})\b", re.IGNORECASE)
_WORD = re.compile(r"\b(TRUE|FALSE)\b")
_REASON = re.compile(r"<reason>(.{0,2000}?)(?:</reason>|<value>|\Z)", re.IGNORECASE | re.DOTALL)
_WORDS: Mapping[str, Verdict] = {"true": "yes", "yes": "yes", "false": "no", "no": "no"}


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a model said of its progress."""

    verdict: Verdict
    reason: str = ""


def judgement_of(message: Message) -> Judgement:
    """What the writer of a message said of its progress."""
    return judgement_in(message.raw or message.content)


def judgement_in(text: str) -> Judgement:
    """What a reply says of progress. Never raises: two verdicts that contradict each other are none."""
    found = [_read_block(text[start:end]) for start, end in _blocks(text)]
    if text.lstrip().startswith(("{", "```")):
        reply = load_json(text)
        if isinstance(reply, dict) and FIELD in reply:
            found.append(_read_field(reply[FIELD]))
    said = {judgement.verdict for judgement in found} - {"missing"}
    if len(said) != 1:
        return Judgement("missing", next((judgement.reason for judgement in found), ""))
    return next(judgement for judgement in found if judgement.verdict in said)


def render(judgement: Judgement) -> str:
    """The canonical block."""
    value = "TRUE" if judgement.verdict == "yes" else "FALSE"
    reason = f"<reason>{judgement.reason}</reason>\n" if judgement.reason else ""
    return f"===PROGRESS===\n{reason}<value>{value}</value>\n===END_PROGRESS==="


def without_blocks(text: str) -> str:
    """A text without its blocks: the very same text where it has none."""
    kept, position = [], 0
    for start, end in _blocks(text):
        kept.append(text[position:start])
        position = end
    if not position:
        return text
    return "\n".join(part for piece in (*kept, text[position:]) if (part := piece.strip()))


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Where the blocks of a text are. One without an end ends with its value, else with its line."""
    starts = [found.span() for found in _START.finditer(text)]
    for number, (start, inside) in enumerate(starts):
        limit = starts[number + 1][0] if number + 1 < len(starts) else len(text)
        found = _END.search(text, inside, limit)
        if found is None:
            line = text.find("\n", inside, limit)
            yield start, limit if line < 0 else line
            continue
        rest = _REST.match(text, found.end(), limit)
        yield start, rest.end() if rest else found.end()


def _read_block(block: str) -> Judgement:
    reason = _REASON.search(block)
    why = _short(reason[1]) if reason else ""
    if (value := _VALUE.search(block)) is not None:
        return Judgement(_WORDS.get(value[1].lower(), "missing"), why)
    words = set(_WORD.findall(block[: reason.start()] + block[reason.end() :] if reason else block))
    return Judgement(_WORDS[words.pop().lower()] if len(words) == 1 else "missing", why)


def _read_field(value: Any) -> Judgement:
    reason = ""
    if isinstance(value, dict):
        reason, value = _short(value.get("reason")), value.get("value")
    if isinstance(value, bool):
        return Judgement("yes" if value else "no", reason)
    word = value.strip().lower() if isinstance(value, str) else ""
    return Judgement(_WORDS.get(word, "missing"), reason)


def _short(value: Any) -> str:
    return " ".join(value.split())[:MAX_REASON] if isinstance(value, str) else ""
