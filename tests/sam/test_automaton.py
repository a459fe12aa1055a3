import gc
import random
import threading
from array import array
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentinfer.sam import _plain

Pieces = list[tuple[list[int], bool]]

PIECES = st.lists(st.tuples(st.lists(st.integers(0, 3), max_size=40), st.booleans()), max_size=6)
"""Pieces of a text over few tokens, so that much repeats, and whether the model wrote them."""


def flat(pieces: Pieces) -> tuple[list[int], list[bool]]:
    return [t for tokens, _ in pieces for t in tokens], [own for tokens, own in pieces for _ in tokens]


def brute_match(text: list[int], query: list[int]) -> int:
    """The length of the longest end of the query that stands in the text."""
    return next(
        length
        for length in range(len(query), -1, -1)
        if any(text[at : at + length] == query[len(query) - length :] for at in range(len(text) - length + 1))
    )


def brute_continuation(text: list[int], own: list[bool], context: list[int]) -> tuple[int, int, int] | None:
    """What follows a context, by looking at every place where it stands."""
    kept, kept_own, count, run = -1, False, 0, 0
    for at in range(len(context), len(text)):
        if text[at - len(context) : at] == context:
            run = run + 1 if count and text[at] == kept else 1
            if count == 0 or own[at] or not kept_own:
                kept, kept_own = text[at], own[at]
            count += 1
    return (kept, count, run) if count else None


def brute_draft(text: list[int], own: list[bool], k: int) -> list[int]:
    context = list(text)
    draft: list[int] = []
    while len(draft) < k:
        for length in range(min(len(context), _plain.CONTEXT), 0, -1):
            found = brute_continuation(text, own, context[-length:])
            if found is not None:
                break
        else:
            break
        draft.append(found[0])
        context.append(found[0])
    return draft


def made(path: ModuleType, pieces: Pieces) -> _plain.SuffixAutomaton:
    automaton: _plain.SuffixAutomaton = path.SuffixAutomaton()
    for tokens, own in pieces:
        automaton.extend(tokens, own=own)
    return automaton


@given(PIECES, st.lists(st.integers(0, 3), max_size=5))
def test_it_equals_brute_force(path: ModuleType, pieces: Pieces, context: list[int]) -> None:
    automaton = made(path, pieces)
    text, own = flat(pieces)
    assert len(automaton) == len(text)
    assert automaton.match_length == (brute_match(text[:-1], text[1:]) if text else 0)
    assert automaton.continuation(context) == brute_continuation(text, own, context)
    for length in range(1, min(len(text), 12) + 1):
        assert automaton.continuation(text[-length:]) == brute_continuation(text, own, text[-length:])
    automaton.extend([0])  # no trail leads beyond what others say
    assert automaton.draft(1)[0] == brute_draft([*text, 0], [*own, False], 1)


@given(PIECES, PIECES)
def test_a_cursor_equals_brute_force(path: ModuleType, pieces: Pieces, others: Pieces) -> None:
    automaton = made(path, pieces)
    cursor = path.Cursor(automaton)
    for tokens, own in others:
        cursor.follow(tokens, own=own)
    text, _ = flat(pieces)
    other, _ = flat(others)
    assert cursor.match_length == brute_match(text, other)


@given(PIECES, st.lists(st.integers(0, 3), max_size=40))
def test_a_cursor_in_a_text_that_grows(path: ModuleType, pieces: Pieces, other: list[int]) -> None:
    automaton = path.SuffixAutomaton()
    cursor = path.Cursor(automaton)
    text, _ = flat(pieces)
    for position, token in enumerate(other):
        cursor.follow([token])
        automaton.extend(text[position * 5 : position * 5 + 5])
    cursor.draft(5)
    assert cursor.match_length <= brute_match(text[: len(other) * 5], other)
    assert other[len(other) - cursor.match_length :] == [] or cursor.match_length <= len(other)


@given(PIECES)
def test_both_paths_give_the_same_numbers(path: ModuleType, pieces: Pieces) -> None:
    one, other = made(_plain, pieces), made(path, pieces)
    assert one.draft(20) == other.draft(20)
    assert one.draft(20, 0.3) == other.draft(20, 0.3)
    assert one.dump() == other.dump()


def test_the_paths_agree_on_a_long_text(path: ModuleType) -> None:
    draw = random.Random(7)
    words = [[draw.randrange(500) for _ in range(draw.randrange(2, 90))] for _ in range(40)]
    pieces = [(draw.choice(words), draw.random() < 0.5) for _ in range(300)]
    one, other = made(_plain, pieces), made(path, pieces)
    cursors = _plain.Cursor(one), path.Cursor(other)
    for tokens, own in pieces[::3]:
        for cursor in cursors:
            cursor.follow(tokens[: len(tokens) // 2], own=own)
        assert cursors[0].draft(30) == cursors[1].draft(30)
        assert cursors[0].match_length == cursors[1].match_length
    assert one.draft(100) == other.draft(100)


def test_a_repetition_is_continued_past_its_end(path: ModuleType) -> None:
    automaton = made(path, [([5] * 3000, True)])
    tokens, chances = automaton.draft(40)
    assert tokens == [5] * 40
    assert chances == sorted(chances, reverse=True)
    assert 0.4 < chances[9] <= 1


def test_evidence_makes_drafts_longer(path: ModuleType) -> None:
    phrase = list(range(10, 40))
    automaton = path.SuffixAutomaton()
    lengths = []
    for _ in range(8):
        automaton.extend([*phrase[:4]], own=True)
        lengths.append(len(automaton.draft(16, 0.5)[0]))
        automaton.extend([*phrase[4:], 1], own=True)
    assert lengths[0] == 0
    assert lengths == sorted(lengths)
    assert lengths[-1] == 16


def test_material_does_not_replace_what_the_model_wrote(path: ModuleType) -> None:
    assert made(path, [([1, 2], True), ([1, 3], False)]).continuation([1]) == (2, 2, 1)
    assert made(path, [([1, 2], False), ([1, 3], False)]).continuation([1]) == (3, 2, 1)
    assert made(path, [([1, 2], False), ([1, 3], True)]).continuation([1]) == (3, 2, 1)


def test_an_action_goes_on_as_it_did_with_another_value(path: ModuleType) -> None:
    automaton = made(path, [([1, 2, 3, 50, 51, 4, 5, 6], True), ([7], False), ([1, 2, 3, 60], True)])
    assert automaton.draft(4)[0] == [51, 4, 5, 6]
    automaton.extend([61], own=True)
    assert automaton.draft(3)[0] == [4, 5, 6]
    automaton.extend([7])
    assert automaton.draft(3)[0] == [1, 2, 3]


@pytest.mark.parametrize("value", [[60], [60, 61], list(range(60, 68))])
def test_a_value_may_be_shorter_or_longer(path: ModuleType, value: list[int]) -> None:
    action, other = [1, 2, 3, 50, 51, 52, 4, 5, 6], [7, 8, 4, 9, 9]
    automaton = made(path, [(action, True), ([0], False), (other, True), ([0], False), ([1, 2, 3, *value, 4], True)])
    assert automaton.continuation([4])[0] == 9  # type: ignore[index]
    assert automaton.draft(2)[0] == [5, 6]


def test_what_changes_every_time_is_not_expected_to_come_again(path: ModuleType) -> None:
    automaton = path.SuffixAutomaton()
    for value in range(100, 130):
        automaton.extend([0])
        automaton.extend([1, 2, 3, value, value + 50, 4, 5, 6], own=True)
    automaton.extend([0])
    assert automaton.draft(9, 0.3)[0] == [1, 2, 3]
    automaton.extend([1, 2, 3, 90, 91], own=True)
    tokens, chances = automaton.draft(3)
    assert tokens == [4, 5, 6]
    assert chances[-1] > 0.8


def test_a_cursor_keeps_to_its_trail(path: ModuleType) -> None:
    cursor = path.Cursor(made(path, [([1, 2, 3, 50, 51, 4, 5, 6], True)]))
    cursor.follow([1, 2, 3, 60, 61], own=True)
    assert cursor.draft(3)[0] == [4, 5, 6]
    cursor.follow([60])
    assert cursor.draft(3)[0] == []


def test_any_sequence_of_whole_numbers(path: ModuleType) -> None:
    numbers = [1, 2, 3, 1, 2]
    for tokens in (numbers, tuple(numbers), array("i", numbers), array("q", numbers), range(3)):
        automaton = path.SuffixAutomaton()
        automaton.extend(tokens)
        assert len(automaton) == len(tokens)


@pytest.mark.parametrize("wrong", [[1, -1], [2**31], [2**70], [1.5], ["a"], None, array("i", [-1]), 7])
def test_what_is_no_token_changes_nothing(path: ModuleType, wrong: object) -> None:
    automaton = made(path, [([1, 2, 1], True)])
    with pytest.raises((ValueError, TypeError)):
        automaton.extend(wrong)  # type: ignore[arg-type]
    assert len(automaton) == 3
    assert automaton.draft(1)[0] == [2]


def test_the_greatest_token(path: ModuleType) -> None:
    greatest = 2**31 - 1
    assert made(path, [([greatest, 0, greatest], False)]).draft(2)[0] == [0, greatest]


def test_calibrations_are_shared_and_kept(path: ModuleType) -> None:
    calibration = path.Calibration()
    automaton = path.SuffixAutomaton(calibration)
    for start in range(10, 400, 3):
        automaton.extend([start, start + 1, start + 2] * 2, own=True)
    other = path.Calibration()
    other.load(calibration.dump())
    assert other.dump() == calibration.dump()
    fresh, taught = path.SuffixAutomaton(), path.SuffixAutomaton(other)
    for one in (fresh, taught):
        one.extend([7, 8, 9, 7, 8], own=True)
    assert taught.draft(1)[1][0] > fresh.draft(1)[1][0]


@pytest.mark.parametrize("wrong", [[1.0], [float("nan")] * 2000, ["a"] * 1344])
def test_a_broken_calibration_is_refused(path: ModuleType, wrong: list[float]) -> None:
    calibration = path.Calibration()
    automaton = path.SuffixAutomaton(calibration)
    automaton.extend([1, 2, 3, 1, 2, 4, 1, 2], own=True)
    before = calibration.dump()
    assert len(before) >= 6
    with pytest.raises((ValueError, TypeError)):
        calibration.load(wrong)
    for spoilt in ([-1.0, *before[1:]], [0.5, *before[1:]], [*before, *before], before[:-1], [0.0, 1.0, 2.0]):
        with pytest.raises(ValueError, match="not what"):
            calibration.load(spoilt)
    assert calibration.dump() == before


def test_other_threads_run_while_much_is_added(path: ModuleType) -> None:
    if path is _plain:
        pytest.skip("it never leaves the interpreter")
    automaton = path.SuffixAutomaton()
    tokens = [random.randrange(50) for _ in range(60_000)]
    thread = threading.Thread(target=automaton.extend, args=(tokens,))
    thread.start()
    while thread.is_alive():  # used meanwhile, it says so or answers; it never breaks
        try:
            automaton.draft(4)
        except RuntimeError as error:
            assert "another thread" in str(error)  # noqa: PT017 - both outcomes are right
    thread.join()
    assert len(automaton) == 60_000


def test_a_cursor_keeps_its_automaton(path: ModuleType) -> None:
    cursor = path.Cursor(made(path, [([1, 2, 3], False)]))
    gc.collect()
    cursor.follow([1])
    assert cursor.draft(2)[0] == [2, 3]
    assert made(path, [([1, 2, 3], False)]).memory > 0


def test_a_draft_begins_once_its_arguments_are_read(path: ModuleType) -> None:
    if path is _plain:
        pytest.skip("it takes numbers as they are")
    automaton: Any = made(path, [([1, 2, 3], False)])
    cursor = path.Cursor(automaton)

    class Floor:
        def __float__(self) -> float:
            automaton.extend([9, 1, 2])
            cursor.follow([1, 2])
            return 0.0

    assert automaton.draft(2, Floor())[0] == [3, 9]
    assert cursor.draft(2, Floor())[0] == [9, 1]
