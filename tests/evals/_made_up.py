"""Folders of made-up results."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from agentinfer.evals import ModelShare, Record, Waste


def record(name: str = "q1", **fields: Any) -> Record:
    solved = fields.get("solved", False)
    settings: dict[str, Any] = {
        "id": name,
        "question": f"What is {name}?",
        "answers": ("this", "that"),
        "answer": "this" if solved else "nothing",
        "grades": {"exact_match": float(solved), "f1": float(solved)},
        "solved": solved,
        "recall": None,
        "stop_reason": "answered",
        "error": None,
        "steps": 4,
        "search_rounds": 3,
        "tool_calls": 3,
        "model_calls": 4,
        "estimated_calls": 0,
        "prompt_tokens": 4000,
        "cached_tokens": 3000,
        "completion_tokens": 200,
        "reasoning_tokens": None,
        "cost": 0.01,
        "models": {"big": ModelShare(calls=4, prompt_tokens=4000, completion_tokens=200)},
        "waste": Waste(),
        "seconds": 20.0,
        "model_seconds": 19.0,
        "tool_seconds": 0.5,
        "overhead_seconds": 0.5,
        "config": "plain",
        "seed": 0,
        "concurrency": 1,
        "time": 0.0,
        "load": 1.0,
        "versions": {},
    }
    return Record(**{**settings, **fields})


def folder(path: Path, records: Sequence[Record], *, large: str | None = None) -> Path:
    path.mkdir(parents=True)
    lines = "".join(f"{record.to_line()}\n" for record in records)
    (path / "results.jsonl").write_text(lines, encoding="utf-8", errors="replace")
    if large is not None:
        settings = {"version": 1, "settings": {"agent": {"model": {"name": large}}}, "about": {}}
        (path / "config.json").write_text(json.dumps(settings))
    return path


def made_up(seed: int, count: int, *, skill: float = 0.4, thrift: float = 1.0, small: float = 0.0) -> list[Record]:
    """Records as an evaluation might give them; the same questions are hard in all of them."""
    records = []
    for number in range(count):
        hardness = random.Random(number).random()
        chance = random.Random(f"{seed}/{number}")
        steps = chance.randint(2, 9)
        prompt = int(steps * 900 * thrift * chance.uniform(0.7, 1.5))
        by_small = sum(chance.random() < small for _ in range(steps))
        solved = hardness + chance.uniform(-0.2, 0.2) < skill
        seconds = round(steps * thrift * chance.uniform(2, 5), 2)
        models = {"big": ModelShare(calls=steps - by_small), "small": ModelShare(calls=by_small)}
        records.append(
            record(
                f"q{number:03}",
                solved=solved,
                grades={"exact_match": float(solved), "f1": 1.0 if solved else round(chance.random() / 2, 3)},
                recall=chance.choice([0.0, 0.5, 1.0]),
                hops=chance.choice([2, 3, 4]),
                steps=steps,
                search_rounds=steps - 1,
                prompt_tokens=prompt,
                cached_tokens=int(prompt * chance.uniform(0.4, 0.9)),
                completion_tokens=60 * steps,
                cost=prompt / 1e6,
                seconds=seconds,
                model_seconds=round(seconds * 0.95, 2),
                models={name: share for name, share in models.items() if share.calls},
                waste=Waste(rebilled_tokens=chance.randint(0, 300), unused_tokens=chance.randint(0, 500)),
                load=chance.uniform(1, 8),
            )
        )
    return records
