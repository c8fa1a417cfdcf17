"""Which images are in flight: none waits for another, no more than told, and what ends a run ends them too."""

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_engine import ScriptedEngine, answer, five_images, name_of

from swift_zoomin.detection import Detector
from swift_zoomin.episode import Answer, Conversation
from swift_zoomin.images import ImageError
from swift_zoomin.predictions import Prediction
from swift_zoomin.records import RecordError


@pytest.fixture
def images(tmp_path: Path) -> dict[str, str]:
    return five_images(tmp_path)


def test_an_image_whose_replies_are_done_waits_for_no_other(images: dict[str, str]) -> None:
    """`a` answers only after `b` has been answered twice: with batches it would wait for itself."""
    b_is_done = asyncio.Event()

    class Slow(ScriptedEngine):
        async def answer(self, conversation: Conversation, *how: object) -> Answer | ImageError:
            if name_of(conversation) == "a":
                await asyncio.wait_for(b_is_done.wait(), 20)
            elif conversation.episode.replies:
                b_is_done.set()
            return await super().answer(conversation)

    engine = Slow({name: [answer("real"), answer("generated")] for name in "ab"})
    predictions = list(Detector(engine=engine, concurrency=2).detect([images["a"], images["b"]]))
    assert [prediction["image"] for prediction in predictions] == [images["b"], images["a"]]
    assert engine.names() == "bbaa"


@pytest.mark.parametrize("most", [1, 2, 5])
def test_as_many_images_as_told_are_in_flight(images: dict[str, str], most: int) -> None:
    class Counting(ScriptedEngine):
        running, at_once = 0, 0

        async def answer(self, conversation: Conversation, *how: object) -> Answer | ImageError:
            self.running += 1
            self.at_once = max(self.at_once, self.running)
            await asyncio.sleep(0.02)
            self.running -= 1
            return await super().answer(conversation)

    engine = Counting({name: [answer("real"), answer("real")] for name in images})
    assert len(list(Detector(engine=engine, concurrency=most).detect(images.values()))) == 5
    assert engine.at_once == most


def test_images_are_taken_as_there_is_room_and_results_come_before_the_next_is_known(images: dict[str, str]) -> None:
    engine = ScriptedEngine({name: [answer("real"), answer("real")] for name in images})
    taken: list[str] = []
    go_on = threading.Event()

    def names() -> Iterator[str]:
        for name in "abc":
            taken.append(name)
            yield images[name]
        go_on.wait(20)
        raise RecordError("the list ends badly")

    predictions = Detector(engine=engine, concurrency=1).detect(names())
    assert (engine.names(), taken) == ("", [])
    assert next(predictions)["image"] == images["a"]
    assert len(taken) <= 3  # `b` may be on its way, and `c` taken to wait for its place
    assert [next(predictions)["image"] for _ in "bc"] == [images["b"], images["c"]]  # while the list says nothing
    go_on.set()
    with pytest.raises(RecordError, match="the list ends badly"):
        next(predictions)


def test_what_an_engine_raises_ends_the_run_and_what_is_in_flight(images: dict[str, str]) -> None:
    ended = threading.Event()

    class Failing(ScriptedEngine):
        async def answer(self, conversation: Conversation, *how: object) -> Answer | ImageError:
            if name_of(conversation) == "a":
                try:
                    await asyncio.sleep(60)
                finally:
                    ended.set()
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        list(Detector(engine=Failing({}), concurrency=2).detect([images["a"], images["b"]]))
    assert ended.wait(20)


def test_who_stops_taking_predictions_stops_the_run(images: dict[str, str]) -> None:
    engine = ScriptedEngine({name: [answer("real"), answer("real")] for name in images})
    taken: list[str] = []

    def endlessly() -> Iterator[str]:
        while True:
            taken.append(images["a"])
            yield images["a"]

    predictions = Detector(engine=engine, concurrency=2).detect(endlessly())
    next(predictions)
    predictions.close()  # type: ignore[attr-defined]
    time.sleep(0.05)
    count = len(taken)
    time.sleep(0.05)
    assert len(taken) == count


def test_a_detector_works_inside_a_running_event_loop(images: dict[str, str]) -> None:
    """As in a notebook."""

    async def cell() -> list[Prediction]:
        return list(Detector(engine=engine).detect([images["a"]]))

    engine = ScriptedEngine({"a": [answer("real"), answer("generated")]})
    assert [prediction["verdict"] for prediction in asyncio.run(cell())] == ["generated"]


def test_the_seconds_of_images_in_flight_together_add_up_to_the_runs(images: dict[str, str]) -> None:
    class SlowEngine(ScriptedEngine):
        async def answer(self, conversation: Conversation, *how: object) -> Answer | ImageError:
            await asyncio.sleep(0.05)
            return await super().answer(conversation)

    engine = SlowEngine({name: [answer("real"), answer("real")] for name in images})
    start = time.perf_counter()
    predictions = list(Detector(engine=engine, concurrency=5).detect(images.values()))
    took = time.perf_counter() - start
    assert 0.1 <= sum(prediction["seconds"] for prediction in predictions) <= took + 5 * 0.0005  # each is rounded
    assert max(prediction["seconds"] for prediction in predictions) < 0.1  # not the time that each one waited
