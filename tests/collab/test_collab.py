"""Two models in one run."""

import asyncio
import itertools
import json
from typing import Any

import pytest
from _scripted import Wrap, unanswered

from agentinfer import Agent, Limits, Message, Model, Sampling, UserError
from agentinfer.collab import Collab, ProgressJudged, SwitchPutOff, Tier, Vetoes
from agentinfer.events import PrefixBreak
from agentinfer.search import SearchFirst
from agentinfer.step import Plugin
from agentinfer.testing import ScriptedModel, call, say
from agentinfer.transcript import ToolCall
from collab._pair import (
    FACTS,
    block,
    collab,
    large,
    look,
    look_up,
    small,
    switches,
    tiers,
    troubles,
    verdicts,
    who,
    written,
)


def agent(one: Model, plugin: Collab, **settings: Any) -> Agent:
    return Agent(one, tools=[look_up], instructions="Answer.", plugins=[plugin], **settings)


async def test_plan_work_stall_help_return() -> None:
    with (
        large(look(1), look(2), look(4, True)) as big,
        small(look(3, False), look(5, True), say("The answer")) as little,
    ):
        result = await agent(big, collab(little)).run("How heavy?")
    assert not troubles(result)
    assert result.answer == "The answer"
    assert who(result) == ["large", "large", "small", "large", "small", "small"]
    assert switches(result) == [
        ("small", "warmed_up"),
        ("large", "no_progress"),
        ("small", "progress"),
    ]
    assert verdicts(result)[2:] == [("no", "no"), ("yes", "yes"), ("yes", "yes")]
    assert not [event for event in result.events if isinstance(event, PrefixBreak)]
    assert not unanswered(result.messages)


async def test_every_lane_is_append_only_and_told_of_the_check_from_the_start() -> None:
    with (
        large(look(1, True), look(2, True), look(4, False), look(5, True)) as big,
        small(look(3, False), say("done")) as little,
    ):
        result = await agent(big, collab(little)).run("How heavy?")
    assert result.answer == "done"
    for model in (big, little):
        requests = model.requests
        assert "===PROGRESS===" in requests[0]["messages"][0]["content"]
        for one, other in itertools.pairwise(requests):
            assert other["messages"][: len(one["messages"])] == one["messages"]
    written = [m["content"] for m in little.requests[-1]["messages"] if m["role"] == "assistant"]
    assert written[0] == block(True), "the models see each other's verdicts, as they were written"
    assert all("PROGRESS" not in message.content for message in result.messages if message.role == "assistant")


async def test_what_help_is_called_for_is_said_at_the_end_and_stays() -> None:
    with large(look(1), look(2), look(5, True)) as big, small(look(3, True), look(3, True), say("x")) as little:
        result = await agent(big, collab(little)).run("q")
    told = big.requests[2]["messages"][-1]
    assert told["role"] == "user"
    assert "a call that was made before was made again" in told["content"]
    assert told in little.requests[-1]["messages"]
    assert verdicts(result)[2:4] == [("yes", "yes"), ("yes", "no")]


async def test_nothing_new_for_two_steps() -> None:
    with (
        large(look(1), look(2), look(9, True)) as big,
        small(look(77, True), look(78, True), look(79, True), say("x")) as little,
    ):
        result = await agent(big, collab(little, check="reply")).run("q")
    judged = [event for event in result.events if isinstance(event, ProgressJudged)]
    assert [event.vetoes for event in judged] == [(), (), (), (), ("nothing_new",), ()]
    assert [event.verdict for event in judged[2:]] == ["yes", "yes", "no", "yes"]
    assert who(result) == ["large", "large", "small", "small", "small", "large", "small"]


async def test_tools_that_fail_and_replies_that_cannot_be_read() -> None:
    with (
        large(look(1), look(2), look(4, True), say(block(True)), look(6, True)) as big,
        small(
            say(block(True)) + call("nope"), say(block(True)) + call("nope", n=1), say(block(True)), say("x")
        ) as little,
    ):
        result = await agent(big, collab(little)).run("q")
    judged = [event for event in result.events if isinstance(event, ProgressJudged)]
    assert [(event.model, event.vetoes) for event in judged[2:]] == [
        ("small", ()),
        ("small", ("nothing_new", "tool_errors")),
        ("large", ()),
        ("small", ("malformed",)),
        ("large", ("nothing_new", "malformed")),
        ("large", ()),
    ]


async def test_an_answer_that_is_sent_back_calls_for_help() -> None:
    async def send_back(run: Any, request: Any, handler: Any) -> Any:
        result = await handler(request)
        made_up = result.answer == "made up"
        return result.replace(answer=None, problem="Nothing says so.") if made_up else result

    with (
        large(look(1), look(3, True)) as big,
        small(look(2, True), say("made up"), say("item 3")) as little,
    ):
        plugins: list[Plugin] = [Wrap(step=send_back), collab(little, policy={"warmup": 1})]
        result = await Agent(big, tools=[look_up], instructions="Answer.", plugins=plugins).run("What weighs 51?")
    assert (result.answer, who(result)) == ("item 3", ["large", "small", "small", "large", "small"])
    assert [event.vetoes for event in result.events if isinstance(event, ProgressJudged)] == [
        (),
        (),
        ("sent_back",),
        (),
    ]
    assert any("(the answer was sent back)" in str(message["content"]) for message in big.requests[-1]["messages"])
    assert not troubles(result)


async def test_a_first_search_that_no_model_makes_is_nobodys() -> None:
    with large(look(1)) as big, small(look(2, True), say("done")) as little:
        plugins: list[Plugin] = [SearchFirst("look_up"), collab(little, policy={"warmup": 1})]
        result = await Agent(big, tools=[look_up], instructions="Answer.", plugins=plugins).run("fact 1")
    assert who(result) == ["large", "large", "small", "small"]
    judged = [(event.step, event.vetoes) for event in result.events if isinstance(event, ProgressJudged)]
    assert judged == [(2, ("same_search",)), (3, ())]
    assert not troubles(result)


async def test_a_verdict_that_a_native_model_leaves_out_takes_a_short_call_on_the_same_prefix() -> None:
    with (
        large(look(1), look(2), say("It weighs 51.")) as big,
        small(look(3), say(block(False, "all in vain"))) as little,
    ):
        result = await agent(big, collab(little)).run("q")
    assert not troubles(result)
    (judged,) = [e for e in result.events if isinstance(e, ProgressJudged) and e.step == 3]
    assert (judged.asked, judged.said, judged.reason) == (True, "no", "all in vain")
    asked = little.requests[1]
    assert asked["messages"][: len(little.requests[0]["messages"])] == little.requests[0]["messages"]
    assert asked["tools"] == little.requests[0]["tools"]
    assert asked["max_tokens"] == 128
    shown = big.requests[-1]["messages"]
    assert shown[-3:-1] == [asked["messages"][-1], {"role": "assistant", "content": block(False, "all in vain")}]
    assert result.usage.calls == 5
    assert set(result.run.calls.by_purpose) == {"step", "progress"}


async def test_a_check_that_fails_is_a_missing_verdict() -> None:
    with (
        large(look(1), look(2)) as big,
        small(look(3), call("look_up", query="x"), say("done")) as little,
    ):
        result = await agent(big, collab(little)).run("q")
    assert result.answer == "done"
    assert verdicts(result)[2] == ("missing", "missing")
    assert not unanswered(result.messages)


async def test_in_replies_only() -> None:
    with large(look(1), look(2), say("x")) as big, small(look(3), look(4)) as little:
        result = await agent(big, collab(little, check="reply")).run("q")
    assert verdicts(result) == [("missing", "missing")] * 4
    assert who(result)[-1] == "large", "missing twice in a row is a no"


async def test_without_any_check_only_facts_count() -> None:
    with large(look(1), look(2), say("x")) as big, small(look(3), look(3)) as little:
        result = await agent(big, collab(little, check="off")).run("q")
    assert who(result) == ["large", "large", "small", "small", "large"]
    assert "PROGRESS" not in json.dumps(big.requests)


async def test_a_call_of_its_own_after_every_step() -> None:
    with (
        large(look(1), look(2)) as big,
        small(look(3), say(block(True)), say("done")) as little,
    ):
        result = await agent(big, collab(little, check="call")).run("q")
    assert result.answer == "done"
    assert "PROGRESS" not in big.requests[0]["messages"][0]["content"]
    assert verdicts(result)[2] == ("yes", "yes")


def step(action: str, given: dict[str, Any], value: str) -> str:
    progress = {"reason": "since", "value": value}
    return json.dumps({"thought": "t", "progress": progress, "action": action, "input": given})


async def test_json_models_judge_in_a_field_of_their_replies() -> None:
    def reply(body: dict[str, Any]) -> Any:
        turn = sum(m["role"] == "assistant" for m in body["messages"])
        if turn == 4:
            return say("done")
        text = step("look_up", {"query": f"fact {turn}"}, "FALSE" if turn == 2 else "TRUE")
        return say(text)

    def raw(body: dict[str, Any]) -> Any:
        answer = reply(body)
        text = "".join(part.text for part in answer.parts)
        if text == "done":
            text = json.dumps({"thought": "", "action": "final_answer", "input": {"answer": "done"}})
        return written(text)

    big = ScriptedModel(handler=raw, name="large", protocol="json")
    little = ScriptedModel(handler=raw, name="small", protocol="json")
    result = await agent(big, collab(little)).run("q")
    assert not troubles(result)
    assert result.answer == "done"
    assert who(result) == ["large", "large", "small", "large", "small"]
    schema = big.requests[0]["response_format"]["json_schema"]["schema"]
    tool, *_, answer = schema["anyOf"]
    assert list(tool["properties"]) == ["thought", "action", "progress", "input"] == tool["required"]
    assert "progress" not in answer["properties"]
    assert little.requests[-1]["messages"][2]["content"] == step("look_up", {"query": "fact 0"}, "TRUE")


@pytest.mark.parametrize("protocols", [("native", "json"), ("json", "tagged"), ("tagged", "native")])
async def test_models_of_different_protocols(protocols: tuple[Any, Any]) -> None:
    """Each sees the other's replies in its own form, verdicts included."""

    def made(protocol: str, turn: int, value: str) -> Any:
        lines = block(value == "TRUE")
        query = f"fact {turn}"
        if protocol == "native":
            return say(lines) + call("look_up", query=query)
        text = step("look_up", {"query": query}, value)
        if protocol == "tagged":
            arguments = json.dumps({"name": "look_up", "arguments": {"query": query}})
            text = f"{lines}\n<tool_call>{arguments}</tool_call>"
        return written(text)

    one, other = protocols
    with (
        large(made(one, 1, "TRUE"), made(one, 2, "TRUE"), made(one, 4, "TRUE"), protocol=one) as big,
        small(made(other, 3, "FALSE"), say("done"), protocol=other) as little,
    ):
        result = await agent(big, collab(little)).run("q")
    assert not troubles(result)
    assert result.answer == "done"
    assert verdicts(result) == [("yes", "yes"), ("yes", "yes"), ("no", "no"), ("yes", "yes")]
    for model in (big, little):
        history = [m["content"] for m in model.requests[-1]["messages"] if m["role"] == "assistant"]
        assert all("progress" in text.lower() and "TRUE" in text for text in history[:2])
        assert "FALSE" in history[2]
    assert not [event for event in result.events if isinstance(event, PrefixBreak)]


async def test_static_roles() -> None:
    roles = {"planner": "small", "executor": "large", "policy": {"escalate": False, "warmup": 1}}
    with small(look(1)) as little, large(look(2), say("x")) as big:
        two = collab(little, **roles)
        result = await agent(big, two).run("q")
    assert who(result) == ["small", "large", "large"]
    assert "PROGRESS" not in json.dumps(big.requests)


async def test_three_tiers() -> None:
    middle = ScriptedModel(look(4, False), name="middle")
    with large(look(1), look(2), look(5, True)) as big, small(look(3, False), say("x")) as little:
        two = collab(little, tiers=[Tier("s", "small"), Tier("m", middle), Tier("l", "large")])
        result = await agent(big, two).run("q")
    middle.assert_complete()
    assert tiers(result) == ["l", "l", "s", "m", "l", "s"]


async def test_one_model_in_two_tiers() -> None:
    with large(look(1, True), look(2, False), look(3, True), say("x"), profile=_thinker("qwen")) as big:
        tiered = [
            {"name": "fast", "model": "large", "think": "fast"},
            {"name": "slow", "model": "large", "think": "slow"},
        ]
        result = await agent(big, collab(tiers=tiered, policy={"warmup": 0})).run("q")
    assert tiers(result) == ["fast", "fast", "slow", "fast"]
    assert switches(result) == []
    assert not [event for event in result.events if isinstance(event, PrefixBreak)]


def _thinker(way: str) -> Any:
    from agentinfer.models import Profile

    return Profile(thinking=way)


async def test_an_answer_that_is_forced_is_not_judged() -> None:
    with large(look(1, True), look(2, True)) as big, small(look(3, True), say("so")) as little:
        result = await agent(big, collab(little), limits=Limits(steps=4)).run("q")
    assert (result.answer, result.stop_reason) == ("so", "steps")
    assert len(verdicts(result)) == 3


async def test_the_small_model_writes_by_its_own_settings() -> None:
    with (
        large(look(1), look(2), sampling=Sampling(temperature=0.9, max_tokens=900)) as big,
        small(say("x"), sampling=Sampling(temperature=0.1, max_tokens=50)) as little,
    ):
        await agent(big, collab(little), limits=Limits(tokens=100_000)).run("q")
    assert (big.requests[0]["temperature"], big.requests[0]["max_tokens"]) == (0.9, 900)
    assert (little.requests[0]["temperature"], little.requests[0]["max_tokens"]) == (0.1, 50)


async def test_one_object_serves_many_runs() -> None:
    def big(body: dict[str, Any]) -> Any:
        turn = sum(m["role"] == "assistant" for m in body["messages"])
        return look(turn, True)

    def little(body: dict[str, Any]) -> Any:
        turn = sum(m["role"] == "assistant" for m in body["messages"])
        stalls = body["messages"][1]["content"] == "stalls"
        return say("done") if turn > 6 else look(turn, not stalls)

    two = collab(ScriptedModel(handler=little, name="small"))
    one = agent(ScriptedModel(handler=big, name="large"), two)
    names = ["stalls" if number % 2 else "works" for number in range(20)]
    results = await asyncio.gather(*(one.run(name) for name in names))
    assert {tuple(who(result)) for result in results[::2]} == {("large",) * 2 + ("small",) * 6}
    assert {tuple(who(result)) for result in results[1::2]} == {tuple(who(results[1]))}
    assert who(results[1]).count("large") > 2


@pytest.mark.parametrize("place", [0, 1])
async def test_plug_ins_before_and_after(place: int) -> None:
    seen: list[str] = []

    async def step(run: Any, request: Any, handler: Any) -> Any:
        seen.append(request.model.name)
        return await handler(request)

    with large(look(1), look(2)) as big, small(look(3, True), say("x")) as little:
        plugins: list[Any] = [collab(little)]
        plugins.insert(place, Wrap(step=step))
        result = await Agent(big, tools=[look_up], plugins=plugins).run("q")
    assert not troubles(result)
    assert seen == (["large"] * 4 if place == 0 else ["large", "large", "small", "small"])
    assert big.requests[0]["messages"][0]["role"] == "system", "there is a place for the check without instructions"


async def test_compression_is_a_named_cause_in_both_lanes() -> None:
    async def step(run: Any, request: Any, handler: Any) -> Any:
        result = await handler(request)
        if request.index == 3:
            from agentinfer import Message
            from agentinfer.transcript import View

            view = run.view
            run.commit(View([*view[:2], Message.user("notes"), *view[-2:]]), "compressed")
        return result

    with large(look(1), look(2), look(4, True)) as big, small(look(3, False), say("x")) as little:
        result = await Agent(big, tools=[look_up], instructions="A.", plugins=[collab(little), Wrap(step=step)]).run(
            "q"
        )
    breaks = [(event.model, event.cause) for event in result.events if isinstance(event, PrefixBreak)]
    assert breaks == [("large", "compressed"), ("small", "compressed")]


@pytest.mark.parametrize("protocol", ["native", "json", "tagged"])
async def test_examples_show_verdicts_and_are_no_evidence(protocol: Any) -> None:
    made = ToolCall(id="e1", name="look_up", arguments='{"query": "fact 1"}')
    again = ToolCall(id="e2", name="look_up", arguments='{"query": "fact 2"}')
    examples = [
        Message.user("Example?"),
        Message.assistant("I look.", tool_calls=[made]),
        Message.tool(made, FACTS["fact 1"]),
        Message.assistant("I look further.", tool_calls=[again]),
        Message.tool(again, FACTS["fact 2"]),
        Message.assistant("so"),
    ]
    first = say(block(True)) + call("look_up", query="fact 1")
    if protocol == "json":
        first = written(step("look_up", {"query": "fact 1"}, "TRUE"))
    with large(first, protocol=protocol) as big, small(say("x")) as little:
        plugin = collab(little, policy={"warmup": 1}, check="reply")
        result = await Agent(big, tools=[look_up], examples=examples, plugins=[plugin]).run("q")
    assert not troubles(result)
    shown = json.dumps(big.requests[0]["messages"][2:7])
    assert shown.count("This is the first step") == 1
    assert shown.count("The last result gave what was looked for") == 1
    (judged,) = [event for event in result.events if isinstance(event, ProgressJudged)]
    assert (judged.said, judged.vetoes, judged.fresh) == ("yes", (), True)
    assert result.messages[2].content == "I look."


async def test_the_price_of_a_switch_is_told() -> None:
    with large(look(1), look(2)) as big, small(say("x")) as little:
        result = await agent(big, collab(little)).run("q")
    (switch,) = [event for event in result.events if event.kind == "ModelSwitched"]
    assert switch.price.uncached_tokens == switch.price.prompt_tokens > 100  # type: ignore[attr-defined]
    assert switch.to_dict()["price"]["uncached_tokens"] > 100


async def test_a_return_that_does_not_pay_is_put_off(monkeypatch: pytest.MonkeyPatch) -> None:
    from agentinfer.collab import _run

    monkeypatch.setattr(_run, "pays", lambda here, there, **_: False)
    with large(look(1), look(2), look(4, True), look(5, True)) as big, small(look(3, False), say("x")) as little:
        result = await agent(big, collab(little)).run("q")
    assert who(result) == ["large", "large", "small", "large", "large", "small"]
    assert [event.step for event in result.events if isinstance(event, SwitchPutOff)] == [4]
    assert switches(result)[-1] == ("small", "progress")


async def test_going_on_after_a_dump() -> None:
    stopped = asyncio.Event()

    def hold(body: dict[str, Any]) -> Any:
        stopped.set()
        from agentinfer.testing import hang

        return hang()

    big, little = large(look(1), look(2)), small(look(3, False))
    held = ScriptedModel(look(1), look(2), hold, name="large")
    runs: list[Any] = []

    async def keep(run: Any, request: Any, handler: Any) -> Any:
        runs[:] = [run]
        return await handler(request)

    plugins: list[Any] = [collab(little), Wrap(step=keep)]
    task = asyncio.create_task(Agent(held, tools=[look_up], instructions="A.", plugins=plugins).run("q"))
    await stopped.wait()
    dump = json.loads(json.dumps(runs[0].dump()))
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert dump["states"]["collab"]["policy"]["phase"] == "escalated"
    del big
    with large(look(4, True)) as again, small(say("x")) as other:
        result = await Agent(again, tools=[look_up], instructions="A.", plugins=[collab(other)]).run("", resume=dump)
    assert (result.answer, who(result)) == ("x", ["large", "small"])
    assert not troubles(result)


async def test_a_dump_of_other_tiers_starts_anew() -> None:
    dump = {
        "version": 1, "id": "r", "question": "q", "session": None, "tenant": None, "steps": 0, "usage": {},
        "transcript": [{"role": "user", "content": "q"}], "view": None,
        "states": {"collab": {"policy": {"phase": "escalated", "tier": 2}, "last": "gone"}},
    }  # fmt: skip
    with large(look(1, True)) as big, small(say("x")) as little:
        result = await agent(big, collab(little, policy={"warmup": 1})).run("", resume=dump)
    assert (who(result), troubles(result)) == (["large", "small"], [])


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"planner": "huge"}, "no tier 'huge': its tiers are small, large"),
        ({"tiers": []}, "tiers of different names"),
        ({"tiers": [Tier("a", "small"), Tier("a", "large")]}, "tiers of different names"),
        ({"tiers": [{"model": "tiny"}]}, "its model is 'small', 'large' or a Model, not 'tiny'"),
        ({"tiers": [{"model": "small", "think": "hard"}]}, "think is fast, slow, adaptive or auto, not 'hard'"),
        ({"tiers": [{"modle": "small"}]}, "a tier is a table of model, name and think"),
        ({"tiers": [{"model": {"name": "x"}}]}, "base_url is missing"),
        ({"check": "never"}, r"Collab\(check='never'\): known are auto, reply, call, off"),
        ({"thinking": "much"}, "known are rungs, auto, off"),
        ({"economy": "tokens"}, "known are seconds, cost, off"),
        ({"stay": 0}, "stay=0"),
        ({"policy": {"warm": 1}}, "a Policy, or a table of budget_step, escalate"),
        ({"policy": {"planner": 1}}, "a Policy, or a table"),
        ({"vetoes": {"nothing_new": 0}}, r"Vetoes\(nothing_new=0\)"),
    ],
)
def test_arguments_that_do_not_go_together(settings: dict[str, Any], told: str) -> None:
    with pytest.raises(UserError, match=told):
        Collab(small(), **settings)


def test_no_small_model() -> None:
    with pytest.raises(UserError, match="needs a small model"):
        Collab()
    assert Collab(tiers=[{"model": "large"}]).policy.top == 0
    assert Collab(small(), vetoes=Vetoes(same_search=False)).vetoes.same_search is False
