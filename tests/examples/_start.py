"""Examples as their readers start them."""

import asyncio
import os
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


async def start(*words: str, **environment: str) -> str:
    """What an example prints; it has to end well, and without a word on standard error."""
    known = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "AGENTINFER_MODEL"))}
    process = await asyncio.create_subprocess_exec(
        sys.executable, *words, cwd=ROOT, env={**known, **environment}, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert (process.returncode, err.decode()) == (0, "")
    return out.decode()
