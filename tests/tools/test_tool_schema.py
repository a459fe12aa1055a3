"""From a function to what the model is told of it."""

import functools
import json
from enum import Enum
from typing import Annotated, Any, Literal, Optional

import pytest
from pydantic import BaseModel, Field

from agentinfer import Agent, ToolContext, ToolSet, UserError, tool
from agentinfer.testing import ScriptedModel
from agentinfer.tools import ArgumentsError, Tool


def properties(made: Tool) -> dict[str, Any]:
    return dict(made.parameters["properties"])


def described(made: Tool) -> dict[str, Any]:
    return {name: schema.get("description") for name, schema in properties(made).items()}


def google(query: str, top_k: int = 5) -> str:
    """Search the collection.

    It knows much.

    Args:
        query: A few words,
            on two lines.
        top_k (int): How many: at most ten.

    Returns:
        query: not this one.
    """
    return query


def sphinx(query: str, top_k: int = 5) -> str:
    """Search the collection.

    It knows much.

    :param query: A few words,
        on two lines.
    :param int top_k: How many: at most ten.
    :returns: text
    """
    return query


def numpy(query: str, top_k: int = 5) -> str:
    """Search the collection.

    It knows much.

    Parameters
    ----------
    query : str
        A few words,
        on two lines.
    top_k : int
        How many: at most ten.

    Returns
    -------
    str
        query: not this one.
    """
    return query


def inline(query: str, top_k: int = 5) -> str:
    """Search the collection. query: A few words, on two lines. top_k: How many: at most ten."""
    return query


@pytest.mark.parametrize("function", [google, sphinx, numpy, inline])
def test_docstrings_describe_parameters(function: Any) -> None:
    made = tool(function)
    assert made.description.startswith("Search the collection.")
    assert "query" not in made.description
    assert described(made) == {"query": "A few words, on two lines.", "top_k": "How many: at most ten."}


def test_types_defaults_and_what_is_required() -> None:
    @tool
    def search(query: str, top_k: int = 5, order: Literal["new", "old"] = "new", lang: str | None = None) -> str:
        """Search."""
        return query

    assert search.name == "search"
    assert search.parameters["required"] == ["query"]
    assert search.parameters["additionalProperties"] is False
    assert properties(search)["top_k"] == {"type": "integer", "default": 5}
    assert properties(search)["order"]["enum"] == ["new", "old"]
    assert properties(search)["lang"]["anyOf"] == [{"type": "string"}, {"type": "null"}]
    assert "title" not in json.dumps(search.parameters)


def test_a_parameter_called_title_keeps_its_name() -> None:
    @tool
    def write(title: str, text: str) -> str:
        """Write."""
        return title + text

    assert list(properties(write)) == ["title", "text"]


class Colour(Enum):
    RED = "red"


class Place(BaseModel):
    city: str
    zip: int | None = None


def test_arguments_come_as_the_types_that_were_asked_for() -> None:
    @tool
    def go(place: Place, colour: Colour, old: Optional[int] = None) -> str:  # noqa: UP045 - users write it
        """Go."""
        return ""

    parsed = go.parse('{"place": {"city": "Ulm"}, "colour": "red"}')
    assert parsed == {"place": Place(city="Ulm"), "colour": Colour.RED, "old": None}
    assert "$defs" in go.parameters


@pytest.mark.parametrize("name", ["json", "copy", "schema", "dict", "model_config", "model_fields", "self_", "_x"])
def test_parameters_may_bear_any_name(name: str) -> None:
    scope: dict[str, Any] = {}
    exec(f"def f({name}: str, b: int = 1) -> str:\n    'F.'\n    return {name}", scope)
    made = tool(scope["f"])
    assert made.parse(json.dumps({name: "x", "b": 2})) == {name: "x", "b": 2}


def test_annotated_descriptions_and_bounds_are_kept() -> None:
    @tool
    def roll(
        dice: Annotated[int, Field(description="How many.", ge=1)],
        sides: Annotated[int, Field(description="Overridden.")] = 6,
    ) -> int:
        """Roll.

        Args:
            sides: Of one die.
        """
        return dice * sides

    assert properties(roll)["dice"] == {"description": "How many.", "minimum": 1, "type": "integer"}
    assert properties(roll)["sides"]["description"] == "Of one die."


def test_the_context_is_not_shown_to_the_model() -> None:
    @tool
    def where(context: ToolContext, city: str) -> str:
        """Where."""
        return city

    assert list(properties(where)) == ["city"]
    assert where.context_parameter == "context"


class Shop:
    def buy(self, what: str) -> str:
        """Buy something."""
        return f"bought {what}"

    def __call__(self, what: str) -> str:
        """Sell something."""
        return f"sold {what}"


def test_bound_methods_and_callables() -> None:
    assert list(properties(tool(Shop().buy))) == ["what"]
    sell = tool(name="sell")(Shop())
    assert list(properties(sell)) == ["what"]
    assert sell("it") == "sold it"


def test_a_partial_leaves_out_what_it_fixes() -> None:
    def add(one: int, two: int) -> int:
        """Add."""
        return one + two

    made = tool(name="add", description="Add one.")(functools.partial(add, 1))
    assert list(properties(made)) == ["two"]


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("def f(a): ...", "no type"),
        ("def f(*args: int): ...", "by name"),
        ("def f(**kwargs: int): ...", "by name"),
        ("def f(a: int, /): ...", "by name"),
        ("def f(a: 'Missing'): ...", "cannot be read"),
        ("def f(a: object()): ...", "f"),
        ("f = lambda a: a", "tool name"),
    ],
)
def test_what_cannot_be_described_is_refused(source: str, why: str) -> None:
    scope: dict[str, Any] = {}
    exec(source, scope)
    with pytest.raises(UserError, match=why):
        tool(scope["f"])


def test_names_are_unique() -> None:
    with pytest.raises(UserError, match="google"):
        ToolSet([google, google])


def test_something_else_is_no_tool() -> None:
    with pytest.raises(UserError, match="not a tool"):
        ToolSet(["search"])  # type: ignore[list-item]


@pytest.mark.parametrize(
    "text", ['{"query": "a",}', "{'query': 'a'}", '```json\n{"query": "a"}\n```', '{"query": "a"', '{"query": a}']
)
def test_broken_arguments_are_repaired_where_they_are_then_valid(text: str) -> None:
    assert tool(google).parse(text) == {"query": "a", "top_k": 5}


@pytest.mark.parametrize(
    "text", ["[1]", "null", "text", '{"query": 1}', '{"other": "a"}', '{"query": {', "[" * 100_000, '{"query":' * 9999]
)
def test_unfit_arguments_say_what_to_mend(text: str) -> None:
    with pytest.raises(ArgumentsError, match="schema"):
        tool(google).parse(text)


def test_no_arguments_may_be_an_empty_text() -> None:
    @tool
    def now() -> str:
        """Now."""
        return "now"

    assert now.parse("") == {}
    assert now.parameters["properties"] == {}


def test_what_returns_a_number_is_bounded_by_itself() -> None:
    def number(of: str) -> int:
        return len(of)

    def text(of: str) -> str:
        return of

    def quoted(of: str) -> "float":
        return 0.5

    def untyped(of: str):  # type: ignore[no-untyped-def]
        return of

    assert [tool(made).bounded for made in (number, text, quoted, untyped)] == [True, False, True, False]
    assert not tool(bounded=False)(number).bounded
    assert list(Agent(ScriptedModel(), tools=[number]).tools) == ["number"]
    assert list(Agent(ScriptedModel(), tools=[number, text]).tools) == ["number", "text", "read_result"]
