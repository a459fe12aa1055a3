"""How text becomes index terms, the same way for documents and queries.

SQLite's `unicode61` tokenizer takes a run of Chinese, Japanese or Korean characters for one word. Such runs
are therefore rewritten before they reach it: each character and its successor become one term (`東京都` gives
`東京 京都 都`). The last character stands alone, so that every character begins a term and a query of one
character is a prefix search.
"""

import re
import unicodedata

MAX_QUERY_CHARS = 4_000
MAX_QUERY_TERMS = 64

# Letters that are written without spaces between words, and Korean syllables, whose words take endings.
_CJK = (
    "\u3005-\u3007\u3041-\u3096\u309d\u309e\u30a1-\u30fa\u30fc-\u30fe\u3105-\u312d\u31a0-\u31b7\u31f0-\u31ff"
    "\u3400-\u4db5\u4e00-\u9fcc\uac00-\ud7a3\uf900-\ufa6d\ufa70-\ufad9"
    "\U00020000-\U0002a6d6\U0002a700-\U0002b734\U0002b740-\U0002b81d\U0002f800-\U0002fa1d"
)
_CJK_RUN = re.compile(f"[{_CJK}]+")

_STOP_WORDS = frozenset(
    (  # noqa: SIM905 (a list of 127 strings is harder to read)
        "a about after all also am an and any are as at be been being both but by can could d did do does doing for "
        "from had has have having he her hers him his how i if in into is it its itself ll m me more most my no nor "
        "not of on or our out over own re s same she should so some such t than that the their them then there these "
        "they this those to too under up ve very was we were what when where which while who whom whose why will "
        "with would you your"
    ).split()
)


def clean(text: str) -> str:
    """Replace lone surrogates, which are no characters and which SQLite cannot store, with U+FFFD."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def folded(title: str) -> str:
    """Return a title as it is compared: without case, width and spacing differences."""
    return " ".join(unicodedata.normalize("NFKC", title.casefold()).split())


def index_form(text: str) -> str:
    """Return what the index is given for a text."""
    if text.isascii():
        return text
    return _CJK_RUN.sub(_bigrams, unicodedata.normalize("NFKC", text))


def query_terms(query: str) -> list[str]:
    """Split a query into distinct terms, without stop words unless there is nothing else.

    Args:
        query: Any text; only its beginning counts where it is very long.

    Returns:
        Words, and pairs of Chinese, Japanese or Korean characters (a single one where it stands alone).
    """
    text = unicodedata.normalize("NFKC", clean(query[:MAX_QUERY_CHARS])).lower()
    words: dict[str, None] = {}
    position = 0
    for run in _CJK_RUN.finditer(text):
        words.update(dict.fromkeys(_words(text[position : run.start()])))
        characters = run.group()
        pairs = (characters[i : i + 2] for i in range(max(1, len(characters) - 1)))
        words.update(dict.fromkeys(pairs))
        position = run.end()
    words.update(dict.fromkeys(_words(text[position:])))
    telling = [word for word in words if word not in _STOP_WORDS]
    return (telling or list(words))[:MAX_QUERY_TERMS]


def match_expression(terms: list[str]) -> str:
    """Return the FTS5 expression that finds documents with any of the terms."""
    return " OR ".join(f'"{term}"*' if is_cjk(term) and len(term) == 1 else f'"{term}"' for term in terms)


def is_cjk(term: str) -> bool:
    """Whether a term of `query_terms` is of Chinese, Japanese or Korean characters."""
    return _CJK_RUN.match(term) is not None


def _bigrams(run: re.Match[str]) -> str:
    characters = run.group()
    return f" {' '.join(characters[i : i + 2] for i in range(len(characters)))} "


def _words(text: str) -> list[str]:
    # Combining marks belong to the word: in Devanagari, for one, they are its vowels.
    return "".join(c if c.isalnum() or unicodedata.category(c)[0] == "M" else " " for c in text).split()
