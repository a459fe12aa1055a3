"""What answers are worth."""

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentinfer.evals import F1, EvalError, ExactMatch, Judge, Question, normalise
from agentinfer.testing import ScriptedModel, say, usage


def grade(grader: ExactMatch | F1, answer: str, *known: str) -> float:
    return anyio.run(grader.grade, Question(id="q", question="?", answers=known), answer)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("The  Eiffel-Tower!", "eiffeltower"),
        ("a cat, an owl", "cat owl"),
        ("Theory of a", "theory of"),
        ("U.S.A.", "usa"),
        ("  ", ""),
        ("Alû", "alû"),
    ],
)
def test_normalisation_is_that_of_squad(text: str, normal: str) -> None:
    assert normalise(text) == normal


@pytest.mark.parametrize(
    ("answer", "known", "exact", "f1"),
    [
        ("The Paris.", ["Paris"], 1, 1),
        ("Lyon", ["Paris", "lyon"], 1, 1),
        ("Paris, France", ["Paris"], 0, 2 / 3),
        ("Steven Spielberg", ["George Lucas"], 0, 0),
        ("yes", ["yes"], 1, 1),
        ("yes it is", ["yes"], 0, 0),
        ("no", ["no idea"], 0, 0),
        ("red red", ["red"], 0, 2 / 3),
        ("the", ["a"], 1, 1),
        ("", ["Paris"], 0, 0),
    ],
)
def test_exact_match_and_f1(answer: str, known: list[str], exact: float, f1: float) -> None:
    assert grade(ExactMatch(), answer, *known) == exact
    assert grade(F1(), answer, *known) == pytest.approx(f1)


@given(st.text(), st.lists(st.text(), min_size=1))
def test_grades_are_between_0_and_1_and_f1_is_1_where_the_match_is_exact(answer: str, known: list[str]) -> None:
    exact, f1 = grade(ExactMatch(), answer, *known), grade(F1(), answer, *known)
    assert exact in (0.0, 1.0)
    assert 0.0 <= f1 <= 1.0
    assert f1 >= exact


@pytest.mark.anyio
async def test_a_judge_is_shown_the_known_answers() -> None:
    question = Question(id="q", question="Who wrote it?", answers=("Ann", "A. Smith"))
    with ScriptedModel(say("Yes.") + usage(50, 2), say("No, that is another fact.") + usage(50, 9)) as model:
        judge = Judge(model)

        assert await judge.grade(question, "Ann Smith") == 1.0
        assert await judge.grade(question, "Bob") == 0.0

        shown = model.requests[0]["messages"][-1]["content"]
        assert "Who wrote it?" in shown
        assert "- A. Smith" in shown
        assert "Given answer: Ann Smith" in shown
        assert judge.usage.prompt_tokens == 100


@pytest.mark.anyio
async def test_a_judge_that_does_not_judge_raises() -> None:
    model = ScriptedModel(say("Hard to tell."))
    with pytest.raises(EvalError, match=r"neither yes nor no: 'Hard to tell\.'"):
        await Judge(model).grade(Question(id="q", question="?", answers=("a",)), "b")
