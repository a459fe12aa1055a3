"""When a failed call is sent again."""

import asyncio
import math
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentinfer.errors import ConnectionFailed, InvalidResponse, ModelError, RateLimited, RequestRefused, StreamCut
from agentinfer.models import RetryPolicy
from agentinfer.models._faults import error_of_status, retry_after
from agentinfer.testing import ScriptedModel, Step, fail, http, say

from ._ask import ask

BUSY = ConnectionFailed("busy")


def test_backoff_doubles_up_to_its_limit() -> None:
    policy = RetryPolicy(attempts=10, first_delay=1.0, max_delay=5.0)
    assert [policy.delay(BUSY, n, jitter=0.5) for n in range(1, 6)] == [1, 2, 4, 5, 5]
    assert policy.delay(BUSY, 1, jitter=0.0) == 0.5
    assert policy.delay(BUSY, 1, jitter=1.0) == 1.5


def test_attempts_are_bounded() -> None:
    assert RetryPolicy(attempts=3).delay(BUSY, 2) is not None
    assert RetryPolicy(attempts=3).delay(BUSY, 3) is None
    assert RetryPolicy(attempts=1).delay(BUSY, 1) is None


@pytest.mark.parametrize(
    "error", [RequestRefused("no"), StreamCut("", partial="Hel"), ConnectionFailed("", partial="x")]
)
def test_what_is_not_sent_again(error: ModelError) -> None:
    assert RetryPolicy().delay(error, 1) is None


def test_retry_after_is_a_floor() -> None:
    policy = RetryPolicy(first_delay=1.0)
    assert policy.delay(RateLimited("", retry_after=7.0), 1, jitter=0.5) == 7.0
    assert policy.delay(RateLimited("", retry_after=0.1), 1, jitter=0.5) == 1.0
    assert policy.delay(RateLimited("", retry_after=0.0), 1, jitter=0.5) == 1.0


def test_an_endpoint_that_asks_for_too_much_is_not_waited_for() -> None:
    assert RetryPolicy(max_retry_after=10).delay(RateLimited("", retry_after=11), 1) is None
    assert RetryPolicy().delay(RateLimited("", retry_after=math.inf), 1) is None


def test_nothing_waits_beyond_the_deadline() -> None:
    policy = RetryPolicy(first_delay=1.0)
    assert policy.delay(BUSY, 1, remaining=1.1, jitter=0.5) == 1.0
    assert policy.delay(BUSY, 1, remaining=1.0, jitter=0.5) is None
    assert policy.delay(RateLimited("", retry_after=5), 1, remaining=4, jitter=0.5) is None


@given(
    st.integers(1, 10_000),
    st.none() | st.floats(0, 1e9),
    st.none() | st.floats(-10, 1e4),
    st.floats(0, 1),
)
def test_a_delay_is_always_finite_and_in_time(
    attempt: int, asked: float | None, remaining: float | None, jitter: float
) -> None:
    policy = RetryPolicy(attempts=1_000_000)
    delay = policy.delay(RateLimited("", retry_after=asked), attempt, remaining=remaining, jitter=jitter)
    if delay is not None:
        assert max(asked or 0, 0.25) <= delay <= 120
        assert remaining is None or delay < remaining


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "?", "retry-after": "9"}, 9.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 -0000"}, None),
        ({"retry-after": "Wed, 99 Oct 99999 07:28:00 GMT"}, None),
    ],
)
def test_the_header(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_the_header_as_a_date() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    seconds = retry_after({"retry-after": date})
    assert seconds is not None
    assert 50 < seconds <= 60


@given(st.text(), st.text())
def test_any_header_is_seconds_or_nothing(one: str, other: str) -> None:
    seconds = retry_after({"retry-after": one, "retry-after-ms": other})
    assert seconds is None or seconds >= 0


@pytest.mark.parametrize(
    ("words", "again"),
    [
        ("You exceeded your current quota, please check your plan and billing details", False),
        ('{"error": {"code": "insufficient_quota"}}', False),
        ('{"error": {"code": "billing_hard_limit_reached"}}', False),
        ("Rate limit reached. Add a payment method at https://platform.openai.com/account/billing", True),
        ("Too many requests", True),
    ],
)
def test_a_spent_quota_is_told_from_a_rate_limit(words: str, again: bool) -> None:
    error = error_of_status(429, {}, words.encode())
    assert isinstance(error, RateLimited)
    assert error.retryable is again


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits between attempts, which take no time."""
    waits: list[float] = []
    sleep = asyncio.sleep

    async def note(seconds: float) -> None:
        waits.append(seconds)
        await sleep(0)

    monkeypatch.setattr("agentinfer.models._model.asyncio.sleep", note)
    return waits


async def test_an_endpoint_is_waited_for_as_it_asks(slept: list[float]) -> None:
    steps: list[Step] = [
        http(429, "", headers={"retry-after": "7"}),
        http(503, "", headers={"retry-after-ms": "9000"}),
        fail(InvalidResponse("?")),
        say("Hi"),
    ]
    with ScriptedModel(*steps, retry=RetryPolicy(first_delay=1.0)) as model:
        completion = await ask(model)
    assert completion.attempts == 4
    assert slept[:2] == [7.0, 9.0]
    assert 2.0 <= slept[2] <= 6.0


async def test_giving_up(slept: list[float]) -> None:
    model = ScriptedModel(*[fail(ConnectionFailed("gone"))] * 3, retry=RetryPolicy(attempts=3))
    with pytest.raises(ConnectionFailed) as caught:
        await ask(model)
    model.assert_complete()
    assert caught.value.attempts == 3
    assert len(slept) == 2
