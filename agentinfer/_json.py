"""JSON as models write it."""

import json
from typing import Any

__all__ = ["load_json"]


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
