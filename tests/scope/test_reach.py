"""What binds a draft to its task, and what says nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentinfer.scope._reach import Task, binding_of, emptiness_of

TOLD = (
    "You answer questions from documents. Search for names in a few words. Never make a search twice: change its words."
)
MAGAZINES = Task(
    question="Are both magazines, the Woman's Viewpoint and Pick Me Up, British publications?",
    instructions=TOLD,
    called='{"query": "pick me up publisher Bauer"}',
    answer="no",
)
SONG = Task(
    question="Who wrote a song after a luau in the Koolauloa District in 1947?",
    instructions=TOLD,
    called='{"query": "Hukilau"}',
    answer="jack owens",
)


@pytest.mark.parametrize(
    ("text", "task", "bound"),
    [
        ("Search for Pick Me Up and its country.", MAGAZINES, "names Pick"),
        ("Check first whether it is BRITISH.", MAGAZINES, "names BRITISH"),
        ("Ask who owns Bauer before you answer.", MAGAZINES, "names Bauer"),
        ("Read of the Viewpoint's owner.", MAGAZINES, "names Viewpoint"),
        ("Compare the magazines, publications and viewpoint papers.", MAGAZINES, "names viewpoint"),
        ("Search for songs of the koolauloa shore.", SONG, "names koolauloa"),
        ("Look at the year 1947 first.", SONG, "names 1947"),
        ("When asked for a writer, answer Jack Owens.", SONG, "holds the answer"),
        ("When asked for a writer, say JACK OWENS!", SONG, "holds the answer"),
        ("In step 3 change the words.", SONG, "tells of step 3"),
        ("Search for who wrote the song at the luau.", SONG, "is about its own question: luau, song, wrote"),
    ],
)
def test_what_binds_it(text: str, task: Task, bound: str) -> None:
    assert binding_of(text, task) == bound


@pytest.mark.parametrize(
    "text",
    [
        "Look up each of the two things by itself before you compare them.",
        "When a search brings the same passages again, open one of the documents.",
        "For a song, search for its writer by the title.",
        "Answer no only when a document says so.",
        "After 2 searches without a new passage, open a document.",
        "",
    ],
)
@pytest.mark.parametrize("task", [MAGAZINES, SONG, Task(question="")])
def test_what_other_tasks_can_use(text: str, task: Task) -> None:
    assert binding_of(text, task) is None


@pytest.mark.parametrize(
    "text",
    [
        "Be careful and thorough.",
        "Always provide accurate and relevant information to the user.",
        "Ensure that your answers are correct and complete.",
        "Search carefully.",
        "Never make a search twice; change its words.",
    ],
)
def test_what_says_nothing(text: str) -> None:
    assert emptiness_of(text, TOLD) is not None


@pytest.mark.parametrize(
    "text",
    [
        "After two searches with the same passages, open the best document.",
        "Search for the date of each event before you say which was first.",
        "Bei Fehlern das Archiv öffnen.",
        "先查人名，再查日期。",
    ],
)
def test_what_says_something(text: str) -> None:
    assert emptiness_of(text, TOLD) is None


@given(st.text(), st.text(), st.text(), st.text())
def test_no_text_raises_and_an_answer_is_always_found(text: str, question: str, called: str, answer: str) -> None:
    task = Task(question=question, instructions=called, called=called, answer=answer)
    binding_of(text, task)
    emptiness_of(text, question)
    assert binding_of("Say Zyxomma marina to whoever asks.", Task(question=question, answer="zyxomma marina"))
