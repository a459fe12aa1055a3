"""Notes: what the model that writes them is told, what it wrote, checked, and what the agent is shown."""

import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from agentinfer.compress._check import Facts, sentences, strike
from agentinfer.compress._lexical import scores, words_of
from agentinfer.compress._sources import Source
from agentinfer.tools import fence
from agentinfer.transcript import Message, View

__all__ = [
    "HEADING",
    "INSTRUCTIONS",
    "MATERIAL_TOKENS",
    "Note",
    "Read",
    "extract",
    "notes_request",
    "read_notes",
    "render",
    "same_prefix_request",
]

INSTRUCTIONS = """\
You keep the notes of an agent at work on a task. Write down from the material what the task needs: facts with their \
names, numbers and dates exactly as the material has them. One fact to a line, with the number of its source:
- fact [1]
No introduction and no opinion. Leave out what the notes have already and what does not help. \
Where nothing helps, write: nothing"""

_EXAMPLE_TASK = "In which town was the wife of the inventor of the Harrow lamp born?"
_EXAMPLE_SOURCES = (
    Source(1, "12", 1, "Harrow lamp\nThe Harrow lamp is a miner's lamp of 1843, an invention of Edwin Marrow."),
    Source(2, "40", 1, "Harrow (tool)\nA harrow is a farm implement that breaks up the soil."),
    Source(
        3, "31", 1, "Ada Linton\nAda Linton (1809-1871) was a painter. In 1830 she became the wife of Edwin Marrow."
    ),
)
_EXAMPLE_NOTES = """\
- The Harrow lamp of 1843 is an invention of Edwin Marrow. [1]
- Ada Linton (1809-1871), a painter, became the wife of Edwin Marrow in 1830. [3]"""

_ASK = "The notes on this material, facts of it alone, one to a line with the number of the source:"
"""Behind the material, where small models have forgotten what stands before it and write the example's notes again."""

MATERIAL_TOKENS = 3_000
"""Of one call for notes at most: calls are made side by side, and small models lose their way in more."""

HEADING = "My notes on "
"""What notes begin with."""

_NUMBERED = re.compile(r"[\[(]\s*(?:S|source\s*)?(\d{1,4})\s*[\])]", re.IGNORECASE)
_BULLET = re.compile(r"^\s*(?:[-*•–]|\d{1,3}[.)])\s+")
_STOP = re.compile(r"(?<=[.!?])\s+")
_BRACKETS = str.maketrans("[]", "()")
LEAST_SHARED = 1 / 3
"""Of the words of a note: how many stand in its source. Lines about notes as such have fewer."""
NOTE_CHARS = 600
"""Characters of one note; what a model writes beyond is no note."""
SENTENCE_CHARS = 300
"""Characters of a sentence taken over word for word."""


@dataclass(frozen=True, slots=True)
class Note:
    """One fact, and where it stands."""

    text: str
    place: str
    """The document and the step."""

    def __str__(self) -> str:
        return f"- {self.text} [{self.place}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """What a model's notes came to."""

    notes: tuple[Note, ...]
    struck: tuple[str, ...]
    """Names, numbers, dates and quotes that no source has; the sentences with them are gone."""
    bad_lines: int = 0
    """Different lines that said something else than a source, or nothing that is not in the task."""

    @property
    def good(self) -> bool:
        """Whether to go by them: there are some, and no more bad lines than notes."""
        return bool(self.notes) and self.bad_lines <= len(self.notes)


def notes_request(sources: Sequence[Source], task: str, thoughts: str, earlier: str, nonce: str) -> View:
    """What a model that has not seen the history is asked: with an example, else small ones answer the task instead.

    Args:
        sources: The material.
        task: What the agent works on.
        thoughts: What it thought last.
        earlier: The notes so far.
        nonce: The word of the fence around the material.
    """
    return View(
        [
            Message.system(INSTRUCTIONS),
            Message.user(_material(_EXAMPLE_SOURCES, _EXAMPLE_TASK, "", "", nonce)),
            Message.assistant(_EXAMPLE_NOTES),
            Message.user(_material(sources, task, thoughts, earlier, nonce)),
        ]
    )


def _material(sources: Sequence[Source], task: str, thoughts: str, earlier: str, nonce: str) -> str:
    pieces = "\n\n".join(f"[{source.number}] {source.name}\n{source.text}" for source in sources)
    parts = [f"Task: {task}"]
    if thoughts:
        parts.append(f"What the agent thought last: {thoughts}")
    if earlier:
        parts.append(f"Notes so far:\n{earlier}")
    return "\n\n".join([*parts, fence(pieces, nonce), _ASK])


def same_prefix_request(sources: Sequence[Source]) -> str:
    """What the agent's own model is told behind its own history, which has the material."""
    listed = "\n".join(f"[{source.number}] {source.place}" for source in sources)
    return (
        f"Pause your task. Your tools' results from these sources will be put away:\n{listed}\n\n"
        f"{INSTRUCTIONS.replace('You keep the notes of an agent at work on a task. Write', 'Write')}\n"
        "Do not call a tool. Answer with the notes only."
    )


def read_notes(text: str, sources: Sequence[Source], task: str, earlier: Sequence[str] = ()) -> Read:
    """The notes in what a model wrote, each with a source that supports it.

    A line is checked against the source it names, then against the others. Sentences that no source supports are
    struck out.

    Args:
        text: What the model wrote.
        sources: The material it was given.
        task: What the agent works on: its words may be named anywhere.
        earlier: The lines of notes there are; they are not made twice.
    """
    facts = {source.number: Facts(f"{source.name}\n{source.text}") for source in sources}
    by_number = {source.number: source for source in sources}
    words = {source.number: frozenset(words_of(f"{source.name} {source.text}")) for source in sources}
    context, asked = Facts(task), frozenset(words_of(task))
    notes: dict[str, Note] = {}
    known = {_key(line) for line in earlier}
    struck: list[str] = []
    bad: set[str] = set()
    for line in text.splitlines():
        claim = " ".join(_BULLET.sub("", line).split())
        named = [int(found) for found in _NUMBERED.findall(claim)]
        claim = _NUMBERED.sub("", claim).translate(_BRACKETS).strip(" -:")[:NOTE_CHARS]
        if len(claim.split()) < 2 and not re.search(r"[^\x00-\x7f]{4}", claim):  # "nothing", "Notes:"
            continue
        if _key(claim) in known:
            continue
        order = [number for number in named if number in facts] + [n for n in facts if n not in named]
        tries = [(number, *strike(claim, facts[number], context)) for number in order]
        if not tries:
            continue
        number, supported, missing = max(tries, key=lambda one: len(one[1]))  # the first of the best
        struck += missing
        kept = " ".join(said for said in sentences(supported) if _tells(said, words[number], asked))
        if missing or not kept:
            bad.add(_key(claim))
        if kept and _key(kept) not in known:
            notes.setdefault(_key(kept), Note(kept, by_number[number].place))
    return Read(notes=tuple(notes.values()), struck=tuple(struck), bad_lines=len(bad))


def extract(sources: Sequence[Source], wanted: Iterable[str], characters: int) -> list[Note]:
    """The sentences of the sources that fit best, word for word, in their order; those that ask are none of them.

    Args:
        sources: The material.
        wanted: What is looked for.
        characters: How long they may be together.
    """
    pieces = [(source, part) for source in sources for whole in sentences(source.text) for part in _parts(whole)]
    fits = scores([f"{source.name} {sentence}" for source, sentence in pieces], wanted)
    chosen: dict[str, int] = {}
    for position in sorted(range(len(pieces)), key=lambda at: -fits[at]):
        sentence = pieces[position][1]
        if sentence.endswith("?"):  # what searches were for stands in their results, and fits best of all
            continue
        if fits[position] > 0 and sentence not in chosen and len(sentence) <= characters:
            chosen[sentence] = position
            characters -= len(sentence)
    return [
        Note(sentence.translate(_BRACKETS), pieces[position][0].place)
        for sentence, position in sorted(chosen.items(), key=lambda one: one[1])
    ]


def render(notes: Sequence[Note], first: int, last: int, nonce: str) -> str:
    """The notes as the agent would have written them.

    Args:
        notes: The notes.
        first: The first step whose results they are about.
        last: The last one.
        nonce: The word of the fence, where strangers wrote the material; else empty.
    """
    steps = f"step {first}" if first == last else f"steps {first} to {last}"
    if not notes:
        return f"{HEADING}{steps}: nothing in the results seemed to help."
    lines = "\n".join(map(str, notes))
    return f"{HEADING}the results of {steps}:\n{fence(lines, nonce) if nonce else lines}"


def _tells(claim: str, source: frozenset[str], asked: frozenset[str]) -> bool:
    """Whether a claim has words of its source, and others than the task."""
    words = frozenset(words_of(claim))
    return bool(words - asked) and len(words & source) >= LEAST_SHARED * len(words)


def _parts(sentence: str) -> list[str]:
    """A sentence, or parts of one that is too long: up to its stops, else up to a blank."""
    if len(sentence) <= SENTENCE_CHARS:
        return [sentence]
    return [line for part in _STOP.split(sentence) for line in textwrap.wrap(part, SENTENCE_CHARS)]


def _key(line: str) -> str:
    text = re.sub(r"\s*\[[^\]]*\]\s*$", "", _BULLET.sub("", line))
    return " ".join(text.casefold().strip(" .").split())
