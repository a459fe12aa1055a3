"""How far a draft reaches: no further than its own task, to other tasks too, or nowhere, since it says nothing.

Small models write down the names of the question they have just seen, or that one should be careful. Pure functions of
words find most of that; they know English, and let pass what they do not know.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from agentinfer.scope._guideline import key_of

__all__ = ["Task", "binding_of", "emptiness_of"]

SHARED = 3
"""Words of its question that a draft may not reach: with so many of them it is about that question."""
LEAST = 2
"""Words that a draft has to say something with."""
TOLD = 0.8
"""A draft that shares as many of its words with one sentence of the instructions repeats it."""
_SENTENCE = re.compile(r"[.!?]\s+|\n+")
_TOKEN = re.compile(r"[^\W_][\w'’-]*")
_STEP = re.compile(r"\bsteps? \d", re.IGNORECASE)


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_FUNCTION = _set(
    """a about after again all also always an and another any are as at be because been before being between both but
    by can could did do does each either else every few for from had has have having he her his how i if in
    instead into is it its just last less like made make many may more most much must need needed never new next
    no not of on once one only or other our out over own same she should since so some such than that the their
    them then there these they this those through to too two until up us use used using very was we were what when
    where whether which while who whom whose why will with without would yes you your"""
)
"""Words that say nothing by themselves."""

_USUAL = _set(
    """agent answer ask attempt avoid call change check collection compare confirm document documents fact facts
    fetch find first information look name names open page pages passage passages query question questions read
    repeat repeated result results search searched searches searching second source sources step steps stop task
    term terms title titles tool tools try twice verify word words"""
)
"""What every agent does, and with what: no question owns these."""

_VAGUE = _set(
    """accuracy accurate accurately appropriate appropriately attention best better careful carefully clear clearly
    complete completely concise confident consistent consistently correct correctly detail detailed details
    diligent effective effectively efficiency efficient efficiently ensure error errors focus follow following
    good help helpful important improve information instructions mindful mistake mistakes necessary pay possible
    precise precisely proper properly provide provided provides question questions relevant reliable remember
    response responses specific stay sure task tasks thorough thoroughly try understand user"""
)
"""Words that nobody can act on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a run was about."""

    question: str
    instructions: str = ""
    """The agent's: words of these belong to every task."""
    called: str = ""
    """The arguments of its calls."""
    answer: str = ""


def binding_of(text: str, task: Task) -> str | None:
    """What binds a draft to its own task: a name or a number, the answer, or many words of the question.

    Names are words with digits or a capital within a sentence; a short one has to be written alike.
    """
    if found := _STEP.search(text):
        return f"tells of {found[0]}"
    usual = _FUNCTION | _USUAL | _words(task.instructions)
    answer = key_of(task.answer)
    if len(answer) > 2 and not set(answer.split()) <= usual and f" {answer} " in f" {key_of(text)} ":
        return "holds the answer"
    names = {*_names(task.question), *_names(task.answer), *_names(task.called, all_capitals=True)}
    folded = {name.casefold() for name in names if len(name) > 4}
    for word in _TOKEN.findall(text):
        plain = word.removesuffix("'s").removesuffix("’s")
        if plain.casefold() not in usual and (plain in names or plain.casefold() in folded):
            return f"names {plain}"
    shared = _subjects(task.question, usual) & _subjects(text, usual)
    return f"is about its own question: {', '.join(sorted(shared))}" if len(shared) >= SHARED else None


def emptiness_of(text: str, instructions: str) -> str | None:
    """Why a draft tells an agent nothing: nothing in it can be acted on, or its instructions say it already."""
    said = _words(text) - _FUNCTION
    if text.isascii() and len(said - _VAGUE) < LEAST:
        return "too general to act on"
    told = (_words(sentence) for sentence in _SENTENCE.split(instructions))
    if said and any(len(said & words) >= TOLD * len(said) for words in told):
        return "the instructions say it already"
    return None


def _names(text: str, *, all_capitals: bool = False) -> Iterable[str]:
    """Words with digits or a capital; the first one of a sentence has a capital anyway."""
    for sentence in _SENTENCE.split(text):
        for number, word in enumerate(_TOKEN.findall(sentence)):
            plain = word.removesuffix("'s").removesuffix("’s")
            if (len(plain) > 1 and any(c.isdigit() for c in plain)) or (
                plain[0].isupper() and (number or all_capitals)
            ):
                yield plain


def _words(text: str) -> set[str]:
    return set(key_of(text.replace("_", " ")).split())


def _subjects(text: str, usual: frozenset[str]) -> set[str]:
    return {word for word in _words(text) - usual if len(word) > 3}
