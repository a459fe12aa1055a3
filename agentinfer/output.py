"""Structured answers: the type asked for, its schema, and how a text becomes it."""

import json
from functools import cached_property
from typing import Any, Generic, TypeVar

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError, PydanticUserError

from agentinfer._json import load_json, without_titles
from agentinfer.errors import UserError

__all__ = ["Output"]

T = TypeVar("T")


class Output(Generic[T]):
    """An answer of type `T`.

    Args:
        type_: A pydantic model, or any type pydantic can validate.

    Raises:
        UserError: Pydantic has no schema for the type.
    """

    def __init__(self, type_: type[T]) -> None:
        self.name: str = getattr(type_, "__name__", "Answer")
        try:
            self._adapter: TypeAdapter[T] = TypeAdapter(type_)
            self.schema: dict[str, Any] = without_titles(self._adapter.json_schema())
        except (PydanticSchemaGenerationError, PydanticUserError, TypeError) as error:
            raise UserError(f"output_type {type_!r} has no JSON schema: {str(error).splitlines()[0]}") from None

    @cached_property
    def schema_text(self) -> str:
        """The schema as JSON text, for a prompt."""
        return json.dumps(self.schema, ensure_ascii=False)

    def parse(self, text: str) -> T:
        """The answer in a model's text. Broken JSON is repaired only where the repaired value is valid.

        Raises:
            ValueError: The text does not hold one; the message tells the model what to mend.
        """
        try:
            return self._adapter.validate_json(text)
        except ValidationError as error:
            if error.errors()[0]["type"] != "json_invalid":
                raise ValueError(_complaint(error)) from None
            complaint = _complaint(error)
        repaired = load_json(text)
        if repaired is None or repaired == "":
            raise ValueError(complaint)
        try:
            return self._adapter.validate_python(repaired)
        except ValidationError:
            raise ValueError(complaint) from None

    def dump(self, value: T) -> Any:
        """The answer as JSON-able data."""
        return self._adapter.dump_python(value, mode="json")


def _complaint(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_input=False)[:5]
    return "; ".join(f"{'.'.join(map(str, p['loc'])) or 'answer'}: {p['msg']}" for p in problems)
