"""Probes of system messages: whether there are any, and where they may stand."""

from agentinfer.doctor._endpoint import Endpoint, Heard
from agentinfer.doctor._findings import Finding, Findings, no, unclear, yes

__all__ = ["late_system", "system"]

FACT = "The meeting is in the room called Marmalade."
QUESTION = "In which room is the meeting? Answer with the room's name."


async def system(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether a leading system message is taken and heeded."""
    del found
    return _read(await endpoint.ask([_message("system", FACT), _message("user", QUESTION)]))


async def late_system(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether a system message in the middle is taken and heeded."""
    del found
    messages = [
        _message("system", "You answer shortly."),
        _message("user", "Hello!"),
        _message("assistant", "Hello! What would you like to know?"),
        _message("system", FACT),
        _message("user", QUESTION),
    ]
    return _read(await endpoint.ask(messages))


def _message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


def _read(heard: Heard) -> Finding:
    if heard.error is not None:
        return no(heard.refused)
    if "marmalade" in heard.text.lower():
        return yes("taken and heeded")
    return unclear(f"taken, and not heeded: {heard.text[:60]!r}")
