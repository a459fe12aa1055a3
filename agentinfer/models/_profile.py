"""What an endpoint can do. "OpenAI-compatible" is not one thing; a profile says which one it is."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

from agentinfer.errors import UserError
from agentinfer.protocol import ToolChoice

__all__ = ["PROFILES", "Profile", "is_profile_file", "profile_for"]


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
    """Whether `response_format` can hold replies to a schema."""
    schema_form: Literal["json_schema", "json_object"] = "json_schema"
    """The type of `response_format` that takes the schema: with `json_object` it stands beside the type."""
    json_schema_with_tools: bool = False
    """Whether it does so without suppressing tool calls."""
    stream: bool = True
    stream_usage: bool = True
    """Whether `stream_options.include_usage` may be sent."""
    late_system: bool = True
    """Whether a system message may stand elsewhere than first; else later ones are sent as the user's."""
    system: bool = True
    """Whether there is a system role at all; else system messages are sent as the user's."""
    null_content: bool = True
    """Whether the content of a message that only calls tools may be null; else it is sent as an empty text."""
    max_tokens_field: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    echo_reasoning: Literal["reasoning_content", "reasoning"] | None = None
    """The field in which the endpoint wants a message's reasoning sent back."""
    think_tags: bool = True
    """Whether `<think>...</think>` at the start of a text is reasoning."""
    thinking: str | None = None
    """How the model is told how much to think: a name of `THINKING`; `None`: it cannot be told."""
    think_opened: bool = False
    """Whether the endpoint opens `<think>` itself, so that a text begins with reasoning that `</think>` ends."""
    prediction: bool = False
    """Whether it takes a `prediction`: text that the reply is expected to repeat."""
    context_window: int | None = None
    """Tokens of prompt and completion together, where known."""
    max_concurrency: int | None = None
    """How many calls it bears at once, where it is known to bear few, unless `Model(max_concurrency=...)` says so."""
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


def profile_for(profile: Profile | str | os.PathLike[str] | None, endpoint: str) -> Profile:
    """The profile asked for, else the one known for the endpoint's host, else the generic one.

    Args:
        profile: A profile, the name of a known one, or the path of a file that holds one: a `.toml` file.
        endpoint: The endpoint's address.

    Raises:
        UserError: There is no profile of that name, or its file cannot be read.
    """
    if isinstance(profile, Profile):
        return profile
    if profile is None:
        return PROFILES[_HOSTS.get(urlsplit(endpoint).hostname or "", "generic")]
    if is_profile_file(profile):
        from agentinfer.models._profile_file import read_profile

        return read_profile(profile).profile
    if profile not in PROFILES:
        raise UserError(
            f"There is no profile {profile!r}. Profiles: {', '.join(sorted(PROFILES))}, or the path of a .toml file"
        )
    return PROFILES[str(profile)]


def is_profile_file(profile: str | os.PathLike[str]) -> bool:
    """Whether this names a file rather than a known profile."""
    return not isinstance(profile, str) or profile.lower().endswith(".toml")
