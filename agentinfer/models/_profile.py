"""What an endpoint can do. "OpenAI-compatible" is not one thing; a profile says which one it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from agentinfer.errors import UserError
from agentinfer.protocol import ToolChoice

__all__ = ["PROFILES", "Profile", "profile_for"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What an endpoint can do, and what it must not be sent."""

    name: str = "generic"
    protocol: Literal["native", "json", "tagged"] = "native"
    """How the model says what to do, unless `Model(protocol=...)` says otherwise."""
    tool_choices: frozenset[ToolChoice] = frozenset({"auto", "none", "required"})
    """The `tool_choice` values it understands; others are left out and said in words."""
    parallel_tool_calls: bool | None = None
    """Sent as it is where it is not `None`."""
    json_schema: bool = True
    """Whether `response_format: json_schema` holds replies to a schema."""
    json_schema_with_tools: bool = False
    """Whether it does so without suppressing tool calls."""
    stream: bool = True
    stream_usage: bool = True
    """Whether `stream_options.include_usage` may be sent."""
    late_system: bool = True
    """Whether a system message may stand elsewhere than first; else later ones are sent as the user's."""
    system: bool = True
    """Whether there is a system role at all; else system messages are sent as the user's."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    echo_reasoning: Literal["reasoning_content", "reasoning"] | None = None
    """The field in which the endpoint wants a message's reasoning sent back."""
    think_tags: bool = True
    """Whether `<think>...</think>` at the start of a text is reasoning."""
    prediction: bool = False
    """Whether it takes a `prediction`: text that the reply is expected to repeat."""
    context_window: int | None = None
    """Tokens of prompt and completion together, where known."""
    default_max_tokens: int | None = None
    """Sent where a request has no limit of its own: small models may write without end."""
    extra_body: Mapping[str, Any] = field(default_factory=dict)
    """Fields added to every request."""


PROFILES: dict[str, Profile] = {
    profile.name: profile
    for profile in (
        Profile(),
        Profile(
            name="openai",
            json_schema_with_tools=True,
            max_tokens_field="max_completion_tokens",
            think_tags=False,
            prediction=True,
        ),
        # llama.cpp leaves the tools out of the prompt under `tool_choice: none`, which breaks the prefix.
        Profile(name="llama.cpp", late_system=False, tool_choices=frozenset({"auto", "required"})),
        Profile(name="vllm", late_system=False),
        Profile(name="deepseek", json_schema=False),
        Profile(
            name="local",
            protocol="json",
            late_system=False,
            default_max_tokens=512,
            extra_body={"cache_prompt": True},
        ),
    )
}
"""Known kinds of endpoint, by name."""

_HOSTS = {"api.openai.com": "openai", "api.deepseek.com": "deepseek"}


def profile_for(profile: Profile | str | None, endpoint: str) -> Profile:
    """The profile asked for, else the one known for the endpoint's host, else the generic one.

    Raises:
        UserError: There is no profile of that name.
    """
    if isinstance(profile, Profile):
        return profile
    if profile is None:
        return PROFILES[_HOSTS.get(urlsplit(endpoint).hostname or "", "generic")]
    if profile not in PROFILES:
        raise UserError(f"There is no profile {profile!r}. Profiles: {', '.join(sorted(PROFILES))}")
    return PROFILES[profile]
