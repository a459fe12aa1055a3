"""A real llama.cpp server, examined: `./scripts/test-models`."""

import pytest

from agentinfer import Agent, Limits, Model
from agentinfer.doctor import examine
from agentinfer.doctor._tools import QUESTION, RESULT, weather
from agentinfer.local import LocalServer

pytestmark = [pytest.mark.model, pytest.mark.timeout(900)]


async def test_llama_cpp() -> None:
    async with LocalServer("qwen2.5-coder-0.5b-instruct", context=4096) as server:
        examination = await examine(server.base_url, server.model, seconds=200)

        assert examination.given_up is None
        found = examination.findings
        for name in ("answer", "stream", "stream_usage", "cached_tokens", "json_schema", "json_object", "overlong"):
            assert found[name].verdict == "yes", found[name]
        profile = examination.judgement.profile
        assert (profile.name, profile.protocol, profile.context_window) == ("llama.cpp", "json", 4096)

        async with Model(server.model, base_url=server.base_url, profile=profile) as model:
            result = await Agent(model, tools=[weather], limits=Limits(steps=4)).run(QUESTION)
    assert result.steps[0].results[0].content == RESULT
    assert result.answer
