from agentinfer.corpus._snippet import WIDTH, snippet, term_pattern
from agentinfer.corpus._text import query_terms

FILLER = "Nothing of note stands in this sentence about the weather. "


def cut(text: str, query: str) -> str:
    return snippet(text, term_pattern(query_terms(query)))


def test_a_short_text_is_shown_whole_on_one_line() -> None:
    assert cut("One line.\n\n  Another  line.", "another") == "One line. Another line."


def test_the_passage_with_the_terms_is_cut_at_sentences() -> None:
    text = FILLER * 40 + "The capital of Chad is N'Djamena. " + FILLER * 40
    found = cut(text, "capital of Chad")
    assert "The capital of Chad is N'Djamena." in found
    assert found.startswith("Nothing")
    assert found.endswith("weather.")
    assert WIDTH / 2 < len(found) <= WIDTH + 20


def test_terms_together_beat_one_term_often() -> None:
    text = "Chad. " * 100 + FILLER * 20 + "Its capital, says Chad, is here. " + FILLER * 20
    assert "capital, says Chad" in cut(text, "capital Chad")


def test_endings_and_accents_do_not_hide_a_passage() -> None:
    text = FILLER * 20 + "Many visited São Tomé then. " + FILLER * 20
    assert "São Tomé" in cut(text, "sao tome visiting")


def test_chinese_passages() -> None:
    text = "今天天气很好。" * 100 + "北京是首都。" + "今天天气很好。" * 100
    assert "北京是首都。" in cut(text, "北京")


def test_without_a_match_it_is_the_beginning() -> None:
    assert cut("Start here. " + FILLER * 40, "absent").startswith("Start here.")


def test_a_text_without_borders_is_cut_with_ellipses() -> None:
    found = cut("x" * 1_000 + " needle" + "y" * 1_000, "needley")
    assert len(found) < WIDTH + 20
    assert found.endswith("…")
    assert cut("", "x") == ""


def test_what_the_title_says_does_not_choose_the_passage() -> None:
    text = "Laos is a country. " * 2 + "Nothing to see here. " * 60 + "Its capital is Vientiane. " + "Nor here. " * 60
    pattern = term_pattern(["capital", "laos"])
    assert "Vientiane" in snippet(text, pattern, title="Laos")
    assert "Vientiane" not in snippet(text.replace("capital", "centre"), pattern, title="Laos")


def test_what_is_hardly_too_long_is_shown_whole() -> None:
    text = "laos " + "word " * 130 + "end"
    assert 500 < len(text) <= 700
    assert snippet(text, term_pattern(["laos"])) == text
