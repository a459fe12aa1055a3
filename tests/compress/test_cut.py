"""Legal cuts only."""

import dataclasses

from _histories import histories, history
from _scripted import unanswered
from hypothesis import given
from hypothesis import strategies as st

from agentinfer import Message, ToolCall, View
from agentinfer.compress._cut import Cut, cuttable, is_whole, make_cut, steps_of, stub
from agentinfer.compress._stubs import missing_texts


def cut_of(view: View, *, recent: int, least: int, notes: str | None = "notes", whole_steps: bool = False) -> Cut:
    steps = cuttable(steps_of(view), recent=recent, least=least)
    places = {m.tool_call_id: at for at, m in enumerate(view) if m.role == "tool"}
    stubs = {
        r.tool_call_id or "": stub(r, places[r.tool_call_id], f"result-{places[r.tool_call_id]}", noted=True)
        for step in steps
        for r in step.results
        if is_whole(r, least)
    }
    return make_cut(steps, stubs, notes, whole_steps=whole_steps)


settings = {"recent": st.integers(0, 4), "least": st.integers(0, 400)}


@given(histories(), st.fixed_dictionaries(settings))
def test_everything_else_stays_word_for_word(view: View, chosen: dict[str, int]) -> None:
    cut = cut_of(view, recent=chosen["recent"], least=chosen["least"])
    shorter = cut.apply(view)
    if shorter is None:
        assert not cut.originals
        return
    assert not unanswered(shorter)
    rest = [m for m in shorter if m.role != "tool" and m.stands_for is None]
    assert rest == [m for m in view if m.role != "tool"]
    results = [m for m in shorter if m.role == "tool"]
    assert [m.tool_call_id for m in results] == [m.tool_call_id for m in view if m.role == "tool"]
    for before, after in zip([m for m in view if m.role == "tool"], results, strict=True):
        if before.tool_call_id in cut.originals:
            assert after.stands_for is not None
            assert view[after.stands_for[0]] is before, "each part points back to what it stands for"
        else:
            assert after is before


@given(histories(), st.fixed_dictionaries(settings))
def test_recent_and_short_results_stay(view: View, chosen: dict[str, int]) -> None:
    cut = cut_of(view, recent=chosen["recent"], least=chosen["least"])
    steps = steps_of(view)
    recent = [r for step in steps[max(len(steps) - chosen["recent"], 0) :] for r in step.results]
    assert not {r.tool_call_id for r in recent} & cut.originals.keys()
    assert all(len(message.content) > chosen["least"] for message in cut.originals.values())


@given(histories(), st.fixed_dictionaries(settings))
def test_notes_stand_behind_the_last_step_that_lost_a_result(view: View, chosen: dict[str, int]) -> None:
    cut = cut_of(view, recent=chosen["recent"], least=chosen["least"])
    shorter = cut.apply(view)
    if shorter is None:
        return
    (at,) = [position for position, message in enumerate(shorter) if message is cut.notes]
    behind = {message.tool_call_id for message in shorter[at:]}
    assert not behind & cut.originals.keys()
    step = steps_of(shorter[:at])[-1]
    assert step.end == at
    assert {result.tool_call_id for result in step.results} & cut.originals.keys()


@given(histories(), st.fixed_dictionaries(settings), st.integers(0, 2))
def test_a_second_cut_leaves_the_first_as_it_is(view: View, chosen: dict[str, int], later: int) -> None:
    first = cut_of(view, recent=chosen["recent"] + later, least=chosen["least"]).apply(view)
    if first is None:
        return
    cut = cut_of(first, recent=chosen["recent"], least=chosen["least"], notes="more notes")
    again = cut.apply(first)
    if again is None:
        return
    assert not unanswered(again)
    before = [position for position, message in enumerate(first) if message.tool_call_id in cut.originals]
    assert all(message.stands_for is None for message in cut.originals.values())
    assert again[: before[0]] == first[: before[0]], "what is before the cut stays, byte for byte"
    assert [m for m in again if m.content == "notes"] == [m for m in first if m.content == "notes"]


@given(histories(), st.fixed_dictionaries(settings), st.data())
def test_a_cut_is_stale_once_a_result_has_changed(view: View, chosen: dict[str, int], data: st.DataObject) -> None:
    cut = cut_of(view, recent=chosen["recent"], least=chosen["least"])
    if not cut.originals:
        return
    name = data.draw(st.sampled_from(sorted(cut.originals)))
    changed = View(dataclasses.replace(m, content="else") if m.tool_call_id == name else m for m in view)
    assert cut.apply(changed) is None
    assert cut.apply(View(m for m in view if m.tool_call_id != name)) is None
    longer = view.append(Message.user("one more thing"))
    applied = cut.apply(longer)
    assert applied is not None
    assert applied[-1].content == "one more thing"


@given(histories(), st.fixed_dictionaries(settings))
def test_whole_steps_may_go_for_comparison(view: View, chosen: dict[str, int]) -> None:
    cut = cut_of(view, recent=chosen["recent"], least=chosen["least"], whole_steps=True)
    shorter = cut.apply(view)
    if shorter is None:
        return
    assert not unanswered(shorter)
    assert [m for m in shorter if m.role in ("user", "system")] == [m for m in view if m.role in ("user", "system")]
    assert not {m.tool_call_id for m in shorter} & cut.originals.keys()


def test_a_step_without_all_its_results_is_left_alone() -> None:
    view = history(3, parallel=2)
    broken = View(m for m in view if m.tool_call_id != "call_2")
    assert [step.number for step in steps_of(view)] == [1, 2, 3]
    assert [step.position for step in steps_of(broken)] == [4, 7]


def test_a_stub_says_where_the_text_is() -> None:
    result = history(1)[3]
    assert stub(result, 3, "result-7", noted=True).content == "(see the notes below; full text: result-7)"
    assert stub(result, 3, None, noted=False).content == "(no longer shown)"
    clipped = stub(result, 3, "result-7", noted=False, clip=True).content
    assert clipped.startswith(result.content[:600])
    assert clipped.endswith(result.content[-200:])
    assert "full text: result-7" in clipped


def test_a_clipped_result_may_name_anything_itself() -> None:
    call = ToolCall("call_1", "page", "{}")
    result = Message.tool(call, "It says full text: result-40 in here. " * 100)
    view = View([Message.assistant("", tool_calls=[call]), result])
    clipped = View([view[0], stub(result, 1, "result-1", noted=False, clip=True)])
    assert missing_texts(clipped, view, []) == {"result-1": result.content.encode()}


def test_steps_of_the_examples_are_none_of_the_run() -> None:
    view = history(4)
    steps, own = steps_of(view), steps_of(view, view[: steps_of(view)[1].end])
    assert [step.position for step in own] == [step.position for step in steps[2:]]
    assert [step.number for step in own] == [1, 2]


@given(histories())
def test_texts_that_are_gone_come_back_from_the_transcript(view: View) -> None:
    cut = cut_of(view, recent=0, least=10)
    shorter = cut.apply(view)
    if shorter is None:
        return
    missing = missing_texts(shorter, view, ["result-3"])
    assert missing == {
        f"result-{at}": message.content.encode()
        for at, message in enumerate(view)
        if message.tool_call_id in cut.originals and at != 3
    }
