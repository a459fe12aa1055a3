"""What a model says of its progress, read from whatever it wrote."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentinfer.collab import Judgement, Verdict, judgement_in
from agentinfer.collab._verdict import render, without_blocks

BLOCK = "===PROGRESS===\n<reason>Found the film</reason>\n<value>TRUE</value>\n===END_PROGRESS==="


@pytest.mark.parametrize(
    ("text", "verdict", "reason"),
    [
        (BLOCK, "yes", "Found the film"),
        (f"I think so.\n{BLOCK}\nNow I search.", "yes", "Found the film"),
        (BLOCK.replace("TRUE", " false "), "no", "Found the film"),
        (BLOCK.lower(), "yes", "found the film"),
        ("=== PROGRESS === <value>No</value> === END PROGRESS ===", "no", ""),
        ("===PROGRESS=== <reason>x</reason> <value>TRUE</value> and then nothing", "yes", "x"),
        ("===PROGRESS===\nTRUE\n===END_PROGRESS===", "yes", ""),
        ("===PROGRESS===\n<reason>Not TRUE at all</reason>\nFALSE\n===END_PROGRESS===", "no", "Not TRUE at all"),
        ("===PROGRESS===\nTRUE or FALSE\n===END_PROGRESS===", "missing", ""),
        ("===PROGRESS===\n<value>MAYBE</value>\n===END_PROGRESS===", "missing", ""),
        ("===PROGRESS===", "missing", ""),
        (BLOCK + BLOCK, "yes", "Found the film"),
        (BLOCK + BLOCK.replace("TRUE", "FALSE"), "missing", "Found the film"),
        ("TRUE", "missing", ""),
        ("", "missing", ""),
        ('{"thought": "", "progress": {"reason": "a  b", "value": "TRUE"}, "action": "x"}', "yes", "a b"),
        ('{"progress": {"value": "false"}}', "no", ""),
        ('{"progress": true}', "yes", ""),
        ('{"progress": "FALSE"}', "no", ""),
        ('{"progress": 1}', "missing", ""),
        ('{"progress": {"value": ["TRUE"], "reason": 3}}', "missing", ""),
        ('```json\n{"progress": "TRUE"}\n```', "yes", ""),
        ('{"progress": "TRUE", "action": "corpus_search", "input": {"query"', "yes", ""),
    ],
)
def test_reading(text: str, verdict: Verdict, reason: str) -> None:
    assert judgement_in(text) == Judgement(verdict, reason)


@given(st.text() | st.text(alphabet='=PROGESND_<>/valuetrsonTRUEFALSE \n{}":'))
def test_anything_can_be_read(text: str) -> None:
    assert judgement_in(text).verdict in ("yes", "no", "missing")
    without_blocks(text)
    judgement_in("{" + text)


@given(st.sampled_from(["yes", "no"]), st.text(alphabet=st.characters(exclude_characters="<=")), st.text(), st.text())
def test_what_is_written_is_read(verdict: Verdict, reason: str, before: str, after: str) -> None:
    text = render(Judgement(verdict, reason))
    assert judgement_in(text).verdict == verdict
    framed = f"{before.replace('=', '')}\n{text}\n{after.replace('=', '')}"
    if not framed.lstrip().startswith(("{", "```")):
        assert judgement_in(framed).verdict == verdict
    assert without_blocks(framed) == "\n".join(
        part for piece in (before.replace("=", ""), after.replace("=", "")) if (part := piece.strip())
    )


@given(st.text())
def test_texts_without_blocks_stay_as_they_are(text: str) -> None:
    if "PROGRESS" not in text.upper():
        assert without_blocks(text) is text


def test_hostile_texts_take_no_time() -> None:
    texts = ["===PROGRESS===" * 20_000, "=" * 400_000, "===PROGRESS===<reason>" * 20_000, "<reason>" * 50_000 + BLOCK]
    started = time.process_time()
    for text in texts:
        judgement_in(text)
        without_blocks(text)
    assert time.process_time() - started < 10
    assert judgement_in(json.dumps({"progress": {"reason": "x" * 10_000, "value": "TRUE"}})).reason == "x" * 300
