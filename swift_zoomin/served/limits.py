"""How fast a run may ask, and how much: requests and tokens a minute, and budgets of calls and tokens.

A budget counts every request that is sent in this run, also one that fails. Tokens are estimated before a request is
sent, and corrected by what the server says was used.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from swift_zoomin.arguments import counted
from swift_zoomin.served.stopping import Stop, StoppedError


class Pace:
    """Lets so many through a minute, evenly, one after the other; nothing is saved up while nobody asks."""

    def __init__(self, per_minute: int | None, stop: Stop) -> None:
        self._seconds_each = 60 / per_minute if per_minute else 0.0
        self._stop = stop
        self._turn = asyncio.Lock()
        self._free_from = 0.0

    async def wait(self, amount: int) -> None:
        """Until it is this amount's turn, or the run stops."""
        if not self._seconds_each:
            return
        async with self._turn:
            delay_s = self._free_from - time.monotonic()
            if delay_s > 0:
                await self._stop.pause(delay_s)
            self._free_from = max(self._free_from, time.monotonic()) + amount * self._seconds_each

    def correct(self, amount: int) -> None:
        """It was more than was waited for, or with a negative amount less."""
        self._free_from += amount * self._seconds_each


@dataclass
class Use:
    """The tokens of one request: once it is sent the estimate, until the server says what it was."""

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
        self._requests_pace, self._tokens_pace = Pace(requests_per_minute, stop), Pace(tokens_per_minute, stop)
        self._budget_calls, self._budget_tokens = budget_calls, budget_tokens
        self._reserved = self._in_flight = 0
        self._settled = asyncio.Event()
        self.calls = self.tokens = 0

    @asynccontextmanager
    async def request(self, estimate: int) -> AsyncIterator[Use]:
        """A request of about so many tokens, which may be sent inside. Raises StoppedError where a budget is spent."""
        await self._take_from_budgets(estimate)
        use = Use(0)
        try:
            await self._wait_for_turn(estimate)
            use.tokens = estimate
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
            self._stop.request(f"the budget of {counted(self._budget_calls, 'call')} is spent")
        elif self._budget_tokens is not None and self._is_over_tokens(estimate):
            left = f"{self.tokens} are used, and the next call may take {estimate}"
            self._stop.request(f"the budget of {counted(self._budget_tokens, 'token')} is spent: {left}")
        self._stop.check()
        self.calls += 1
        self._reserved += estimate
        self._in_flight += 1

    async def _wait_for_turn(self, estimate: int) -> None:
        await self._requests_pace.wait(1)
        await self._tokens_pace.wait(estimate)
        if self._stop.reason is not None:  # not sent after all
            self.calls -= 1
            raise StoppedError

    def _is_over_tokens(self, estimate: int) -> bool:
        if self._budget_tokens is None:
            return False
        return self.tokens + self._reserved + estimate > self._budget_tokens
