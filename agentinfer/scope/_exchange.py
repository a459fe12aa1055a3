"""Guidelines as JSON: exported, and imported again; and those of the public SCOPE project."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from agentinfer.errors import UserError
from agentinfer.scope._guideline import DOMAINS, Guideline, Source, clean, new_id, problem_of, wording_of
from agentinfer.scope._reading import read_choice, read_confidence

__all__ = ["Imported", "dump_guidelines", "read_guidelines"]

VERSION = 1
MOST = 64 * 2**20
"""Characters of a file that is imported."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """What a file holds."""

    guidelines: Sequence[Guideline]
    problems: Sequence[str]
    """What was left out, and why."""


def dump_guidelines(guidelines: Iterable[Guideline]) -> str:
    """Guidelines as JSON text, with their sources."""
    listed = [guideline.to_dict() for guideline in guidelines]
    return json.dumps({"agentinfer_guidelines": VERSION, "guidelines": listed}, indent=2, ensure_ascii=False) + "\n"


def read_guidelines(text: str, *, agent: str | None = None) -> Imported:
    """The guidelines in a file of `dump_guidelines`, or in a `global_rules.json` of the public SCOPE project.

    What was active elsewhere is on trial here: evidence does not travel. What was retired stays so, and rules of the
    public project, which may have been drawn from anything, are quarantined.

    Args:
        text: What the file holds.
        agent: Of a `global_rules.json` only this agent's rules.

    Raises:
        UserError: It is neither, or holds nothing of that agent.
    """
    if len(text) > MOST:
        raise UserError(f"more than {MOST >> 20} million characters are not imported")
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"not JSON: {error}") from None
    if isinstance(data, dict) and "agentinfer_guidelines" in data:
        if data["agentinfer_guidelines"] != VERSION:
            raise UserError(f"guidelines of version {data['agentinfer_guidelines']!r}; this library reads {VERSION}")
        if not isinstance(data.get("guidelines"), list):
            raise UserError("its `guidelines` are no list")
        return _read_ours(data["guidelines"])
    if isinstance(data, dict) and all(isinstance(domains, dict) for domains in data.values()):
        if agent is not None and agent not in data:
            named = ", ".join(repr(name[:60]) for name in list(data)[:10])
            raise UserError(f"no rules of an agent {agent!r}; there are rules of {named or 'none'}")
        return _read_rules(data, agent)
    raise UserError("neither exported guidelines nor a global_rules.json: {agent: {domain: [rules]}}")


def _read_ours(listed: list[Any]) -> Imported:
    guidelines: list[Guideline] = []
    problems: list[str] = []
    for number, item in enumerate(listed, 1):
        try:
            guideline = Guideline.from_dict(item)
        except UserError as error:
            problems.append(f"number {number}: {error}")
            continue
        text = clean(guideline.text)
        if problem := problem_of(text):
            problems.append(f"number {number}: {problem}")
            continue
        numbers = (guideline.created, guideline.confidence, *(source.at for source in guideline.sources))
        if not all(map(math.isfinite, numbers)) or not guideline.id.isprintable():
            problems.append(f"number {number}: its id is not printable, or a number in it is not finite")
            continue
        active = guideline.active and not guideline.tainted
        status = "trial" if active else "retired" if guideline.status == "retired" else "quarantined"
        reason = "imported: to be shown to help" if active else guideline.reason
        guidelines.append(guideline.replace(text=text, status=status, reason=reason))
    return Imported(guidelines=guidelines, problems=problems)


def _read_rules(data: dict[str, Any], agent: str | None) -> Imported:
    guidelines: dict[str, Guideline] = {}
    problems: list[str] = []
    for name, domains in data.items():
        if agent is not None and name != agent:
            continue
        for domain, rules in domains.items():
            for number, rule in enumerate(rules if isinstance(rules, list) else [rules], 1):
                told = rule.get("rule") if isinstance(rule, dict) else None
                text = clean(told) if isinstance(told, str) else ""
                if problem := problem_of(text):
                    problems.append(f"{name[:60]}/{domain[:60]} number {number}: {problem}")
                    continue
                made = _guideline_of(rule, text, name, domain)
                there = guidelines.setdefault(wording_of(text), made)
                if there is not made:
                    guidelines[wording_of(text)] = there.supported(*made.sources)
    return Imported(guidelines=list(guidelines.values()), problems=problems)


def _guideline_of(rule: dict[str, Any], text: str, agent: str, domain: str) -> Guideline:
    rationale, task = rule.get("rationale"), rule.get("source_task_id")
    told = f"agent {agent[:100]}, domain {domain[:100]}"
    return Guideline(
        id=new_id(),
        text=text,
        rationale=clean(rationale)[:500] if isinstance(rationale, str) else "",
        kind="imported",
        domain=read_choice(domain.replace("_", " "), DOMAINS) or "general",
        confidence=read_confidence(rule.get("confidence")) or 0.5,
        status="quarantined",
        reason="imported: approve it to put it on trial",
        sources=(Source(origin="import", run=str(task)[:200] if task is not None else "", note=told),),
    )
