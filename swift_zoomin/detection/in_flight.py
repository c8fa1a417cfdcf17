"""Many coroutines, some of them in flight at a time, for a caller that knows nothing of asyncio."""

import asyncio
import os
import time
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cache
from queue import SimpleQueue
from threading import Lock, Semaphore, Thread
from typing import Any, TypeVar

_T = TypeVar("_T")
_R = TypeVar("_R")


def event_loop() -> asyncio.AbstractEventLoop:
    """The loop in which everything of this process runs that asks engines.

    It outlives each run: vLLM's engine stays with the loop that it was first asked in.
    """
    return _loop_of(os.getpid())  # a forked process has none of its parent's threads


@cache
def _loop_of(process: int) -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    Thread(target=loop.run_forever, name="zoomin", daemon=True).start()
    return loop


def submit(work: Coroutine[Any, Any, _R]) -> Future[_R]:
    """Begin work in the loop that all share; cancelling its future gives it up.

    No exception of it ends the loop: asyncio lets two of them do so, which come as a RuntimeError instead.
    """
    return asyncio.run_coroutine_threadsafe(_contained(work), event_loop())


async def _contained(work: Coroutine[Any, Any, _R]) -> _R:
    try:
        return await work
    except (KeyboardInterrupt, SystemExit) as error:
        raise RuntimeError(f"{type(error).__name__}: {error}") from error


@dataclass(frozen=True)
class _Fed:
    """All items are taken; what ended them before their end."""

    error: BaseException | None


def in_flight(work: Callable[[_T], Coroutine[Any, Any, _R]], items: Iterable[_T], most: int) -> Iterator[_R]:
    """What `work` makes of each item, in order of completion, with at most `most` begun and not yet given.

    Items are taken in a thread of their own, so that results come while the next item is still waited for. What `work`
    raises first, or the items raise, is raised here after the results of what is in flight then; nothing new begins.
    Closing gives up what is in flight.
    """
    events: SimpleQueue[Future[_R] | _Fed] = SimpleQueue()
    feeding = _Feeding(work, items, Semaphore(most), events)
    Thread(target=feeding.run, name="zoomin-items", daemon=True).start()
    is_fed, given = False, 0
    error: BaseException | None = None
    try:
        while not is_fed or given < feeding.count:
            event = events.get()
            if isinstance(event, _Fed):
                is_fed, error = True, error or event.error
                continue
            given += 1
            if raised := event.exception():
                is_fed, error = True, error or raised
                feeding.end()
                continue
            feeding.slots.release()
            yield event.result()
    finally:
        feeding.stop()
    if error:
        raise error


class _Feeding:
    """The thread that takes items and begins their work. `count` is how many it has begun."""

    def __init__(
        self,
        work: Callable[[Any], Coroutine[Any, Any, Any]],
        items: Iterable[Any],
        slots: Semaphore,
        events: "SimpleQueue[Any]",
    ) -> None:
        self.slots = slots
        self._work, self._items, self._events = work, items, events
        self.count = 0
        self._is_ended, self._beginning = False, Lock()
        self._begun: set[Future[Any]] = set()

    def run(self) -> None:
        error = None
        try:
            for item in self._items:
                self.slots.acquire()
                with self._beginning:
                    if self._is_ended:
                        return
                    self._begin(item)
                    self.count += 1
        except BaseException as raised:  # it belongs to the caller, whose thread is another
            error = raised
        self._events.put(_Fed(error))

    def _begin(self, item: Any) -> None:
        future = submit(self._work(item))
        self._begun.add(future)
        future.add_done_callback(self._begun.discard)
        future.add_done_callback(self._events.put)

    def end(self) -> None:
        """Begin nothing more. The thread is not waited for: the next item may never come."""
        with self._beginning:
            self._is_ended = True
        self.slots.release()

    def stop(self) -> None:
        """Give up what is begun, too."""
        self.end()
        for future in list(self._begun):
            future.cancel()


class SharedClock:
    """The seconds of a run, each moment of it shared by those in flight: the shares of all add up to the run's time."""

    def __init__(self) -> None:
        self._share, self._running = 0.0, 0
        self._now = time.perf_counter()

    def start(self) -> float:
        """To be given to `stop`."""
        self._go_on()
        self._running += 1
        return self._share

    def stop(self, started: float) -> float:
        """The share, in seconds, of what was started."""
        self._go_on()
        self._running -= 1
        return self._share - started

    def _go_on(self) -> None:
        now = time.perf_counter()
        if self._running:
            self._share += (now - self._now) / self._running
        self._now = now
