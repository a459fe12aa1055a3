"""The last probe: an agent with a tool, run as the findings say."""

from agentinfer.agent import Agent
from agentinfer.doctor._endpoint import Endpoint
from agentinfer.doctor._findings import Finding, Findings, no, unclear, yes
from agentinfer.doctor._judge import judge
from agentinfer.doctor._tools import QUESTION, weather
from agentinfer.limits import Limits
from agentinfer.models import Model, RetryPolicy, Sampling
from agentinfer.models._http import HttpBackend

__all__ = ["trial"]

STEPS = 4


async def trial(endpoint: Endpoint, found: Findings) -> Finding:
    """Whether an agent with the profile that follows calls its tool and answers with what it says."""
    profile = judge(found).profile
    sampling = Sampling(
        temperature=endpoint.options.get("temperature"), max_tokens=next(iter(endpoint.limit.values()), None)
    )
    model = Model(
        endpoint.model,
        backend=HttpBackend(endpoint.address),
        profile=profile,
        sampling=sampling,
        retry=RetryPolicy(attempts=2),
    )
    result = await Agent(model, tools=[weather], limits=Limits(steps=STEPS)).run(QUESTION)
    called = any(step.results for step in result.steps)
    how = f"{len(result.steps)} steps by the {profile.protocol} protocol"
    if result.answer is None:
        return no(f"no answer after {how}: {endpoint.hide(str(result.error or result.stop_reason))}")
    answer = endpoint.hide(str(result.answer))
    if called and ("3" in answer or "fog" in answer.lower()):
        return yes(f"the tool is called and its result told, in {how}")
    return unclear(f"{'the tool is called' if called else 'no tool is called'}, in {how}: {answer[:60]!r}")
