"""What was retrieved, what was wasted, what it all sums up to."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from _made_up import record

from agentinfer import ToolCall, ToolResult, UserError
from agentinfer.corpus import Hit
from agentinfer.evals import Question, Record, Waste, recall, render_summary, retrieved, summarise, waste_of


def result(name: str, content: str, value: Any = None, outcome: Any = "ok") -> ToolResult:
    return ToolResult(call=ToolCall("1", name, "{}"), content=content, value=value, outcome=outcome)


def titles(results: Sequence[ToolResult]) -> list[str]:
    return [document.title for one in results for document in retrieved(one)]


def test_what_a_result_shows() -> None:
    hits = [Hit("1", "Jaws", "a film", 2.0), Hit("2", "Lucas", "a man", 1.0)]
    assert titles([result("corpus_search", "...", hits)]) == ["Jaws", "Lucas"]
    assert titles([result("my_search", "...", hits)]) == ["Jaws", "Lucas"]
    assert titles([result("open_document", "Jaws\nA film.\n[page 1 of 2]", "...")]) == ["Jaws"]
    assert titles([result("corpus_search", "[1] Jaws\na film\n\n[x-2] Lucas [born]\na man")]) == [
        "Jaws",
        "Lucas [born]",
    ]
    assert titles([result("corpus_search", "Nothing found.", [])]) == []
    assert titles([result("open_document", "no such document", None, "failed")]) == []
    assert titles([result("clock", "[1] 12 o'clock", "12")]) == []


def test_recall_is_the_share_of_the_supporting_titles() -> None:
    question = Question(id="q", question="?", answers=("a",), supporting_titles=("Alû", "Lilu (mythology)"))
    assert recall(question, ["alû", "Something"]) == 0.5
    assert recall(question, ["ALÛ ", "Lilu  (mythology)", "Alû"]) == 1.0
    assert recall(question, []) == 0.0
    assert recall(Question(id="q", question="?", answers=("a",)), ["Alû"]) is None


def step(index: int, *calls: dict[str, Any], tokens: tuple[int, int | None, int] = (100, 60, 10), **fields: Any) -> Any:
    prompt, cached, completion = tokens
    usage = {"prompt_tokens": prompt, "cached_tokens": cached, "completion_tokens": completion}
    return {"index": index, "text": "", "problem": None, "usage": usage, "calls": list(calls), **fields}


def made(
    outcome: str = "ok", *documents: tuple[str, str], arguments: str = "{}", opened: bool = False
) -> dict[str, Any]:
    shown = [{"id": title, "title": title, "text": text, "opened": opened} for title, text in documents]
    return {"outcome": outcome, "arguments": arguments, "documents": shown}


def trajectory(*steps: Any, answer: str | None = None, spent: int | None = None, events: Any = ()) -> dict[str, Any]:
    total = sum(s["usage"]["prompt_tokens"] + s["usage"]["completion_tokens"] for s in steps)
    usage = {"prompt_tokens": total if spent is None else spent, "completion_tokens": 0}
    return {
        "answer": answer,
        "given": [],
        "step_results": list(steps),
        "events": list(events),
        "usage_by_purpose": {"step": usage},
    }


def test_tokens_after_prefix_breaks_are_billed_again() -> None:
    events = [
        {"kind": "PrefixBreak", "lost_tokens": 30},
        {"kind": "StepStarted"},
        {"kind": "PrefixBreak", "lost_tokens": 5},
    ]
    assert waste_of(trajectory(events=events)).rebilled_tokens == 35


def test_steps_that_only_fail_repeat_or_cannot_be_read() -> None:
    waste = waste_of(
        trajectory(
            step(1, made("ok")),
            step(2, made("repeated"), tokens=(200, 150, 10)),
            step(3, made("failed"), made("ok")),
            step(4, made("failed"), made("bad_arguments"), tokens=(300, None, 20)),
            step(5, problem="not JSON", tokens=(400, 400, 30)),
            step(6, answer="x"),
        )
    )
    assert (waste.bad_steps, waste.bad_step_tokens) == (3, 60 + 320 + 30)
    assert waste.discarded_tokens == 0


def test_calls_that_gave_no_step_are_discarded_tokens() -> None:
    assert waste_of(trajectory(step(1), spent=150)).discarded_tokens == 40
    assert waste_of({**trajectory(), "usage_by_purpose": {}}).discarded_tokens == 0


def test_documents_are_used_if_opened_named_or_holding_the_answer() -> None:
    waste = waste_of(
        trajectory(
            step(
                1,
                made(
                    "ok",
                    ("Opened", "x" * 10),
                    ("Named (film)", "y" * 10),
                    ("Holds", "born in Paris."),
                    ("Idle", "z" * 16),
                ),
            ),
            step(2, made("ok", ("Opened", "x" * 99), opened=True), made("ok", ("Idle", "z" * 16))),
            step(3, made("ok", arguments='{"query": "named film director"}')),
            step(4),
            answer="Paris",
        )
    )
    assert (waste.documents, waste.unused_documents) == (4, 1)
    assert waste.unused_tokens == 2 * 20 // 4


def test_what_was_written_before_a_document_was_shown_does_not_use_it() -> None:
    waste = waste_of(
        trajectory(step(1, made("ok", ("Idle", "text"), arguments='{"query": "idle"}'), text="idle?"), answer="no")
    )
    assert waste.unused_documents == 1


def test_a_summary_counts_all_that_was_spent_per_solved_question() -> None:
    records = [
        record("a", solved=True, recall=1.0, hops=2, steps=2, cost=0.5, load=1.0),
        record("b", recall=0.5, hops=2, stop_reason="steps", steps=4, cost=0.5, load=3.0, reasoning_tokens=7),
        record(
            "c", recall=None, hops=3, grades={"f1": 0.3}, grading_errors={"exact_match": "oh"}, waste=Waste(bad_steps=2)
        ),
        record("d", solved=True, hops=4, search_rounds=5),
    ]

    summary = summarise(records)

    assert (summary.questions, summary.solved, summary.accuracy) == (4, 2, 0.5)
    assert summary.grades == {"exact_match": pytest.approx(2 / 3), "f1": pytest.approx(2.3 / 4)}
    assert summary.grading_errors == {"exact_match": 1}
    assert summary.recall == 0.75
    assert summary.totals.steps == 14
    assert summary.per_solved is not None
    assert (summary.per_solved.steps, summary.per_question.steps) == (7, 3.5)
    assert summary.per_solved.cost == pytest.approx((0.5 + 0.5 + 0.01 + 0.01) / 2)
    assert summary.totals.reasoning_tokens is None
    assert summary.stop_reasons == {"answered": 3, "steps": 1}
    assert summary.hops["2"].accuracy == 0.5
    assert summary.hops["4"].search_rounds == 5
    assert summary.waste.bad_steps == 2
    assert summary.load == (1.0, 3.0)
    assert json.loads(json.dumps(summary.to_dict()))["accuracy"] == 0.5
    text = render_summary(summary)
    assert "2 of 4 questions solved" in text
    assert "pass@1" in text
    assert "raised on 1 of 4 questions" in text
    assert "reasoning" not in text


def test_nothing_solved_has_no_figures_per_solved_question() -> None:
    summary = summarise([record("a")])
    assert summary.per_solved is None
    assert "per solved" not in render_summary(summary)


@pytest.mark.parametrize("records", [[], [record("a"), record("a")]])
def test_what_cannot_be_summed_up(records: list[Record]) -> None:
    with pytest.raises(UserError):
        summarise(records)


def test_a_line_of_a_later_version_is_read_as_far_as_it_is_known() -> None:
    line = json.loads(record("a", waste=Waste(bad_steps=1)).to_line())
    line["later"] = 1
    line["waste"]["later"] = 1
    assert Record.from_line(json.dumps(line)) == record("a", waste=Waste(bad_steps=1))


@pytest.mark.parametrize(
    "line", ["{}", "[]", "7", '{"models": 1}', '{"id": "a", "models": {}, "waste": {}, "answers": []}']
)
def test_a_line_that_is_no_record(line: str) -> None:
    with pytest.raises(ValueError, match=r"not a"):
        Record.from_line(line)
