"""Guidelines for tests."""

from typing import Any

from agentinfer.scope import Guideline, Source

RUN = Source(origin="run", run="r1", at=1.0)
TOOL = Source(origin="tool", run="r1", at=1.0)
PERSON = Source(origin="person", at=2.0)


def guideline(text: str = "Search for names before you search for dates.", **fields: Any) -> Guideline:
    settings: dict[str, Any] = {"id": text[:24], "kind": "corrective", "status": "trial", "sources": (RUN,)}
    return Guideline(text=text, **{**settings, "created": 0.0, **fields})
