"""Whether a text says only what its source says, as far as that can be told without understanding it.

Names, numbers, dates and quotes have to stand in the source. Names are told by their capital letters, so names in
scripts without them are not checked; numbers, dates and quotes are.
"""

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property

__all__ = ["Facts", "sentences", "strike", "unsupported"]

Date = tuple[str | None, int | None, int | None]
"""Year, month, day; `None` is not said."""

_MONTH_NAMES = (
    "january jan|february feb|march mar|april apr|may|june jun|july jul|august aug|september sept sep|october oct|"
    "november nov|december dec"
)
_MONTHS = {name: at for at, names in enumerate(_MONTH_NAMES.split("|"), 1) for name in names.split()}
_MONTH = rf"(?P<month>{'|'.join(_MONTHS)})\b\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>\d{4})\b"
_DATES = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\b{_YEAR}-(?P<number>\d{{1,2}})-(?P<day>\d{{1,2}})\b",
        r"(?P<year>\d{4})年(?:(?P<number>\d{1,2})月)?(?:(?P<day>\d{1,2})日)?",
        rf"\b{_DAY}\s+(?:of\s+)?{_MONTH},?(?:\s+{_YEAR})?",
        rf"\b{_MONTH}\s+{_DAY}\b(?:,?\s+{_YEAR})?",
        rf"\b{_MONTH},?\s+{_YEAR}",
    )
]
_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+(?!\d)(?:\.\d+)?|\d+\.\d+|\d+,\d{1,2}(?!\d)|\d+")
_COUNT_NAMES = "zero one two three four five six seven eight nine ten eleven twelve"
_COUNTED = {word: str(number) for number, word in enumerate(_COUNT_NAMES.split())}
_QUOTE = re.compile(r'"([^"]+)"|“([^”]+)”|„([^“”]+)[“”]|«([^»]+)»|「([^」]+)」|『([^』]+)』|《([^》]+)》')
_WORD = re.compile(r"[^\W\d_]+(?:['’\-][^\W\d_]+)*")
_LETTERS = re.compile(r"[^\W\d_]+")
_CAPITAL = r"[^\W\d_a-z]"
_ABBREVIATED = rf"(?<!\b{_CAPITAL}\.)(?<!\b{_CAPITAL}\w\.)(?<!\b{_CAPITAL}\w\w\.)"
_SENTENCE = re.compile(rf"(?<=[.!?]){_ABBREVIATED}\s+(?={_CAPITAL}|\d|[\"“«「『《])|(?<=[。！？；])|;\s+|\n+")
_STARTER_WORDS = (
    "a an the he she it they we i his her its their this that these those there in on at by of for from with as and or "
    "but no not nothing none also both each one after before during since until when where while according found"
)
_STARTERS = frozenset(_STARTER_WORDS.split())


@dataclass(frozen=True)
class Facts:
    """A text, and what can be checked in it."""

    text: str

    @cached_property
    def folded(self) -> str:
        """Without what tells no two texts apart: case, accents, kinds of blanks and of quotation marks."""
        return _fold(self.text)

    @cached_property
    def words(self) -> frozenset[str]:
        """Its words, folded; those with a hyphen in parts."""
        return frozenset(part for word in _WORD.findall(self.folded) for part in _parts(word))

    @cached_property
    def numbers(self) -> frozenset[str]:
        """Its numbers in one notation, those that are written as words included."""
        counted = (_COUNTED[word] for word in _COUNTED.keys() & self.words)
        return frozenset([*_numbers(self.folded), *counted])

    @cached_property
    def dates(self) -> tuple[Date, ...]:
        """Its dates, in all the notations that each can be read in."""
        return tuple(_date(found) for pattern in _DATES for found in pattern.finditer(self.folded))


def unsupported(claim: str, source: Facts, context: Facts | None = None) -> list[str]:
    """The names, numbers, dates and quotes of a claim that do not stand in its source.

    Args:
        claim: One sentence.
        source: What it should say no more than.
        context: What else may be named without being in the source: what the task is about.
    """
    # Letters keep their accents; marks that no letter has taken up would part words.
    claim = _unmarked(unicodedata.normalize("NFKC", claim))
    missing = [quote for quote in _quotes(claim) if _fold(quote) not in source.folded]
    rest = claim
    for pattern in _DATES:
        missing += [
            found[0]
            for found in pattern.finditer(rest)
            if not any(_fits(_date(found), other) for other in source.dates)
        ]
        rest = pattern.sub(" ", rest)
    missing += [number for number in _claimed(rest) if number not in source.numbers]
    known = source.words if context is None else source.words | context.words
    return missing + [name for name in _names(rest) if not _is_known(name, known)]


def strike(text: str, source: Facts, context: Facts | None = None) -> tuple[str, list[str]]:
    """A text without the sentences that say what is not in the source, and what was missing there."""
    kept, struck = [], []
    for sentence in sentences(text):
        missing = unsupported(sentence, source, context)
        struck += missing
        if not missing:
            kept.append(sentence)
    return " ".join(kept), struck


def sentences(text: str) -> list[str]:
    """The sentences of a text. It goes on behind an initial or an abbreviation such as `Dr.`."""
    return [piece.strip() for piece in _SENTENCE.split(text) if piece and piece.strip()]


def _unmarked(text: str) -> str:
    return "".join(letter for letter in text if not unicodedata.combining(letter))


def _fold(text: str) -> str:
    letters = _unmarked(unicodedata.normalize("NFKD", text).casefold())
    for one, other in (("’", "'"), ("‘", "'"), ("“", '"'), ("”", '"'), ("–", "-"), ("—", "-"), ("‑", "-")):
        letters = letters.replace(one, other)
    return " ".join(letters.split())


def _parts(word: str) -> list[str]:
    return _LETTERS.findall(word.removesuffix("'s"))


def _numbers(text: str) -> list[str]:
    """Numbers in one notation: no thousands separators, a point before decimals, no zeros that say nothing."""
    found = []
    for written in _NUMBER.findall(text):
        whole, _, decimals = re.sub(r",(?=\d{3})", "", written).replace(",", ".").partition(".")
        decimals = decimals.rstrip("0")
        found.append((whole.lstrip("0") or "0") + (f".{decimals}" if decimals else ""))
    return found


def _claimed(text: str) -> list[str]:
    """The numbers that a text says, those in words included; `one` is mostly none."""
    said = Facts(text)
    return [*_numbers(said.folded), *(number for word, number in _COUNTED.items() if word in said.words - {"one"})]


def _date(found: re.Match[str]) -> Date:
    said = found.groupdict()
    month, number, day = said.get("month"), said.get("number"), said.get("day")
    return (
        said.get("year"),
        _MONTHS.get(_fold(month)) if month else int(number) if number else None,
        int(day) if day else None,
    )


def _fits(date: Date, other: Date) -> bool:
    """Whether all that one date says is said by the other."""
    return all(one is None or one == two for one, two in zip(date, other, strict=True))


def _quotes(text: str) -> list[str]:
    return [next(filter(None, groups)) for groups in _QUOTE.findall(text)]


def _names(claim: str) -> list[str]:
    """Words with a capital letter that are no numbers; the first word only where it is no usual beginning."""
    words = _WORD.findall(claim)
    named = [word for word in words if any(letter.isupper() for letter in word) and word.lower() not in _COUNTED]
    if named and named[0] == words[0] and named[0].lower() in _STARTERS:
        named = named[1:]
    return named


def _is_known(name: str, known: frozenset[str]) -> bool:
    return all(part in known for part in _parts(_fold(name)))
