"""What is in a note stands in its source, or is struck out."""

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from agentinfer.compress._check import Facts, sentences, strike, unsupported

JAWS = """Jaws (1975 film)
Jaws is a 1975 American thriller film directed by Steven Spielberg, born on 18 December 1946. It cost $9,000,000 and
took in 476.5 million; three sequels followed. The tagline was “Don't go in the water”. Its composer, John Williams,
won an award on 1976-03-29. Émile Müller-Lüdenscheidt liked the U.S. Navy's shark."""
SOURCE = Facts(JAWS)

TRUE = [
    "Steven Spielberg directed Jaws.",
    "Spielberg was born on December 18, 1946.",
    "Spielberg was born in December 1946.",
    "He was born on 1946-12-18.",
    "It cost 9,000,000 dollars.",
    "It cost 9000000 dollars.",
    "It took in 476.50 million.",
    "There were 3 sequels.",
    "One of the three sequels won one prize.",
    'The tagline was "don\'t go in the water".',
    "John Williams won an award on 29 March 1976.",
    "Emile Muller-Ludenscheidt liked it.",
    "Spielberg’s film is from 1975.",
]
FALSE = [
    ("Christopher Nolan directed Jaws.", ["Christopher", "Nolan"]),
    ("Nolan directed Jaws.", ["Nolan"]),
    ("Spielberg was born on 19 December 1946.", ["19 December 1946"]),
    ("Spielberg was born in March 1946.", ["March 1946"]),
    ("He was born on 1946-12-17.", ["1946-12-17"]),
    ("It cost 9,000 dollars.", ["9000"]),
    ("It took in 476.05 million.", ["476.05"]),
    ("There were 4 sequels.", ["4"]),
    ("There were nine sequels and Eleven prizes.", ["9", "11"]),
    ('The tagline was "go in the water now".', ["go in the water now"]),
    ("The film “Jaws 2” followed.", ["Jaws 2", "2"]),
    ("It opened in April.", ["April"]),
]


@pytest.mark.parametrize("claim", TRUE)
def test_what_the_source_says_stands(claim: str) -> None:
    assert unsupported(claim, SOURCE) == []


@pytest.mark.parametrize(("claim", "missing"), FALSE)
def test_what_it_does_not_say_is_missing(claim: str, missing: list[str]) -> None:
    assert unsupported(claim, SOURCE) == missing


def test_only_the_sentences_with_it_are_struck() -> None:
    kept, struck = strike("Spielberg directed Jaws. Nolan helped him. It is from 1975.", SOURCE)
    assert kept == "Spielberg directed Jaws. It is from 1975."
    assert struck == ["Nolan"]


def test_what_the_task_is_about_may_be_named() -> None:
    claim = "Universal released Jaws."
    assert unsupported(claim, SOURCE) == ["Universal"]
    assert unsupported(claim, SOURCE, Facts("Who runs Universal?")) == []
    assert unsupported("Universal is from 1912.", SOURCE, Facts("Universal, founded 1912")) == ["1912"]


def test_chinese() -> None:
    source = Facts("《大白鲨》是1975年6月20日上映的美国电影，由史蒂文·斯皮尔伯格执导。")
    assert unsupported("《大白鲨》于1975年6月20日上映。", source) == []
    assert unsupported("它于1975年7月上映。", source) == ["1975年7月"]
    assert unsupported("《侏罗纪公园》也是他的。", source) == ["侏罗纪公园"]


def test_sentences_do_not_end_at_abbreviations() -> None:
    assert sentences("J. K. Rowling met Dr. No. She left. 「はい。」と言った") == [
        "J. K. Rowling met Dr. No. She left.",
        "「はい。",
        "」と言った",
    ]
    assert sentences("It opened in 1975. Then it closed; nobody came\nEnd.") == [
        "It opened in 1975.",
        "Then it closed",
        "nobody came",
        "End.",
    ]


words = st.text(st.characters(categories=["Lu", "Ll", "Nd", "Po", "Pd", "Zs", "Lo", "Mn"]), min_size=1, max_size=40)


@example("0", "A\ufe20A", "0")
@example("0", "A\u1b12", "0")  # a letter that folding parts into a letter and a mark
@given(words, words, words)
def test_a_whole_source_supports_itself(before: str, claim: str, after: str) -> None:
    assert unsupported(claim, Facts(f"{before}\n{claim}\n{after}")) == []


names = st.from_regex(r"[A-Z][a-z]{3,9}", fullmatch=True)
numbers = st.integers(13, 10**9)


@given(st.lists(names, min_size=1, max_size=5), st.lists(numbers, max_size=4), names, numbers)
def test_nothing_that_is_not_there_gets_through(there: list[str], counts: list[int], name: str, number: int) -> None:
    source = Facts(" ".join(f"so {one} did" for one in there) + " " + " ".join(f"about {count}" for count in counts))
    assume(name.lower() not in source.folded)
    assume(str(number) not in {str(count) for count in counts})
    assert strike(f"{there[0]} saw {name}.", source)[0] == ""
    assert strike(f"{there[0]} saw {number} of them.", source)[0] == ""
    assert strike(f"{there[0]} saw {number:,} of them.", source)[0] == ""


@given(st.text(max_size=300), st.text(max_size=300))
def test_what_is_kept_stands_in_the_source(text: str, source: str) -> None:
    facts = Facts(source)
    kept, _ = strike(text, facts)
    for sentence in sentences(kept):
        digits = re.findall(r"\d+", sentence)
        assert not digits or facts.numbers or facts.dates


@given(st.text())
def test_any_text_can_be_checked(text: str) -> None:
    unsupported(text, Facts(text[::-1]))
    assert all(sentence.strip() for sentence in sentences(text))
