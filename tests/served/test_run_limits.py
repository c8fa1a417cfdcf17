"""Paces and budgets: how many requests a run sends, and how evenly."""

import asyncio
import time
from itertools import pairwise

import pytest

from swift_zoomin.served.limits import Limits
from swift_zoomin.served.stopping import Stop, StoppedError


async def ask(limits: Limits, estimate: int, used: int, seconds: float = 0.0) -> bool:
    """One request; whether it was sent."""
    try:
        async with limits.request(estimate) as use:
            await asyncio.sleep(seconds)
            use.tokens = used
    except StoppedError:
        return False
    return True


def run(number: int, limits: Limits, estimate: int = 10, used: int = 10, seconds: float = 0.0) -> int:
    """How many of so many requests at once were sent."""

    async def all_at_once() -> int:
        return sum(await asyncio.gather(*(ask(limits, estimate, used, seconds) for _ in range(number))))

    return asyncio.run(all_at_once())


def test_without_limits_all_are_sent() -> None:
    limits = Limits(Stop())
    assert run(100, limits) == 100
    assert (limits.calls, limits.tokens) == (100, 1000)


@pytest.mark.parametrize(("asked", "sent"), [(9, 9), (10, 10), (11, 10), (100, 10)])
def test_a_budget_of_calls_is_kept_to_the_call(asked: int, sent: int) -> None:
    stop = Stop()
    assert run(asked, Limits(stop, budget_calls=10), seconds=0.01) == sent
    assert stop.reason == (None if asked <= 10 else "the budget of 10 calls is spent")


def test_a_budget_counts_a_request_that_fails() -> None:
    limits = Limits(Stop(), budget_calls=2)

    async def fail() -> None:
        async with limits.request(10):
            raise ConnectionResetError

    async def thrice() -> list[type]:
        return [type(outcome) for outcome in await asyncio.gather(*(fail() for _ in range(3)), return_exceptions=True)]

    assert asyncio.run(thrice()) == [ConnectionResetError, ConnectionResetError, StoppedError]
    assert limits.tokens == 20  # nobody said what they took


def test_a_budget_of_tokens_is_never_exceeded_and_nearly_used() -> None:
    """30 fit at once by their estimate; as each takes a tenth of it, more are sent, until less than one's is left."""
    stop = Stop()
    limits = Limits(stop, budget_tokens=3000)
    sent = run(1000, limits, estimate=100, used=10, seconds=0.001)
    assert limits.tokens == 10 * sent
    assert 2900 < limits.tokens <= 3000
    assert (
        stop.reason == f"the budget of 3000 tokens is spent: {limits.tokens} are used, and the next call may take 100"
    )


def test_a_call_beyond_the_whole_budget_is_not_sent() -> None:
    limits = Limits(Stop(), budget_tokens=50)
    assert run(3, limits, estimate=100) == 0
    assert limits.calls == limits.tokens == 0


def test_requests_a_minute_are_spread_evenly() -> None:
    """At 6,000 a minute there are 10 ms between two."""
    limits = Limits(Stop(), requests_per_minute=6000)
    times: list[float] = []

    async def note() -> None:
        async with limits.request(1):
            times.append(time.monotonic())

    async def many() -> None:
        await asyncio.gather(*(note() for _ in range(12)))

    asyncio.run(many())
    assert all(later - earlier > 0.0099 for earlier, later in pairwise(times))


def test_tokens_a_minute_are_corrected_by_what_was_used() -> None:
    """600,000 a minute are 10 a ms: requests estimated at 10,000 would be a second apart, and took a hundredth."""
    limits = Limits(Stop(), tokens_per_minute=600_000)

    async def one_by_one() -> float:
        start = time.monotonic()
        for _ in range(10):
            await ask(limits, 10_000, 100)
        return time.monotonic() - start

    assert 0.089 < asyncio.run(one_by_one()) < 5


def test_whoever_waits_for_a_turn_is_sent_home_when_the_run_stops() -> None:
    stop = Stop()
    limits = Limits(stop, requests_per_minute=1, budget_calls=100)

    async def stop_soon() -> None:
        await asyncio.sleep(0.02)
        stop.request("enough")

    async def all_at_once() -> list[bool]:
        asking = asyncio.gather(*(ask(limits, 10, 10) for _ in range(5)))
        await stop_soon()
        return await asking

    start = time.monotonic()
    assert asyncio.run(all_at_once()) == [True, False, False, False, False]
    assert time.monotonic() - start < 30
    assert (limits.calls, limits.tokens) == (1, 10)


def test_the_first_reason_to_stop_stays() -> None:
    stop = Stop()
    stop.check()
    stop.request("first")
    stop.request("second")
    assert stop.reason == "first"
    with pytest.raises(StoppedError):
        stop.check()
