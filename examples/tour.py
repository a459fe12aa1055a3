"""A tour of the library: tools, streaming, answers of a type, limits, sessions, a plug-in, feedback, a resumed run.

    python examples/tour.py

prints each stop as it goes, in a second: what the model replies is written beside each stop. With --local a model on
this machine replies instead (needs the extra `local`), with --base-url and --model an endpoint does.
"""

import argparse
import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from pydantic import BaseModel

from agentinfer import Agent, Feedback, Limits, Middleware, Model, Run, StepRequest, StepResult, ToolError, tool
from agentinfer.events import Event, ModelDelta, RunFinished, StepFinished, ToolFinished
from agentinfer.step import StepHandler
from agentinfer.testing import ScriptedModel, Step, call, hang, say

Stop = Callable[[Model], Awaitable[None]]
STOPS: list[tuple[Stop, tuple[Step, ...]]] = []


def stop(*replies: Step) -> Callable[[Stop], Stop]:
    """Put a function on the tour, with what the scripted model replies in it."""

    def add(function: Stop) -> Stop:
        STOPS.append((function, replies))
        return function

    return add


@tool(bounded=True)  # short results: the model needs no way to read on
async def capital(country: str) -> str:
    """Look up the capital of a country. country: its English name."""
    capitals = {"Bhutan": "Thimphu", "Laos": "Vientiane"}
    if country not in capitals:
        raise ToolError(f"Only known: {', '.join(capitals)}")
    return capitals[country]


@stop(call("capital", country="Lao"), call("capital", country="Laos"), say("Vientiane"))
async def tools(model: Model) -> None:
    """Tools are functions with types and a docstring. What goes wrong in one is told to the model."""
    result = await Agent(model, tools=[capital]).run("What is the capital of Laos?")
    for step in result.steps:
        for made in step.results:
            print(f"{made.call.name} {made.call.arguments} -> {made.content}")
    print(f"{result.answer} ({result.stop_reason}, {result.usage.total_tokens} tokens)")


@stop(say("One, ", "two, ", "three."))
async def streaming(model: Model) -> None:
    """Everything that happens is an event, while it happens."""
    async for event in Agent(model).stream("Count to three."):
        match event:
            case ModelDelta():
                print(f"[{event.text}]", end="", flush=True)
            case RunFinished():
                print(f" {event.result.stop_reason}")


class City(BaseModel):
    """A city, as the model has to describe it."""

    name: str
    country: str


@stop(say('{"name": "Thimphu"}'), say('{"name": "Thimphu", "country": "Bhutan"}'))
async def answers_of_a_type(model: Model) -> None:
    """An answer can be an object. One that does not fit goes back to the model with what is wrong."""
    result = await Agent(model).run("Which city is the capital of Bhutan?", output_type=City)
    print(f"{result.answer!r} after {len(result.steps)} steps")


@stop(call("capital", country="Laos"), call("capital", country="Bhutan"), say("Vientiane and Thimphu"))
async def limits(model: Model) -> None:
    """Near a limit the model is asked for its answer; nothing is raised, nothing is lost."""
    agent = Agent(model, tools=[capital], limits=Limits(steps=3, seconds=600))
    result = await agent.run("Which are the capitals of Laos, of Bhutan and of Nepal?")
    print(f"{result.answer} ({result.stop_reason})")


@stop(say("Thimphu."), say("Bhutan."))
async def sessions(model: Model) -> None:
    """Runs of one session continue a conversation."""
    agent = Agent(model)
    await agent.run("What is the capital of Bhutan?", session="thread-1")
    result = await agent.run("In which country is that?", session="thread-1")
    for message in result.messages:
        print(f"{message.role}: {message.content}")


class Scoreboard:
    """A plug-in: times each step, and keeps what people thought of the answers."""

    def __init__(self) -> None:
        self.scores: list[float] = []

    @asynccontextmanager
    async def bind(self, run: Run) -> AsyncIterator[Middleware]:
        """Entered when a run starts, left when it ends. What it yields wraps the run's steps."""

        class Timed(Middleware):
            async def step(self, request: StepRequest, handler: StepHandler) -> StepResult:
                started = time.perf_counter()
                result = await handler(request)
                print(f"step {request.index} took {time.perf_counter() - started:.3f} s")
                return result

        yield Timed()

    async def feedback(self, run: Run, feedback: Feedback) -> None:
        """Hear what somebody thought of a run's result."""
        self.scores.append(feedback.score)
        print(f"{feedback.source} gives {feedback.score} to the answer of {run.question!r}")


@stop(call("capital", country="Bhutan"), say("Thimphu"))
async def a_plugin_and_feedback(model: Model) -> None:
    """A plug-in wraps steps, model calls and tool calls. It also hears feedback, long after a run."""
    agent = Agent(model, tools=[capital], plugins=[Scoreboard()])
    result = await agent.run("What is the capital of Bhutan?")
    await result.run.feedback(1.0, "a user")


@stop(call("capital", country="Laos"), hang(), say("Vientiane"))
async def a_resumed_run(model: Model) -> None:
    """A run that was stopped goes on from where it was, also in another process."""
    agent = Agent(model, tools=[capital])
    saved = ""

    def watch(event: Event) -> None:
        nonlocal saved
        match event:
            case ToolFinished():
                print(f"{event.call.name} {event.call.arguments} -> {event.content}")
            case StepFinished():
                stopped.cancel()
            case RunFinished():
                saved = json.dumps(event.result.run.dump())

    stopped = asyncio.create_task(agent.run("What is the capital of Laos?", on_event=watch))
    await asyncio.wait([stopped])
    print(f"cancelled: {stopped.cancelled()}; saved: {len(saved)} characters")
    result = await agent.run("", resume=json.loads(saved))
    print(f"{result.answer} ({result.stop_reason})")


async def visit(model: Model | None) -> None:
    """Go from stop to stop."""
    for function, replies in STOPS:
        print(f"\n== {function.__name__.replace('_', ' ')} ==\n{function.__doc__}\n")
        if model is None:
            with ScriptedModel(*replies) as scripted:
                await function(scripted)
        else:
            async with model:
                await function(model)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--local", action="store_true")
    parser.add_argument("--base-url")
    parser.add_argument("--model", default="qwen2.5-coder-1.5b-instruct")
    options = parser.parse_args()
    model = None
    if options.base_url:
        model = Model(options.model, base_url=options.base_url, api_key=os.environ.get("OPENAI_API_KEY"))
    elif options.local:
        model = Model.local(options.model)
    asyncio.run(visit(model))


if __name__ == "__main__":
    main()
