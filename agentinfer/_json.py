"""JSON as models write it, and schemas as they read them."""

import json
from typing import Any

__all__ = ["load_json", "without_titles"]

_NAMED = ("properties", "$defs")
"""Keywords whose values are schemas by name."""
_VALUES = ("const", "default", "enum", "examples")
"""Keywords whose values are no schemas."""


def load_json(text: str) -> Any:
    """The value in a text, repaired where it is broken; `None` or an empty string where there is none. Never raises."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    import json_repair

    try:
        return json_repair.loads(text)
    except (ValueError, RecursionError):  # nested too deeply, or a number too long
        return None


def without_titles(schema: Any) -> Any:
    """The schema without the titles pydantic makes up: they cost tokens, and small models give them as their answer."""
    if isinstance(schema, list):
        return [without_titles(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {}
    for key, value in schema.items():
        if key in _NAMED:
            kept[key] = {name: without_titles(inner) for name, inner in value.items()}
        elif key != "title":
            kept[key] = value if key in _VALUES else without_titles(value)
    return kept
