"""Tools described in a few lines of text, for models that are not told of them by their endpoint."""

import json
from typing import Any

from agentinfer.tools import Tool, ToolSet

__all__ = ["describe_tools"]


def describe_tools(tools: ToolSet) -> str:
    """One line per tool: `search(query: string, top_k: integer = 5): what it does`, and its parameters below."""
    return "\n".join(_describe(tool) for tool in tools.values())


def _describe(tool: Tool) -> str:
    required = set(tool.parameters.get("required", ()))
    signature, notes = [], []
    for name, schema in tool.parameters.get("properties", {}).items():
        default = f" = {json.dumps(schema.get('default'), ensure_ascii=False)}" if name not in required else ""
        signature.append(f"{name}: {_type(schema)}{default}")
        if schema.get("description"):
            notes.append(f"\n    {name}: {schema['description']}")
    lines = f"- {tool.name}({', '.join(signature)}): {tool.description}" + "".join(notes)
    definitions = tool.parameters.get("$defs")
    return lines + (f"\n    where {json.dumps(definitions, ensure_ascii=False)}" if definitions else "")


def _type(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(json.dumps(value, ensure_ascii=False) for value in schema["enum"])
    if "anyOf" in schema:
        return " | ".join(_type(option) for option in schema["anyOf"])
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return str(schema.get("type", "any"))
