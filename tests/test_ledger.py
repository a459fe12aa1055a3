"""What a prefix costs, with a clock that only moves when told."""

from typing import Any

import pytest
from _scripted import model
from hypothesis import given, settings
from hypothesis import strategies as st

from agentinfer import Completion, Ledger, Message, Model, ModelRequest, Price, Pricing, ToolSet, Usage, View, tool
from agentinfer.protocol import Reply


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@tool(bounded=True)
def look(at: int) -> str:
    """Look at something, for as long as it takes to see what it is."""
    return str(at)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(clock: Clock) -> Ledger:
    return Ledger(clock=clock, lifetime=600)


def request(view: View, of: Model, **changes: Any) -> ModelRequest:
    return ModelRequest(model=of, view=view, **changes)


def view_of(*texts: str) -> View:
    return View(Message.user(text) for text in texts)


def reply(**usage: Any) -> Completion:
    return Completion(
        reply=Reply(message=Message.assistant("x")),
        finish_reason="stop",
        usage=Usage(calls=1, **usage),
        model="m",
        first_token_seconds=2.0,
    )


def test_what_was_never_sent_is_uncached(ledger: Ledger) -> None:
    price = ledger.price(request(view_of("hello " * 50), model("x")))
    assert price.uncached_tokens == price.prompt_tokens > 0
    assert (price.seconds, price.cost, price.age_seconds) == (None, None, None)


def test_what_was_sent_is_cached_and_only_the_new_part_is_paid_for(ledger: Ledger, clock: Clock) -> None:
    m = model("x", pricing=Pricing(input=10, output=0, cached_input=1))
    view = view_of("hello " * 500)
    ledger.sent(request(view, m), "run")
    clock.now += 5
    price = ledger.price(request(view.append(Message.user("new " * 100)), m))
    new = m.counter.count(request(view.append(Message.user("new " * 100)), m).encoded.parts[-1])
    assert abs(price.uncached_tokens - new) <= 1
    assert price.age_seconds == 5
    assert price.cost == pytest.approx(
        (price.uncached_tokens * 10 + (price.prompt_tokens - price.uncached_tokens) * 1) / 1e6
    )


def test_the_tool_list_is_cached_with_the_prompt(ledger: Ledger) -> None:
    m, tools, view = model("x"), ToolSet([look]), view_of("hello")
    ledger.sent(request(view, m, tools=tools), "run")
    assert ledger.price(request(view, m, tools=tools)).uncached_tokens == 0


def test_a_prefix_is_forgotten_after_its_lifetime(ledger: Ledger, clock: Clock) -> None:
    m, view = model("x"), view_of("hello " * 500)
    ledger.sent(request(view, m), "run")
    clock.now += 601
    assert ledger.price(request(view, m)).age_seconds is None


def test_sending_again_keeps_a_prefix(ledger: Ledger, clock: Clock) -> None:
    m, view = model("x"), view_of("hello " * 500)
    for _ in range(3):
        ledger.sent(request(view, m), "run")
        clock.now += 400
    assert ledger.price(request(view, m)).uncached_tokens == 0


def test_a_shared_prefix_lives_as_long_as_anybody_sends_it(ledger: Ledger, clock: Clock) -> None:
    """The first run brought the system prompt; the second one goes on with it for longer than its lifetime."""
    m = model("x")
    system = Message.system("rules " * 2000)
    ledger.sent(request(View([system, Message.user("one")]), m), "first")
    view = View([system, Message.user("two")])
    for _ in range(10):
        ledger.sent(request(view, m), "second")
        clock.now += 300
        view = view.append(Message.user("more"))
        assert ledger.price(request(view, m)).uncached_tokens < 50
    third = View([system, Message.user("three")])
    assert ledger.price(request(third, m)).uncached_tokens < 50


def test_lanes_do_not_share(ledger: Ledger) -> None:
    one, other = model("x", name="one"), model("x", name="other")
    view = view_of("hello " * 500)
    ledger.sent(request(view, one), "run")
    for different in (
        request(view, other),
        request(view, one, tools=ToolSet([look])),
        request(view, model("x", name="one", protocol="tagged")),
        request(view, model("x", name="one", profile="vllm")),
    ):
        price = ledger.price(different)
        assert price.uncached_tokens == price.prompt_tokens


def test_continuing_loses_nothing(ledger: Ledger) -> None:
    m, view = model("x"), view_of("hello")
    for _ in range(5):
        assert ledger.sent(request(view, m), "run") is None
        view = view.append(Message.user("more"))


def test_a_rewritten_history_is_a_loss(ledger: Ledger) -> None:
    m = model("x")
    ledger.sent(request(view_of("same", "old " * 500), m), "run")
    loss = ledger.sent(request(view_of("same", "new"), m), "run")
    assert loss is not None
    assert 400 < loss.lost_tokens < 600
    assert loss.reason is None


def test_another_tool_list_is_a_loss_with_a_reason(ledger: Ledger) -> None:
    m, view = model("x"), view_of("hello " * 500)
    ledger.sent(request(view, m), "run")
    loss = ledger.sent(request(view, m, tools=ToolSet([look])), "run")
    assert loss is not None
    assert loss.reason == "the tool list changed"
    assert loss.lost_tokens > 400


def test_other_callers_lose_nothing(ledger: Ledger) -> None:
    m = model("x")
    ledger.sent(request(view_of("a"), m), "one")
    assert ledger.sent(request(view_of("b"), m), "another") is None


def test_reported_cached_tokens_correct_the_hypothesis(ledger: Ledger) -> None:
    m, view = model("x"), view_of("hello " * 500)
    ledger.sent(request(view, m), "run")
    for _ in range(4):
        price = ledger.price(request(view, m))
        ledger.sent(request(view, m), "run")
        ledger.answered(request(view, m), reply(prompt_tokens=750, cached_tokens=0, completion_tokens=1), price)
    doubted = ledger.price(request(view, m))
    assert doubted.uncached_tokens > 0.8 * doubted.prompt_tokens
    for _ in range(8):
        price = ledger.price(request(view, m))
        ledger.answered(request(view, m), reply(prompt_tokens=750, cached_tokens=750, completion_tokens=1), price)
    trusted = ledger.price(request(view, m))
    assert trusted.uncached_tokens < 0.1 * trusted.prompt_tokens


def test_what_turns_to_come_will_find_does_not_depend_on_this_one(ledger: Ledger, clock: Clock) -> None:
    m, view, other = model("x"), view_of("hello " * 500), view_of("other " * 500)
    assert ledger.hit_share(request(view, m)) == 1.0, "nothing is known"
    ledger.sent(request(view, m), "run")
    never_sent = request(other, m)
    assert ledger.price(never_sent).uncached_tokens == ledger.price(never_sent).prompt_tokens
    assert ledger.hit_share(never_sent) == 1.0
    price = ledger.price(request(view, m))
    ledger.answered(request(view, m), reply(prompt_tokens=750, cached_tokens=0, completion_tokens=1), price)
    assert ledger.hit_share(request(view, m)) == pytest.approx(0.5), "the endpoint had it not"
    clock.now += 601
    assert ledger.hit_share(request(view, m)) == 0.0, "it has dropped it"


def test_the_time_of_a_prompt_comes_from_the_measured_speed(ledger: Ledger) -> None:
    m, view = model("x"), view_of("hello " * 500)
    price = ledger.price(request(view, m))
    ledger.sent(request(view, m), "run")
    ledger.answered(request(view, m), reply(prompt_tokens=1000, cached_tokens=0, completion_tokens=1), price)
    after = ledger.price(request(view_of("other " * 500), m))
    assert after.seconds == pytest.approx(after.uncached_tokens / 500)


def test_memory_is_bounded(clock: Clock) -> None:
    ledger, m = Ledger(clock=clock, max_blocks=100), model("x")
    for number in range(1000):
        clock.now += 1
        ledger.sent(request(view_of(f"question {number}", "x" * 5000), m), f"run {number}")
        assert ledger._block_count <= 100
    (state,) = ledger._lanes.values()
    assert len(state.blocks) == ledger._block_count
    assert len(state.trunks) <= 100


def test_memory_is_bounded_where_all_ask_the_same(clock: Clock) -> None:
    ledger, m = Ledger(clock=clock, max_blocks=100), model("x")
    for number in range(500):
        clock.now += 1
        ledger.sent(request(view_of("the same question"), m), f"run {number}")
    assert sum(len(state.trunks) for state in ledger._lanes.values()) <= 20


TEXTS = st.sampled_from(["a", "b", "c" * 3000, "d" * 1500])
VIEWS = st.lists(st.lists(TEXTS, min_size=1, max_size=5), min_size=1, max_size=6)


@settings(max_examples=60)
@given(VIEWS, st.lists(TEXTS, min_size=1, max_size=5), st.lists(st.integers(0, 2), min_size=6, max_size=6))
def test_uncached_is_all_but_the_longest_prefix_of_anything_sent(
    sent: list[list[str]], asked: list[str], trunks: list[int]
) -> None:
    ledger, m = Ledger(clock=Clock()), model("x")
    digests = set()
    for texts, trunk in zip(sent, trunks, strict=False):
        encoded = request(view_of(*texts), m).encoded
        digests.update(encoded.digests[: encoded.blocks])
        ledger.sent(request(view_of(*texts), m), f"run {trunk}")
    encoded = request(view_of(*asked), m).encoded
    common = 0
    while common < encoded.blocks and encoded.digest(common) in digests:
        common += 1
    price = ledger.price(request(view_of(*asked), m))
    expected = m.counter.calibrate(encoded.tokens) - m.counter.calibrate(encoded.tokens_up_to(common))
    assert abs(price.uncached_tokens - expected) <= 1


def test_prices_are_values() -> None:
    price = Price(prompt_tokens=1, uncached_tokens=1, seconds=None, cost=None, age_seconds=None)
    with pytest.raises(AttributeError):
        price.cost = 1.0  # type: ignore[misc]
