"""What waits for TransformersEngine goes to it in batches, and a batch ends when detection does."""

import asyncio
import threading
import time
from types import SimpleNamespace
from typing import Any

import pytest

from swift_zoomin.detection.gathering import Gathering


class Batches:
    """An engine that doubles numbers and remembers what it was asked together."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[Any], Any]] = []

    def infer(self, requests: list[Any], config: Any) -> list[Any]:
        self.asked.append((requests, config))
        if config == "broken":
            raise RuntimeError("no memory")
        return [ValueError("unreadable") if request < 0 else 2 * request for request in requests]


async def ask_all(gathering: Gathering, *asked: tuple[int, Any]) -> list[Any]:
    return await asyncio.gather(*(gathering.infer_async(*one) for one in asked), return_exceptions=True)


def test_those_that_wait_are_answered_together_and_alike_asked_apart() -> None:
    engine = Batches()
    gathering = Gathering(engine.infer)
    answers = asyncio.run(ask_all(gathering, (1, "greedy"), (2, "sampled"), (3, "greedy")))
    gathering.close()
    assert answers == [2, 4, 6]
    assert engine.asked == [([1, 3], "greedy"), ([2], "sampled")]


def test_plain_looks_are_answered_before_sampled_ones() -> None:
    engine = Batches()
    gathering = Gathering(engine.infer)
    sampled, plain = SimpleNamespace(temperature=1.0), SimpleNamespace(temperature=0)
    answers = asyncio.run(ask_all(gathering, (1, sampled), (2, plain), (3, sampled)))
    gathering.close()
    assert answers == [2, 4, 6]
    assert engine.asked == [([2], plain), ([1, 3], sampled)]


def test_an_error_belongs_to_its_request_or_to_its_batch() -> None:
    gathering = Gathering(Batches().infer)
    answers = asyncio.run(ask_all(gathering, (1, "greedy"), (-1, "greedy"), (2, "broken")))
    gathering.close()
    assert [str(answer) for answer in answers] == ["2", "unreadable", "no memory"]


def test_a_batch_with_fewer_answers_than_requests_is_an_error_of_each() -> None:
    gathering = Gathering(lambda requests, config: requests[1:])
    answers = asyncio.run(asyncio.wait_for(ask_all(gathering, (1, "greedy"), (2, "greedy")), 20))
    gathering.close()
    assert [str(answer) for answer in answers] == ["1 answers to 2 requests; expected one each"] * 2


def test_a_batch_ends_at_its_next_token_when_closed() -> None:
    begun = threading.Event()

    def write_for_ever(requests: list[Any], config: Any) -> list[Any]:
        while True:
            gathering.check_open()
            begun.set()
            time.sleep(0.01)

    async def ask() -> None:
        asking = asyncio.ensure_future(gathering.infer_async(1, "greedy"))
        await asyncio.to_thread(begun.wait)
        await asyncio.to_thread(gathering.close)
        with pytest.raises(RuntimeError, match="closed while a batch was answered"):
            await asyncio.wait_for(asking, 5)

    gathering = Gathering(write_for_ever)
    asyncio.run(ask())
    assert not gathering._worker.is_alive()
