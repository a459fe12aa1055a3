"""What a docstring says of a function and of its parameters."""

import inspect
import re
from collections.abc import Iterable

_SECTION = re.compile(r"^(Args|Arguments|Parameters|Params)\s*:?\s*$", re.IGNORECASE)
_END_SECTION = re.compile(r"^(Returns?|Raises|Yields?|Examples?|Notes?)\s*:?\s*$", re.IGNORECASE)
_FIELD = re.compile(r"^:param\s+(?:[\w\[\], |.]+\s+)?\*{0,2}(\w+)\s*:\s*(.*)$")
_OTHER_FIELD = re.compile(r"^:(returns?|rtype|raises?|type)\b")


def parse_docstring(docstring: str | None, parameters: Iterable[str]) -> tuple[str, dict[str, str]]:
    """Split a docstring into the function's description and one text per documented parameter.

    Read are an `Args:` section, a NumPy `Parameters` section, `:param name:` fields, and the short form in which
    `name: what it is.` follows the description on the same line.
    """
    names = set(parameters)
    description: list[str] = []
    texts: dict[str, str] = {}
    in_section = numpy = False
    current: str | None = None
    for line in inspect.cleandoc(docstring or "").splitlines():
        stripped = line.strip()
        if found := _FIELD.match(stripped):
            current, in_section = found[1], True
            texts[current] = found[2]
        elif _SECTION.match(stripped):
            in_section, current = True, None
        elif _END_SECTION.match(stripped) or _OTHER_FIELD.match(stripped):
            in_section, current = True, None
            names = set()
        elif in_section and stripped and set(stripped) == {"-"}:
            numpy = True
        elif in_section:
            current = _read_entry(stripped, names, current, texts, numpy=numpy)
        else:
            description.append(stripped)
    text = "\n".join(description).strip()
    if not texts:
        text, texts = _split_inline(text, names)
    return text, {name: " ".join(words.split()) for name, words in texts.items() if words.strip()}


def _read_entry(line: str, names: set[str], current: str | None, texts: dict[str, str], *, numpy: bool) -> str | None:
    """One line of a parameter section: the start of an entry, or more of the current one."""
    found = re.match(r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$", line)
    if numpy and not found:
        found = re.match(r"^\*{0,2}(\w+)()$", line)
    if found and found[1] in names:
        # NumPy writes the type after the colon, and the text on the lines below.
        texts[found[1]] = "" if numpy else found[2]
        return found[1]
    if current and line:
        texts[current] += " " + line
    return current


def _split_inline(text: str, names: set[str]) -> tuple[str, dict[str, str]]:
    """Read parameters off text such as `Search the collection. query: a few words. top_k: how many.`."""
    if not names:
        return text, {}
    pattern = re.compile(r"(?:^|(?<=[.\s]))(" + "|".join(map(re.escape, sorted(names))) + r"):\s+")
    pieces = pattern.split(text)
    texts = dict(zip(pieces[1::2], pieces[2::2], strict=True))
    return pieces[0].strip(), texts
