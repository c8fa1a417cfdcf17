"""Which images are in flight: none waits for another, no more than told, and what ends a run ends them too."""

import asyncio
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from scripted_engine import ScriptedEngine, answer, five_images, name_of

from swift_zoomin.detection import Detector
from swift_zoomin.detection.in_flight import SharedClock, event_loop
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


class FailingForB(ScriptedEngine):
    """Fails for `b`; `a` has its replies once `go_on` is set."""

    def __init__(self) -> None:
        super().__init__({name: [answer("real"), answer("generated")] for name in "acde"})
        self.go_on, self.has_failed, self.a_ended = asyncio.Event(), threading.Event(), threading.Event()

    async def answer(self, conversation: Conversation, *how: object) -> Answer | ImageError:
        if name_of(conversation) == "b":
            self.has_failed.set()
            raise RuntimeError("out of memory")
        if name_of(conversation) == "a":
            try:
                await asyncio.wait_for(self.go_on.wait(), 60)
            finally:
                self.a_ended.set()
        return await super().answer(conversation)


def test_after_what_an_engine_raises_nothing_begins_and_what_is_in_flight_is_kept(images: dict[str, str]) -> None:
    engine = FailingForB()
    taken: list[str] = []

    def names() -> Iterator[str]:
        for name in "ab":
            taken.append(name)
            yield images[name]
        engine.has_failed.wait(20)
        event_loop().call_soon_threadsafe(event_loop().call_later, 0.1, engine.go_on.set)
        for name in "cde":
            taken.append(name)
            yield images[name]

    kept: list[Prediction] = []
    with pytest.raises(RuntimeError, match="out of memory"):
        kept.extend(Detector(engine=engine, concurrency=2).detect(names()))
    # `list.extend` keeps what came before an error
    assert [(Path(prediction["image"]).stem, prediction["verdict"]) for prediction in kept] == [("a", "generated")]
    assert engine.names() == "aa"


def test_after_what_an_engine_raises_a_list_that_says_nothing_is_not_waited_for(images: dict[str, str]) -> None:
    go_on = threading.Event()

    def names() -> Iterator[str]:
        yield images["b"]
        go_on.wait(60)

    start = time.monotonic()
    with pytest.raises(RuntimeError, match="out of memory"):
        list(Detector(engine=FailingForB(), concurrency=2).detect(names()))
    go_on.set()
    assert time.monotonic() - start < 30


def test_an_interruption_waits_for_nothing_in_flight(images: dict[str, str]) -> None:
    """Also after an error, while what is in flight is waited for."""
    engine = FailingForB()

    def interrupt() -> None:
        engine.has_failed.wait(20)
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        list(Detector(engine=engine, concurrency=2).detect([images["a"], images["b"]]))
    assert engine.a_ended.wait(20)
    assert not engine.go_on.is_set()


def test_an_engine_that_fails_for_everything_ends_the_run_at_once(images: dict[str, str]) -> None:
    class Failing(ScriptedEngine):
        async def answer(self, conversation: Conversation, *how: object) -> Answer | ImageError:
            self.asked.append(conversation)
            raise RuntimeError(f"out of memory at {name_of(conversation)}")

    engine = Failing({})
    with pytest.raises(RuntimeError, match="out of memory at"):
        list(Detector(engine=engine, concurrency=2).detect(list(images.values()) * 100))
    assert len(engine.asked) <= 2


@pytest.mark.parametrize("raised", [SystemExit("no more"), KeyboardInterrupt("no more")])
def test_no_engine_ends_the_loop_that_all_share(images: dict[str, str], raised: BaseException) -> None:
    class Exiting(ScriptedEngine):
        async def answer(self, conversation: Conversation, *how: object) -> Answer | ImageError:
            raise raised

    with pytest.raises(RuntimeError, match=r"(SystemExit|KeyboardInterrupt): no more"):
        list(Detector(engine=Exiting({})).detect([images["a"]]))
    engine = ScriptedEngine({"a": [answer("real"), answer("generated")]})
    assert len(list(Detector(engine=engine).detect([images["a"]]))) == 1


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


def test_each_moment_is_shared_by_those_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    clock = SharedClock()
    now = 101.0  # nobody's
    first = clock.start()
    now = 103.0  # two seconds of the first's alone
    second = clock.start()
    now = 107.0  # four of both
    assert clock.stop(first) == 2 + 4 / 2
    now = 110.0
    assert clock.stop(second) == 4 / 2 + 3
