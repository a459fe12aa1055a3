"""Reading what a model answers, whatever it answers. Nothing here raises; what cannot be read is `None`."""

import contextlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from agentinfer._json import load_json
from agentinfer.scope._guideline import clean, key_of

__all__ = [
    "Classification",
    "Draft",
    "read_bool",
    "read_choice",
    "read_classification",
    "read_confidence",
    "read_draft",
    "read_index",
    "read_object",
]

_WORDS = {
    "none": 0.0, "no": 0.0, "very low": 0.1, "low": 0.3, "unsure": 0.3, "medium": 0.6, "moderate": 0.6, "fair": 0.6,
    "high": 0.9, "very high": 0.95, "certain": 1.0, "full": 1.0,
}  # fmt: skip
_UNITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred")
_NUMBERS = {**{word: n for n, word in enumerate(_UNITS)}, **{word: 10 * n for n, word in enumerate(_TENS, 2)}}
_NUMBER = re.compile(r"(?P<number>-?\d*[.,]?\d+)\s*(?:(?P<percent>%|percent)|(?:/|out of)\s*(?P<of>\d+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A guideline as a model proposed it."""

    text: str
    rationale: str = ""
    confidence: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Classification:
    """What a model makes of a draft. `None`: it did not say, or not so that it can be read."""

    strategic: bool | None = None
    confidence: float | None = None
    domain: str | None = None
    duplicate: bool | None = None
    duplicate_of: str | None = None
    """The id of the guideline that says the same."""


def read_object(text: str) -> dict[str, Any]:
    """The JSON object in a text; of a list its first object; nothing where there is none."""
    value = load_json(text)
    if isinstance(value, list):
        value = next((item for item in value if isinstance(item, dict)), None)
    if not isinstance(value, dict):
        return {}
    inner = value.get("input")  # the form of the JSON protocol, from a model that was not asked for it
    found = inner if isinstance(inner, dict) and "action" in value else value
    return {str(name).strip().casefold(): item for name, item in found.items()}


def read_bool(value: Any) -> bool | None:
    """A truth value, also as a word or a number."""
    value = _only(value)
    if isinstance(value, bool):
        return value
    if isinstance(value, int | float) and value in (0, 1):
        return bool(value)
    if isinstance(value, str):
        word = key_of(value)
        if word in ("true", "yes", "y", "1"):
            return True
        if word in ("false", "no", "n", "0", "none", "null"):
            return False
    return None


def read_confidence(value: Any) -> float | None:
    """A confidence from 0 to 1.

    Numbers up to 1 as they are, above 1 up to 10 as tenths, above 10 up to 100 as hundredths; words (`high`, `nine out
    of ten`, `ninety percent`); texts that hold a number. Not-a-number, infinite and negative numbers are none.
    """
    value = _only(value)
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return _scaled(value)
    if not isinstance(value, str):
        return None
    text = value.strip().casefold()
    if (word := key_of(text)) in _WORDS:
        return _WORDS[word]
    with contextlib.suppress(ValueError):
        return _scaled(float(text))
    found = _NUMBER.search(_in_digits(text))
    if found is None:
        words = sorted(_WORDS, key=len, reverse=True)
        return next((_WORDS[word] for word in words if f" {word} " in f" {key_of(text)} "), None)
    number = float(found["number"].replace(",", "."))
    if found["percent"]:
        return _scaled(number / 100, strict=True)
    if found["of"]:
        most = float(found["of"])  # infinite where the number is too long
        return _scaled(number / most, strict=True) if most else None
    return _scaled(number)


def read_choice(value: Any, choices: Iterable[str]) -> str | None:
    """The one choice that a text names, whatever its case; nothing where it names none or several."""
    value = _only(value)
    if not isinstance(value, str):
        return None
    text = f" {key_of(value)} "
    named = [choice for choice in choices if f" {key_of(choice)} " in text]
    return named[0] if len(named) == 1 else None


def read_index(value: Any, count: int) -> int | None:
    """An index from 0 below `count`."""
    value = _only(value)
    if isinstance(value, str) and (found := re.search(r"-?\d+", value)):
        value = int(found[0][:9])
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < count else None


def read_draft(text: str) -> Draft | None:
    """The guideline that a model proposes; nothing where it proposes none."""
    answer = read_object(text)
    names = ("guideline", "rule", "update_text", "text")
    told = next((answer[name] for name in names if isinstance(_only(answer.get(name)), str)), None)
    guideline = clean(str(_only(told))) if told is not None else ""
    if not guideline or key_of(guideline) in ("none", "null", "n a", "nothing"):
        return None
    rationale = _only(answer.get("rationale"))
    return Draft(
        text=guideline,
        rationale=clean(rationale)[:500] if isinstance(rationale, str) else "",
        confidence=read_confidence(answer.get("confidence")),
    )


def read_classification(text: str, *, domains: Iterable[str], ids: Iterable[str]) -> Classification:
    """What a model makes of a draft."""
    answer = read_object(text)
    scope = read_choice(answer.get("scope"), ("strategic", "tactical"))
    named = _only(answer.get("duplicate_of"))
    return Classification(
        strategic=None if scope is None else scope == "strategic",
        confidence=read_confidence(answer.get("confidence")),
        domain=read_choice(answer.get("domain"), domains),
        duplicate=read_bool(answer.get("duplicate", answer.get("is_duplicate"))),
        duplicate_of=named if isinstance(named, str) and named in set(ids) else None,
    )


def _only(value: Any) -> Any:
    """What a list of one holds: models like lists."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _scaled(number: float, *, strict: bool = False) -> float | None:
    if not 0 <= number <= (1 if strict else 100):  # false for not-a-number, too
        return None
    return number / (1 if number <= 1 else 10 if number <= 10 else 100)


def _in_digits(text: str) -> str:
    """Numbers in words as digits: `ninety five percent`, `zero point nine`."""
    words: list[str] = []
    for word in re.findall(r"[a-z]+|-?\d+(?:[.,]\d+)?|[^\sa-z\d]", text):
        number = _NUMBERS.get(word)
        if number is None:
            words.append("." if word == "point" else word)
        elif number < 10 and words and words[-1].isdigit() and len(words[-1]) == 2:
            words[-1] = str(int(words[-1]) + number)
        else:
            words.append(str(number))
    return re.sub(r"(\d)? ?\. ?(\d)", r"\1.\2", " ".join(words))
