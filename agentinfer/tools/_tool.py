"""A tool: a function, the schema that describes it to the model, and the validation of what the model sends."""

import hashlib
import inspect
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from agentinfer._json import load_json, without_titles
from agentinfer.errors import ToolError, UserError
from agentinfer.tools._docstring import parse_docstring
from agentinfer.transcript import Trust

__all__ = ["ArgumentsError", "Tool", "ToolSet", "tool"]

_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")


class ArgumentsError(ToolError):
    """The arguments the model sent do not fit the tool; the message tells the model what to mend."""


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A function the model may call. Made by `tool`; calling it calls the function."""

    name: str
    description: str
    parameters: Mapping[str, Any]
    """JSON schema of the arguments."""
    function: Callable[..., Any]
    timeout: float | None = 60.0
    """Seconds one call may take; `None`: as long as the run may."""
    resources: frozenset[str] = frozenset()
    """Calls that share a resource run one after the other; all others run side by side."""
    max_chars: int = 20_000
    """Characters of a result that the model is shown; the full text stays in the run's workspace."""
    repeatable: bool = False
    """Whether the very same call can be worth making again: a clock, a poll, a roll of dice."""
    bounded: bool = False
    """Whether results are short by construction, so that no way to read on is needed."""
    trust: Trust = "data"
    """Whether results are material, or may tell the model what to do."""
    fenced: bool = False
    """Whether results that are material are shown between two lines that say so: for what strangers wrote."""
    render: Callable[[Any], str] | None = None
    """How what the function returns becomes text; strings as they are and all else as JSON unless given."""
    arguments_model: type[BaseModel]
    context_parameter: str | None = None
    """The parameter that takes the `ToolContext`, where the function asks for one."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def parse(self, arguments: str) -> dict[str, Any]:
        """Validate the JSON text a model sent.

        Broken JSON is repaired only where the repaired arguments are valid.

        Raises:
            ArgumentsError: They do not fit; the message is for the model.
        """
        try:
            parsed = self.arguments_model.model_validate_json(arguments.strip() or "{}")
        except ValidationError as error:
            if error.errors()[0]["type"] != "json_invalid":
                raise ArgumentsError(self._complaint(error)) from None
            parsed = self._parse_repaired(arguments, error)
        return dict(zip(self.parameters.get("properties", ()), parsed.__dict__.values(), strict=True))

    def _parse_repaired(self, arguments: str, error: ValidationError) -> BaseModel:
        repaired = load_json(arguments)
        if isinstance(repaired, dict):
            try:
                return self.arguments_model.model_validate(repaired)
            except ValidationError:
                pass
        raise ArgumentsError(self._complaint(error)) from None

    def _complaint(self, error: ValidationError) -> str:
        problems = "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or 'arguments'}: {problem['msg']}"
            for problem in error.errors(include_url=False, include_input=False)[:5]
        )
        return (
            f"The arguments of {self.name} are not valid: {problems}. "
            f"They must be one JSON object that fits this schema: {json.dumps(self.parameters)}"
        )


_SHORT = (int, float, bool, None, "int", "float", "bool", "None")
"""Return annotations, as they are or as `from __future__ import annotations` leaves them."""


@overload
def tool(function: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = 60.0,
    resources: Iterable[str] = (),
    max_chars: int = 20_000,
    repeatable: bool = False,
    bounded: bool | None = None,
    trust: Trust = "data",
    fenced: bool = False,
    render: Callable[[Any], str] | None = None,
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    timeout: float | None = 60.0,
    resources: Iterable[str] = (),
    max_chars: int = 20_000,
    repeatable: bool = False,
    bounded: bool | None = None,
    trust: Trust = "data",
    fenced: bool = False,
    render: Callable[[Any], str] | None = None,
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Make a tool of a function, sync or async.

    The name, the description and the parameters come from the function: its signature (every parameter needs a type),
    and its docstring. A parameter annotated with `ToolContext` is filled in by the runtime and not shown to the model.
    Sync functions run in a thread. What the function returns is given to the model as text, or as JSON.

    Args:
        function: The function.
        name: What the model calls it; the function's own name unless given.
        description: What it is for; from the docstring unless given.
        timeout: Seconds one call may take.
        resources: Names of what a call uses up; calls that share one run one after the other.
        max_chars: Characters of a result that the model is shown.
        repeatable: Whether the very same call can be worth making again.
        bounded: Whether results are short by construction; unless given, those of functions that return a number, a
            truth value or nothing are.
        trust: `data` unless what the tool returns may tell the model what to do.
        fenced: Whether the model is shown results between two lines that mark them as material.
        render: How what the function returns becomes text.

    Raises:
        UserError: The function cannot be described to a model.
    """

    def make(function: Callable[..., Any]) -> Tool:
        tool_name = name or str(getattr(function, "__name__", ""))
        if not _NAME.match(tool_name):
            raise UserError(f"{tool_name!r} is no tool name: use letters, digits, '_' and '-', at most 64; give name=")
        target = function if inspect.isroutine(function) else type(function).__call__
        model, summary, context_parameter = _describe(function, target, tool_name)
        schema = without_titles(model.model_json_schema(by_alias=True))
        schema.setdefault("properties", {})
        return Tool(
            name=tool_name,
            description=description if description is not None else summary,
            parameters=schema,
            function=function,
            timeout=timeout,
            resources=frozenset(resources),
            max_chars=max_chars,
            repeatable=repeatable,
            bounded=_is_short(target) if bounded is None else bounded,
            trust=trust,
            fenced=fenced,
            render=render,
            arguments_model=model,
            context_parameter=context_parameter,
        )

    return make if function is None else make(function)


def _is_short(function: Callable[..., Any]) -> bool:
    """Whether what a function returns is short whatever happens, as far as its annotation says."""
    return getattr(function, "__annotations__", {}).get("return", str) in _SHORT


def _describe(
    function: Callable[..., Any], target: Callable[..., Any], name: str
) -> tuple[type[BaseModel], str, str | None]:
    """The model of a function's arguments, its description, and the name of its context parameter."""
    from agentinfer.tools._context import ToolContext

    # What the function returns is not read: its type may exist for type checkers only.
    annotations = {n: a for n, a in getattr(target, "__annotations__", {}).items() if n != "return"}
    annotated = type("Annotated", (), {"__annotations__": annotations})
    try:
        hints = get_type_hints(annotated, getattr(target, "__globals__", {}), include_extras=True)
    except NameError as error:
        raise UserError(f"The types of tool {name} cannot be read: {error}") from None
    fields: dict[str, Any] = {}
    context_parameter = None
    parameters = inspect.signature(function).parameters
    summary, texts = parse_docstring(inspect.getdoc(function), parameters)
    for position, parameter in enumerate(parameters.values()):
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise UserError(f"Tool {name}: parameter {parameter} cannot be passed by name")
        annotation = hints.get(parameter.name, parameter.annotation)
        if annotation is ToolContext:
            context_parameter = parameter.name
            continue
        if annotation is parameter.empty:
            raise UserError(
                f"Tool {name}: parameter {parameter.name} has no type, so the model cannot be told what to send"
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        described = Field(default, alias=parameter.name)
        if text := texts.get(parameter.name):
            described.description = text
            described._attributes_set["description"] = text
        # Numbered field names: a parameter may bear a name that pydantic keeps for itself.
        fields[f"argument_{position}"] = (annotation, described)
    try:
        return create_model(name, __config__=ConfigDict(extra="forbid"), **fields), summary, context_parameter
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise UserError(f"Tool {name}: {str(error).splitlines()[0]}") from None


class ToolSet(Mapping[str, Tool]):
    """The tools of an agent, in order, each name once.

    Raises:
        UserError: Two tools have one name, or something is not a tool.
    """

    def __init__(self, tools: Iterable[Tool | Callable[..., Any]] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        for entry in tools:
            if not isinstance(entry, Tool):
                if not callable(entry):
                    raise UserError(f"{entry!r} is not a tool: decorate a function with @tool")
                entry = tool(entry)  # noqa: PLW2901 - a plain function is welcome too
            if entry.name in self._tools:
                raise UserError(f"Two tools are called {entry.name}")
            self._tools[entry.name] = entry

    # A set of tools is itself only: what is prepared for it is kept by it.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    def __getitem__(self, name: str) -> Tool:
        return self._tools[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tools)

    def __len__(self) -> int:
        return len(self._tools)

    @cached_property
    def wire(self) -> bytes:
        """The `tools` of a Chat Completions request, as JSON."""
        return json.dumps(
            [
                {
                    "type": "function",
                    "function": {"name": t.name, "description": t.description, "parameters": t.parameters},
                }
                for t in self.values()
            ],
            ensure_ascii=False,
            separators=(",", ":"),
        ).encode(errors="replace")

    @cached_property
    def digest(self) -> bytes:
        """What tells this list of tools from others, for a prefix cache."""
        return hashlib.blake2b(self.wire, digest_size=8).digest() if self._tools else b""
