"""Probes without a model: what the endpoint lists, and what serves it."""

import contextlib
from collections.abc import Mapping
from typing import Any

from agentinfer.doctor._endpoint import Endpoint
from agentinfer.doctor._findings import Finding, Findings, clean, no, unclear, yes
from agentinfer.errors import ModelError

__all__ = ["listed_models", "models", "server"]

_WINDOWS = ("max_model_len", "context_length", "context_window", "max_context_length", "n_ctx")
"""What servers call the context window in their lists of models."""
MAX_SHOWN = 8
"""Names of models in one finding."""


async def listed_models(endpoint: Endpoint) -> dict[str, Mapping[str, Any]]:
    """The models that the endpoint lists, by name.

    Raises:
        ModelError: It lists none.
    """
    listing, _ = await endpoint.get("/models")
    data = listing.get("data") if isinstance(listing, dict) else listing
    entries = [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else []
    return {entry["id"]: entry for entry in entries if isinstance(entry.get("id"), str)}


async def models(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether it lists its models, and with what context window."""
    del found
    try:
        listed = await listed_models(endpoint)
    except ModelError as error:
        return no(str(error))
    names = ", ".join(list(listed)[:MAX_SHOWN]) + (
        f" and {len(listed) - MAX_SHOWN} more" if len(listed) > MAX_SHOWN else ""
    )
    if endpoint.model not in listed:
        return unclear(f"{endpoint.model} is not among them: {names or 'none'}", listed=False)
    entry = listed[endpoint.model]
    meta = entry.get("meta")
    places: list[Mapping[str, Any]] = [entry, meta if isinstance(meta, dict) else {}]
    window = next((count for place in places for name in _WINDOWS if (count := _count(place.get(name)))), None)
    about = f", with a context window of {window:,} tokens" if window else ""
    return yes(f"{names}{about}", listed=True, window=window, owner=clean(str(entry.get("owned_by") or "")))


async def server(endpoint: Endpoint, found: Findings) -> Finding:
    """Which server it is, as far as it tells."""
    owner = found.get_data("models", "owner") or ""
    with contextlib.suppress(ModelError):  # llama.cpp tells of itself here
        props, _ = await endpoint.get("/props", at_root=True)
        settings = props.get("default_generation_settings") if isinstance(props, dict) else None
        if isinstance(settings, dict):
            build = str(props.get("build_info") or "")
            return yes(
                f"llama.cpp {build}", kind="llama.cpp", version=clean(build), window=_count(settings.get("n_ctx"))
            )
    if owner == "vllm":
        version = ""
        with contextlib.suppress(ModelError):
            told, _ = await endpoint.get("/version", at_root=True)
            version = str(told.get("version") or "") if isinstance(told, dict) else ""
        return yes(f"vLLM {version}", kind="vllm", version=clean(version))
    return unclear(f"it does not tell (models owned by {owner!r})" if owner else "it does not tell")


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 31 else None
