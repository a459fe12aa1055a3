"""An example with the real local model: `./scripts/test-models`."""

import pytest
from _start import start


@pytest.mark.model
async def test_fallback() -> None:
    out = await start("examples/fallback.py", "--model", "qwen2.5-coder-0.5b-instruct")
    assert "nobody-home failed" in out
    assert "\nanswer: " in out
