"""What the runtime makes of the findings: a profile, and what it will do where no field of a profile can help."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agentinfer.doctor._context import known_window
from agentinfer.doctor._findings import Findings
from agentinfer.models import Profile

__all__ = ["Judgement", "judge"]

_SetField = Callable[[str, Any, str], None]
"""Sets a field of the profile to a value, for a reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What follows from findings."""

    profile: Profile
    reasons: Mapping[str, str]
    """Why fields of the profile are what they are, by their names."""
    notes: tuple[str, ...]
    """What the runtime does about findings that no field says."""


def judge(found: Findings) -> Judgement:
    """The profile that follows from findings. What was not found out stays as it is for any endpoint."""
    fields: dict[str, Any] = {}
    reasons: dict[str, str] = {}

    def set_field(name: str, value: Any, reason: str) -> None:
        fields[name], reasons[name] = value, reason

    if kind := found.get_data("server", "kind"):
        set_field("name", kind, found["server"].words)
    _judge_answers(found, set_field)
    _judge_schemas(found, set_field)
    _judge_tools(found, set_field)
    protocol, reason = _protocol(found)
    set_field("protocol", protocol, reason)
    return Judgement(profile=Profile(**{"name": "found", **fields}), reasons=reasons, notes=_notes(found))


def _protocol(found: Findings) -> tuple[str, str]:
    if found.yes("tool_call") and not found.no("tool_result"):
        return "native", f"tools are called {found['tool_call'].words}"
    if found.yes("tool_call"):
        why = f"tools are called, but their results are not taken: {found['tool_result'].words}"
    elif found.no("tool_call"):
        why = f"no tool calls: {found['tool_call'].words}"
    else:
        return "native", "whether tools are called was not found out"
    for probe, form in (("json_schema", "json_schema"), ("json_object_schema", "json_object with a schema")):
        if found.yes(probe):
            return "json", f"{why}; replies are held to a schema by {form}"
    return "tagged", f"{why}; and no schema holds replies"


def _judge_answers(found: Findings, set_field: _SetField) -> None:
    if found.no("stream"):
        set_field("stream", False, found["stream"].words)
    elif found.get_data("tool_call", "streamed") is False and found.yes("stream"):
        set_field("stream", False, "tool calls come only where a reply is not streamed")
    if found.get_data("stream_usage", "refused"):
        set_field("stream_usage", False, found["stream_usage"].words)
    field = found.get_data("max_tokens", "field") or found.get_data("answer", "field")
    if field == "max_completion_tokens":
        set_field("max_tokens_field", field, "the field that limits replies here")
    if found.no("together"):
        set_field("max_concurrency", 1, f"of two requests at once {found['together'].words}")
    if found.no("system"):
        set_field("system", False, f"system messages are sent as the user's: {found['system'].words}")
    elif "late_system" in found:
        words = found["late_system"].words
        set_field("late_system", found.yes("late_system"), f"a system message that is not the first is {words}")
    if found.get_data("reasoning", "field") == "</think>":
        set_field("think_opened", True, found["reasoning"].words)
    if found.yes("thinking"):
        set_field("thinking", found.get_data("thinking", "thinking"), found["thinking"].words)
    if found.yes("prediction"):
        set_field("prediction", True, found["prediction"].words)
    if window := known_window(found):
        set_field("context_window", window, "tokens of prompt and reply together, as the endpoint tells")


def _judge_schemas(found: Findings, set_field: _SetField) -> None:
    if found.yes("json_schema"):
        set_field("json_schema", True, found["json_schema"].words)
    elif found.yes("json_object_schema"):
        set_field("json_schema", True, "only by json_object with the schema beside it")
        set_field("schema_form", "json_object", f"json_schema: {found['json_schema'].words}")
    elif found.no("json_schema"):
        set_field("json_schema", False, found["json_schema"].words)
    if found.yes("schema_with_tools"):
        set_field("json_schema_with_tools", True, "tools are called also where a schema is given")


def _judge_tools(found: Findings, set_field: _SetField) -> None:
    told = {name: found[f"choice_{name}"] for name in ("none", "required") if f"choice_{name}" in found}
    left_out = {name for name, finding in told.items() if finding.verdict == "no"}
    if found.get_data("choice_none", "keeps_prefix") is False:  # without the tools the cached prefix breaks
        left_out.add("none")
    if told:
        reason = "; ".join(f"{name}: {finding.words}" for name, finding in told.items())
        set_field("tool_choices", frozenset({"auto", "none", "required"} - left_out), reason)
    if found.get_data("tool_result", "null_content") is False:
        set_field("null_content", False, f"tool results are {found['tool_result'].words}")
    if found.get_data("parallel_calls", "when_allowed"):
        set_field("parallel_tool_calls", True, found["parallel_calls"].words)


def _notes(found: Findings) -> tuple[str, ...]:
    notes = []
    if found.get_data("answer", "usage") is False or (found.no("stream_usage") and found.yes("stream")):
        notes.append("Where usage is not reported, token counts are estimates (usage.estimated_calls tells how many).")
    if found.no("cached_tokens"):
        notes.append(
            "Cached tokens are not reported: what a prefix saves is expected by the ledger, and never confirmed."
        )
    if found.no("max_tokens"):
        notes.append("Replies cannot be limited in length: a limit on tokens or cost holds between calls only.")
    if found.get_data("bad_request", "retried"):
        notes.append("A bad request is refused as if the server had failed: the runtime sends it again, in vain.")
    if found.no("overlong"):
        notes.append(
            "A prompt that is too long is not refused as such: keep context_window right, so that none is sent."
        )
    if found.no("unknown_model"):
        notes.append("A wrong model name goes unnoticed here.")
    return tuple(notes)
