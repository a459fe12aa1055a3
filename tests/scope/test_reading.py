"""Whatever a model answers is read, or is nothing."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentinfer.scope._reading import (
    read_bool,
    read_choice,
    read_classification,
    read_confidence,
    read_draft,
    read_index,
    read_object,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from([10**320, -(10**320)]) | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (0.9, 0.9), (1, 1.0), (0, 0.0), ("0.9", 0.9), ("0,9", 0.9), (".9", 0.9), (90, 0.9), ("90%", 0.9), (7, 0.7),
        ("9/10", 0.9), ("nine out of ten", 0.9), ("ninety five percent", 0.95), ("zero point nine", 0.9),
        ("HIGH", 0.9), ("Very High", 0.95), ("medium", 0.6), ("fairly high, I think", 0.9), ("low.", 0.3), ([0.8], 0.8),
        (math.nan, None), (math.inf, None), (-1, None), (1000, None), ("150%", None), ("-0.5", None), ("NaN", None),
        ("1e400", None), (True, None), ([0.1, 0.2], None), ({}, None), (None, None), ("", None), ("7/0", None),
    ],
)  # fmt: skip
def test_a_confidence(said: Any, read: float | None) -> None:
    assert read_confidence(said) == read


def test_a_confidence_in_very_long_numbers() -> None:
    long = "1" * 400
    for said in (10**320, -(10**320), long, f"{long}%", f"{long}/{long}", f"{long} out of 10"):
        assert read_confidence(said) is None
    assert read_confidence(f"5 out of {long}") == read_confidence(f"5/{long * 20}") == 0.0
    draft = read_draft(f'{{"guideline": "Search by name.", "confidence": {10**320}}}')
    assert draft is not None
    assert draft.confidence is None


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (True, True), (False, False), ("false", False), ("False", False), ("TRUE", True), ("no", False), (0, False),
        (1, True), (["true"], True), ([True, False], None), ("perhaps", None), (None, None), (2, None), ({}, None),
    ],
)  # fmt: skip
def test_a_truth_value(said: Any, read: bool | None) -> None:
    assert read_bool(said) is read


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("STRATEGIC", "strategic"), (" Tactical. ", "tactical"), (["strategic"], "strategic"),
        ("strategic or tactical", None), ("strategically", None), (7, None), (["strategic", "tactical"], None),
    ],
)  # fmt: skip
def test_a_choice(said: Any, read: str | None) -> None:
    assert read_choice(said, ("strategic", "tactical")) == read


@pytest.mark.parametrize(("said", "read"), [(1, 1), ("1", 1), ("candidate 0", 0), (1.0, 1), (2, None), (-1, None),
                                            (True, None), ("none", None), (math.nan, None), ([1], 1)])  # fmt: skip
def test_an_index(said: Any, read: int | None) -> None:
    assert read_index(said, 2) == read


@given(JSON)
def test_nothing_that_is_json_raises(value: Any) -> None:
    for answer in (value, {"guideline": value, "confidence": value, "scope": value, "duplicate": value}, [value]):
        text = json.dumps(answer)
        draft = read_draft(text)
        assert draft is None or draft.confidence is None or 0 <= draft.confidence <= 1
        classified = read_classification(text, domains=("tools",), ids=("g-1",))
        assert classified.confidence is None or 0 <= classified.confidence <= 1
        assert classified.domain in (None, "tools")
        read_index(value, 3)


@given(st.text())
def test_nothing_that_is_text_raises(text: str) -> None:
    read_draft(text)
    read_classification(text, domains=(), ids=())


def test_the_object_in_whatever_stands_around_it() -> None:
    assert read_object('```json\n{"A": 1}\n```') == {"a": 1}
    assert read_object('[{"a": 1}, {"a": 2}]') == {"a": 1}
    assert read_object('{"thought": "x", "action": "final_answer", "input": {"Rule": "y"}}') == {"rule": "y"}
    assert read_object("I do not know") == {}


def test_a_draft_on_one_line_without_bullets() -> None:
    draft = read_draft('{"update_text": "- Search\\nby \\u202ename.", "confidence": "high", "rationale": null}')
    assert draft is not None
    assert (draft.text, draft.confidence, draft.rationale) == ("Search by name.", 0.9, "")
    for nothing in ('{"guideline": ""}', '{"guideline": "none"}', '{"guideline": ["a", "b"]}', "{}", '"text"'):
        assert read_draft(nothing) is None


def test_an_unknown_id_is_no_duplicate() -> None:
    said = '{"scope": "STRATEGIC", "confidence": "0.9", "domain": "Tools", "duplicate": "false", "duplicate_of": "g-9"}'
    read = read_classification(said, domains=("tools", "search"), ids=("g-1",))
    assert (read.strategic, read.confidence, read.domain) == (True, 0.9, "tools")
    assert (read.duplicate, read.duplicate_of) == (False, None)
