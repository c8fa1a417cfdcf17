"""How fast a run may ask, and how much: requests and tokens a minute, and budgets of calls and tokens.

A budget counts every request that is sent in this run, also one that fails. Tokens are estimated before a request is
sent, and corrected by what the server says was used.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from swift_zoomin.annotation.stopping import Stop, StoppedError


class Pace:
    """Spreads amounts evenly, so many a minute; nothing saved up while nobody asks."""

    def __init__(self, per_minute: int | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds_each = 60 / per_minute if per_minute else 0.0
        self._clock = clock
        self._free_from = 0.0

    def reserve(self, amount: int) -> float:
        """Take the next free time for this amount; the seconds until then."""
        now = self._clock()
        start = max(now, self._free_from)
        self._free_from = start + amount * self._seconds_each
        return start - now

    def correct(self, amount: int) -> None:
        """It was more than reserved, or with a negative amount less."""
        self._free_from += amount * self._seconds_each


@dataclass
class Use:
    """The tokens of one request: the estimate, until the server says what it was."""

    tokens: int


class Limits:
    """All requests of a run pass here. `calls` and `tokens` are what the run has used."""

    def __init__(
        self,
        stop: Stop,
        requests_per_minute: int | None = None,
        tokens_per_minute: int | None = None,
        budget_calls: int | None = None,
        budget_tokens: int | None = None,
    ) -> None:
        self._stop = stop
        self._requests, self._tokens_pace = Pace(requests_per_minute), Pace(tokens_per_minute)
        self._budget_calls, self._budget_tokens = budget_calls, budget_tokens
        self._reserved = self._in_flight = 0
        self._settled = asyncio.Event()
        self.calls = self.tokens = 0

    @asynccontextmanager
    async def request(self, estimate: int) -> AsyncIterator[Use]:
        """A request of about so many tokens, which may be sent inside. Raises StoppedError where a budget is spent."""
        await self._take_from_budgets(estimate)
        use = Use(estimate)
        try:
            await self._wait_for_turn(estimate)
            yield use
        finally:
            self._reserved -= estimate
            self._in_flight -= 1
            self.tokens += use.tokens
            self._tokens_pace.correct(use.tokens - estimate)
            self._settled.set()

    async def _take_from_budgets(self, estimate: int) -> None:
        self._stop.check()
        while self._is_over_tokens(estimate) and self._in_flight:
            # What is in flight may turn out to take less than was reserved for it.
            self._settled.clear()
            await self._settled.wait()
            self._stop.check()
        if self._budget_calls is not None and self.calls >= self._budget_calls:
            self._stop.request(f"the budget of {self._budget_calls} calls is spent")
        elif self._is_over_tokens(estimate):
            left = f"{self.tokens} are used, and the next call may take {estimate}"
            self._stop.request(f"the budget of {self._budget_tokens} tokens is spent: {left}")
        self._stop.check()
        self.calls += 1
        self._reserved += estimate
        self._in_flight += 1

    async def _wait_for_turn(self, estimate: int) -> None:
        delay_s = max(self._requests.reserve(1), self._tokens_pace.reserve(estimate))
        if delay_s > 0:
            await self._stop.pause(delay_s)
        if self._stop.reason is not None:  # not sent after all
            self.calls -= 1
            raise StoppedError

    def _is_over_tokens(self, estimate: int) -> bool:
        if self._budget_tokens is None:
            return False
        return self.tokens + self._reserved + estimate > self._budget_tokens
