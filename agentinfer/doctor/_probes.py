"""The probes, in the order in which they are made."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from agentinfer.doctor import _answers, _context, _refusals, _roles, _schemas, _server, _tools, _trial
from agentinfer.doctor._endpoint import Endpoint
from agentinfer.doctor._findings import Finding, Findings

__all__ = ["Probe", "probes"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One question about an endpoint, and how to find its answer."""

    name: str
    title: str
    """The question, in a few words."""
    ask: Callable[[Endpoint, Findings], Awaitable[Finding]]
    wanted: Callable[[Findings], bool] = lambda found: True
    """Whether what was found so far leaves the question open."""
    patience: int = 1
    """How many times as long as other probes it may take."""


def probes(longest: int) -> tuple[Probe, ...]:
    """All probes.

    Args:
        longest: Tokens, about, of the longest prompt to send; 0 sends none that is meant to be too long.
    """
    return (
        Probe(name="models", title="list of models", ask=_server.models),
        Probe(name="server", title="which server it is", ask=_server.server),
        Probe(name="answer", title="a plain answer", ask=_answers.answer),
        Probe(name="stream", title="streaming", ask=_answers.stream),
        Probe(
            name="stream_usage",
            title="usage while streaming",
            ask=_answers.stream_usage,
            wanted=lambda found: found.yes("stream"),
        ),
        Probe(name="max_tokens", title="limit on a reply's length", ask=_answers.max_tokens),
        Probe(name="together", title="two requests at once", ask=_answers.together),
        Probe(name="cached_tokens", title="cached tokens", ask=_answers.cached_tokens),
        Probe(name="system", title="system message, leading", ask=_roles.system),
        Probe(
            name="late_system",
            title="system message, later",
            ask=_roles.late_system,
            wanted=lambda found: not found.no("system"),
        ),
        Probe(name="tool_call", title="tool calls", ask=_tools.tool_call),
        Probe(name="tool_result", title="tool results", ask=_tools.tool_result),
        Probe(
            name="parallel_calls",
            title="several calls in one reply",
            ask=_tools.parallel_calls,
            wanted=lambda found: found.yes("tool_call"),
        ),
        Probe(name="choice_none", title="tool_choice none", ask=_tools.choice_none),
        Probe(name="choice_required", title="tool_choice required", ask=_tools.choice_required),
        Probe(name="choice_named", title="tool_choice with a name", ask=_tools.choice_named),
        Probe(name="json_schema", title="response_format json_schema", ask=_schemas.json_schema),
        Probe(
            name="json_object_schema",
            title="response_format json_object with a schema",
            ask=_schemas.json_object_schema,
            wanted=lambda found: not found.yes("json_schema"),
        ),
        Probe(name="json_object", title="response_format json_object", ask=_schemas.json_object),
        Probe(
            name="schema_with_tools",
            title="a schema beside tools",
            ask=_schemas.schema_with_tools,
            wanted=lambda found: found.yes("tool_call") and found.yes("json_schema"),
        ),
        Probe(name="reasoning", title="reasoning", ask=_answers.reasoning),
        Probe(
            name="thinking",
            title="switching reasoning off",
            ask=_answers.thinking,
            wanted=lambda found: found.yes("reasoning"),
        ),
        Probe(name="prediction", title="predicted output", ask=_answers.prediction),
        Probe(name="unknown_model", title="refusing an unknown model", ask=_refusals.unknown_model),
        Probe(name="bad_request", title="refusing a bad request", ask=_refusals.bad_request),
        Probe(name="wrong_key", title="refusing a wrong key", ask=_refusals.wrong_key),
        Probe(name="context_told", title="context window, from a refusal", ask=_context.context_told),
        Probe(
            name="overlong",
            title="refusing a prompt that is too long",
            ask=_context.OverlongProbe(longest),
            wanted=lambda found: longest > 0,
        ),
        Probe(name="agent", title="an agent with this profile", ask=_trial.trial, patience=3),
    )
