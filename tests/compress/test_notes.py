"""Notes: read, checked, shown; and the material they are made from."""

from _histories import call_of
from hypothesis import given
from hypothesis import strategies as st

from agentinfer import Message, View
from agentinfer.compress._cut import Step, steps_of
from agentinfer.compress._lexical import scores, words_of
from agentinfer.compress._notes import (
    INSTRUCTIONS,
    Note,
    extract,
    notes_request,
    read_notes,
    render,
    same_prefix_request,
)
from agentinfer.compress._put_away import task_of
from agentinfer.compress._sources import Source, plain, sources_of
from agentinfer.compress._writer import _batches
from agentinfer.tools import fence

LAOS = Source(1, "w1", 2, "Laos\nThe capital of Laos is Vientiane. It has 7.5 million people.")
MALI = Source(2, "https://example.org/mali", 3, "Mali\nThe capital of Mali is Bamako. It lies on the Niger.")
TASK = "Which of the two capitals lies on a river?"


def lines(text: str, earlier: tuple[str, ...] = ()) -> list[str]:
    return [str(note) for note in read_notes(text, [LAOS, MALI], TASK, earlier).notes]


def test_each_note_names_the_document_and_the_step() -> None:
    written = (
        "Here are the notes:\n- The capital of Laos is Vientiane [1]\n* Bamako lies on the Niger. (S2)\n2. nothing"
    )
    assert lines(written) == [
        "- The capital of Laos is Vientiane [w1, step 2]",
        "- Bamako lies on the Niger. [https://example.org/mali, step 3]",
    ]


def test_a_note_that_names_the_wrong_source_or_none_gets_the_one_that_supports_it() -> None:
    assert lines("- Bamako lies on the Niger [1]\n- Bamako is the capital [9]\nVientiane is in Laos") == [
        "- Bamako lies on the Niger [https://example.org/mali, step 3]",
        "- Bamako is the capital [https://example.org/mali, step 3]",
        "- Vientiane is in Laos [w1, step 2]",
    ]


def test_what_no_source_says_is_struck_out() -> None:
    read = read_notes("- Laos has 7.5 million people. Its king is Savang. [1]\n- Paris is nice [2]", [LAOS, MALI], TASK)
    assert [str(note) for note in read.notes] == ["- Laos has 7.5 million people. [w1, step 2]"]
    assert set(read.struck) == {"Savang", "Paris"}


def test_lines_about_the_task_or_about_notes_are_none() -> None:
    written = "- Which of the two capitals lies on a river?\n- I write down facts from here [1]\n- Niger: see Mali [2]"
    read = read_notes(written, [LAOS, MALI], TASK)
    assert [note.text for note in read.notes] == ["Niger: see Mali"]
    assert read.bad_lines == 2
    assert not read.good, "more bad lines than notes"
    assert read_notes("- It lies on the Niger [2]", [MALI], TASK).good
    assert not read_notes("nothing", [MALI], TASK).good
    again = "- It lies on the Niger [2]\n" + "- The capital of Mali is Timbuktu [2]\n" * 20
    assert read_notes(again, [MALI], TASK).good, "a model that goes in circles says one bad thing"


def test_notes_are_made_once() -> None:
    earlier = ("- Bamako lies on the Niger [https://example.org/mali, step 3]",)
    assert lines("- bamako lies on the Niger. [2]\n- The capital of Mali is Bamako [2]", earlier) == [
        "- The capital of Mali is Bamako [https://example.org/mali, step 3]"
    ]


@given(st.text(), st.lists(st.text(), max_size=3))
def test_whatever_a_model_writes_becomes_lines_that_name_a_source(text: str, pieces: list[str]) -> None:
    sources = [Source(number, f"d{number}", number, piece) for number, piece in enumerate(pieces, 1)]
    for note in read_notes(text, sources, TASK).notes:
        assert note.place in {source.place for source in sources}
        assert "\n" not in str(note)
        assert str(note).count("[") == 1


facts = st.lists(st.from_regex(r"[A-Z][a-z]{4,8} has [1-9][0-9]{3,5} ships", fullmatch=True), min_size=1, max_size=6)


@given(facts, facts)
def test_true_lines_stay_and_false_ones_go(true: list[str], false: list[str]) -> None:
    source = Source(1, "d", 1, ". ".join(true))
    said = {word for fact in true for word in fact.split()}
    false = [fact for fact in false if not set(fact.split()[:3:2]) <= said]
    read = read_notes("\n".join(f"- {fact} [1]" for fact in [*true, *false]), [source], "Count")
    assert {note.text for note in read.notes} == set(true)


def test_sources_are_the_documents_of_a_search() -> None:
    call, opened, odd = call_of(1), call_of(2, "open_document", id="w7", page=2), call_of(3, "clock", zone=1)
    shown = "[w1] Laos\nA country.\n\n[w2] Mali\nAnother [one].\n\nStill Mali.\n\nLeft out as less fitting: [w3] Paris"
    results = (
        Message.tool(call, shown),
        Message.tool(opened, fence("The title\nA text", "abc")),
        Message.tool(odd, "12:00"),
    )
    step = Step(4, 2, (call, opened, odd), results)
    assert sources_of([step], ["call_1", "call_2", "call_3"]) == [
        Source(1, "w1", 4, "Laos\nA country."),
        Source(2, "w2", 4, "Mali\nAnother [one].\n\nStill Mali."),
        Source(3, "w7", 4, "The title\nA text"),
        Source(4, "clock", 4, "12:00"),
    ]
    assert [source.name for source in sources_of([step], ["call_3"])] == ["clock"]


def test_what_two_searches_show_alike_is_one_source() -> None:
    calls = [call_of(1), call_of(2)]
    results = [
        Message.tool(calls[0], "[w1] Laos"),
        Message.tool(calls[1], "[w2] Mali\n\n[w1] Laos\n\n[w1] Laos is wide"),
    ]
    steps = [Step(at, 0, (call,), (result,)) for at, call, result in zip((4, 5), calls, results, strict=True)]
    assert sources_of(steps, ["call_1", "call_2"]) == [
        Source(1, "w1", 4, "Laos"),
        Source(2, "w2", 5, "Mali"),
        Source(3, "w1", 5, "Laos is wide"),
    ]


@given(st.text(), st.text(max_size=80))
def test_any_result_has_sources(content: str, arguments: str) -> None:
    call = call_of(1)
    call = type(call)(call.id, "tool", arguments)
    found = sources_of([Step(1, 0, (call,), (Message.tool(call, content),))], ["call_1"])
    assert found
    assert all("\n" not in source.place and "]" not in source.place for source in found)


def test_a_fence_is_no_part_of_the_material() -> None:
    result = Message.tool(call_of(1), fence("Read <me>", "nonce"))
    assert result.content.startswith("<tool-data nonce>")
    assert plain(result) == "Read <me>"


def test_material_is_fenced_and_numbered() -> None:
    system, *example, asked = notes_request([LAOS, MALI], TASK, "look at Laos first", "- a note", "abcd")
    assert system.content == INSTRUCTIONS
    assert [message.role for message in example] == ["user", "assistant"]
    assert TASK not in "".join(message.content for message in example)
    text = asked.content
    assert text.startswith(
        f"Task: {TASK}\n\nWhat the agent thought last: look at Laos first\n\nNotes so far:\n- a note"
    )
    assert text.index("<tool-data abcd>") < text.index("[1] w1\nLaos") < text.index("</tool-data abcd>")
    assert "[2] https://example.org/mali, step 3" in same_prefix_request([LAOS, MALI])


def test_results_of_earlier_questions_are_noted_for_those() -> None:
    call = call_of(1)
    before = [Message.user("first?"), Message.assistant("", tool_calls=[call]), Message.tool(call, "Much.")]
    view = View([*before, Message.assistant("one"), Message.user("second?")])
    assert task_of(view, steps_of(view), "second?") == "first?\nsecond?"
    assert task_of(view, [], "second?") == "second?"


def test_notes_are_shown_as_a_thought() -> None:
    note = Note("Bamako lies on the Niger", "w2, step 3")
    assert render([note], 1, 3, "") == (
        "My notes on the results of steps 1 to 3:\n- Bamako lies on the Niger [w2, step 3]"
    )
    fenced = render([note], 2, 2, "abcd")
    assert "step 2:\n<tool-data abcd>" in fenced
    assert fenced.endswith("</tool-data abcd>")
    assert render([], 1, 2, "abcd") == "My notes on steps 1 to 2: nothing in the results seemed to help."


def test_sentences_that_fit_are_taken_over_word_for_word() -> None:
    filler = Source(3, "w3", 3, "The weather was fine. Nobody came. It rained.")
    notes = extract([LAOS, filler, MALI], words_of("capital river Niger"), 120)
    assert [note.text for note in notes] == [
        "The capital of Laos is Vientiane.",
        "The capital of Mali is Bamako.",
        "It lies on the Niger.",
    ]
    assert extract([filler], words_of("capital"), 120) == []
    asking = Source(4, "w4", 3, "The question is still: Which capital lies on the Niger?")
    assert extract([asking], words_of("capital Niger"), 120) == []


@given(st.lists(st.text(), max_size=4), st.text(), st.integers(0, 500))
def test_an_extract_keeps_to_its_length_and_to_its_sources(pieces: list[str], wanted: str, characters: int) -> None:
    sources = [Source(number, f"d{number}", 1, piece) for number, piece in enumerate(pieces, 1)]
    notes = extract(sources, words_of(wanted), characters)
    assert sum(len(note.text) for note in notes) <= characters
    whole = "\n".join(pieces).replace("[", "(").replace("]", ")")
    assert all(" ".join(note.text.split()) in " ".join(whole.split()) for note in notes)


def test_rare_words_count_for_more() -> None:
    best = scores(["the river here", "the river Niger", "a town"], ["river", "niger"])
    assert best[1] > best[0] > best[2] == 0
    assert words_of("斯皮尔伯格 and the Niger") == ["斯皮", "皮尔", "尔伯", "伯格", "niger"]


@given(st.lists(st.text(min_size=1, max_size=60), max_size=8), st.integers(1, 40))
def test_all_of_the_material_is_given_in_pieces_that_fit(texts: list[str], limit: int) -> None:
    sources = [Source(number, f"d{number}", 1, text) for number, text in enumerate(texts, 1)]
    batches = _batches(sources, limit)
    assert all(0 < sum(len(part.text) for part in batch) <= limit for batch in batches)
    parts = [part for batch in batches for part in batch]
    for source in sources:
        assert "".join(part.text for part in parts if part.number == source.number) == source.text
