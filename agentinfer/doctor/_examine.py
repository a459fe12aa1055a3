"""An examination: all probes, one after the other, and what follows from them."""

import asyncio
import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from agentinfer.doctor._endpoint import Endpoint, open_endpoint
from agentinfer.doctor._findings import Finding, Findings, clean, unclear
from agentinfer.doctor._judge import Judgement, judge
from agentinfer.doctor._probes import Probe, probes
from agentinfer.doctor._server import listed_models
from agentinfer.errors import CallTimeout, ConnectionFailed, ModelError, UserError
from agentinfer.models._address import Address
from agentinfer.models._model import secrets_of

__all__ = ["Examination", "choose_model", "examine"]

UNHEARD_IN_A_ROW = 3
"""After so many probes without an answer an endpoint is given up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What was found of a model at an endpoint, and what follows."""

    base_url: str
    """Without user, password and query."""
    model: str
    findings: Findings
    judgement: Judgement
    given_up: str | None = None
    """Why not all probes were made, where they were not."""

    @property
    def answers(self) -> bool:
        """Whether the endpoint can be used at all."""
        return self.findings.yes("answer") or self.findings.yes("stream")

    def to_dict(self) -> dict[str, Any]:
        """As JSON-able data."""
        profile = dataclasses.asdict(self.judgement.profile)
        return {
            "base_url": self.base_url,
            "model": self.model,
            "findings": {name: dataclasses.asdict(finding) for name, finding in self.findings.items()},
            "profile": {**profile, "tool_choices": sorted(profile["tool_choices"])},
            "reasons": dict(self.judgement.reasons),
            "notes": list(self.judgement.notes),
            "given_up": self.given_up,
        }


async def choose_model(base_url: str, *, api_key: str | None = None, seconds: float = 60.0) -> str:
    """The one model that an endpoint lists.

    Raises:
        UserError: It lists none or several, or cannot be asked.
    """
    address = Address(base_url, api_key=api_key)
    secrets = secrets_of(base_url, api_key, None)
    try:
        async with asyncio.timeout(seconds), open_endpoint(address, "", secrets) as endpoint:
            names = sorted(await listed_models(endpoint))
    except (ModelError, TimeoutError) as error:
        told = str(error) or f"no answer within {seconds:g} s"
        raise UserError(f"{address.shown} does not list its models, so name one with --model ({clean(told)})") from None
    if len(names) == 1:
        return names[0]
    shown = clean(", ".join(names)) or "it lists none"
    raise UserError(f"name a model of {address.shown} with --model: {shown}")


async def examine(
    base_url: str,
    model: str,
    *,
    api_key: str | None = None,
    seconds: float = 60.0,
    longest: int = 40_000,
    on_start: Callable[[Probe], None] | None = None,
    on_finding: Callable[[Probe, Finding], None] | None = None,
) -> Examination:
    """Find out what a model at an endpoint can do: about 35 short requests and, mostly, one long one.

    Whatever the endpoint does, this ends: every probe has its time, and after three in a row without an answer no
    more are made. Neither the key nor a password is in what it returns.

    Args:
        base_url: The endpoint's address, usually ending in `/v1`.
        model: The model's name there.
        api_key: The endpoint's key.
        seconds: For one probe; the agent at the end may take three times as long.
        longest: Tokens, about, of the longest prompt that is sent to see how it is refused; 0 sends none.
        on_start: Told of every probe before it is made.
        on_finding: Told of every finding.

    Raises:
        UserError: This is no base URL, or the key cannot be sent.
    """
    address = Address(base_url, api_key=api_key)
    found = Findings()
    given_up: str | None = None
    unheard = 0
    async with open_endpoint(address, model, secrets_of(base_url, api_key, None)) as endpoint:
        for probe in probes(longest):
            if not probe.wanted(found):
                continue
            if on_start is not None:
                on_start(probe)
            finding, heard = await _ask(probe, endpoint, found, seconds * probe.patience)
            unheard = 0 if heard else unheard + 1
            found[probe.name] = finding
            if on_finding is not None:
                on_finding(probe, finding)
            if probe.name == "stream" and not (found.yes("answer") or found.yes("stream")):
                given_up = "it does not answer a plain question"
            elif unheard == UNHEARD_IN_A_ROW:
                given_up = f"{unheard} probes in a row had no answer"
            if given_up is not None:
                break
    return Examination(base_url=address.shown, model=model, findings=found, judgement=judge(found), given_up=given_up)


async def _ask(probe: Probe, endpoint: Endpoint, found: Findings, seconds: float) -> tuple[Finding, bool]:
    """What a probe found, and whether the endpoint was heard at all."""
    try:
        async with asyncio.timeout(seconds):
            return await probe.ask(endpoint, found), True
    except TimeoutError:
        return unclear(f"nothing within {seconds:g} s"), False
    except ModelError as error:
        return unclear(f"{type(error).__name__}: {error}"), not isinstance(error, ConnectionFailed | CallTimeout)
    except Exception as error:  # noqa: BLE001 - no answer, however odd, ends the examination
        return unclear(f"the probe failed: {endpoint.hide(repr(error))}"), True
