"""One by one in, batches out: ms-swift's TransformersEngine answers what waits together.

ms-swift's own `infer_async` gathers too, but begins with the first request that comes, in a batch of its own.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

_GATHERED_S = 0.05  # without a further request; those of one batch, once answered, come back within a few milliseconds

_CLOSING_S = 20.0  # for the token that a batch is at


@dataclass
class _Waiting:
    request: Any
    config: Any
    answer: Future[Any] = field(default_factory=Future)


class Gathering:
    """An engine that is asked one by one. `infer(requests, config)` answers a batch; an exception is an answer too."""

    def __init__(self, infer: Callable[[list[Any], Any], list[Any]]) -> None:
        self._infer = infer
        self._waiting: SimpleQueue[_Waiting | None] = SimpleQueue()
        self._is_closed = False
        # A daemon: Python would wait at its end for any other thread, and a batch takes minutes.
        self._worker = Thread(target=self._work, name="zoomin-batches", daemon=True)
        self._worker.start()

    async def infer_async(self, request: Any, config: Any) -> Any:
        """The response, when its batch is done. Raises what the engine gives or raises instead."""
        waiting = _Waiting(request, config)
        self._waiting.put(waiting)
        return await asyncio.wrap_future(waiting.answer)

    def close(self) -> None:
        """End the batch at its next token: Python aborts where it ends while torch still computes in a thread."""
        self._is_closed = True
        self._waiting.put(None)
        self._worker.join(_CLOSING_S)

    def check_open(self, *_: Any) -> None:
        """To be called before each token. Raises RuntimeError once this is closed."""
        if self._is_closed:
            raise RuntimeError("closed while a batch was answered")

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            is_last = self._gather(batch)
            for config, members in sorted(_by_config(batch), key=_is_sampled):
                self._answer(config, members)
            if is_last:
                return

    def _gather(self, batch: list[_Waiting]) -> bool:
        """Add what comes until nothing has come for a moment; whether that was the end."""
        try:
            while waiting := self._waiting.get(timeout=_GATHERED_S):
                batch.append(waiting)
        except Empty:
            return False
        return True

    def _answer(self, config: Any, batch: list[_Waiting]) -> None:
        wanted = [waiting for waiting in batch if waiting.answer.set_running_or_notify_cancel()]
        if not wanted:
            return
        try:
            answers = self._infer([waiting.request for waiting in wanted], config)
            if len(answers) != len(wanted):
                raise RuntimeError(f"{len(answers)} answers to {len(wanted)} requests; expected one each")
        except BaseException as error:  # it belongs to those who wait, whose thread is another
            answers = [error] * len(wanted)
        for waiting, answer in zip(wanted, answers, strict=True):
            if isinstance(answer, BaseException):
                waiting.answer.set_exception(answer)
            else:
                waiting.answer.set_result(answer)


def _is_sampled(group: tuple[Any, list[_Waiting]]) -> bool:
    """What is sampled comes last: each seed is a batch of its own, and a plain look would wait behind all of them."""
    return bool(getattr(group[0], "temperature", None))


def _by_config(batch: list[_Waiting]) -> list[tuple[Any, list[_Waiting]]]:
    """Those that are asked for alike, in one batch each."""
    groups: list[tuple[Any, list[_Waiting]]] = []
    for waiting in batch:
        for config, members in groups:
            if config == waiting.config:
                members.append(waiting)
                break
        else:
            groups.append((waiting.config, [waiting]))
    return groups
