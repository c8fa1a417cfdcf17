"""Visits in one process: what is told in which order, and when a picture is let go."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from scripted_engine import ScriptedEngine, answer
from visitor import png

from swift_zoomin.demo import visits
from swift_zoomin.demo.visits import Visits
from swift_zoomin.detection import Detector
from swift_zoomin.episode import Answer, Conversation
from swift_zoomin.images import ImageError
from swift_zoomin.records import RecordError


class Saying(ScriptedEngine):
    """Says the same of every picture; an exception among its answers is raised."""

    def __init__(self, *answers: Answer | Exception) -> None:
        super().__init__({})
        self.answers = answers

    async def answer(self, conversation: Conversation, *how: object) -> Answer | ImageError:
        said = self.answers[len(conversation.episode.replies)]
        if isinstance(said, Exception):
            raise said
        return said


async def sent(content: bytes) -> AsyncIterator[bytes]:
    yield content


def told(engine: Saying, until: str) -> tuple[list[str], Any, bool]:
    """The names of the events until this one, what it says, and whether the picture is held then."""

    async def visit() -> tuple[list[str], Any, bool]:
        all_visits = Visits(Detector(engine=engine), "model", 2, 2, 10_000_000)
        here = await all_visits.welcome(sent(png(224)), 0, "a.png")
        names = []
        try:
            async for event in all_visits.events(here):
                if event is None:
                    continue
                names.append(event[0])
                if event[0] == until:
                    return names, event[1], here.upload.file.is_open
        finally:
            all_visits.leave(here)
        raise AssertionError(f"{until} was not told; {names}")

    return asyncio.run(visit())


def test_the_first_look_is_told_and_then_the_prediction() -> None:
    names, said, is_held = told(Saying(answer("real", [28, 28, 56, 56]), answer("generated")), "done")
    assert names == ["taken", "first", "done"]
    assert said["prediction"]["boxes"] == [[28.0, 28.0, 56.0, 56.0]]
    assert is_held


def test_a_picture_is_let_go_some_time_after_its_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "HOLD_S", 0.05)
    names, _, is_held = told(Saying(answer("real"), answer("real")), "forgotten")
    assert names == ["taken", "first", "done", "forgotten"]
    assert not is_held


def test_a_first_reply_that_is_cut_is_told_as_it_is() -> None:
    names, said, _ = told(Saying(answer("real", cut=True)), "done")
    assert names == ["taken", "first", "done"]
    assert said["prediction"]["error"] == "reply 1 was cut by the length limit"


def test_a_picture_that_cannot_be_asked_about_is_told_in_its_own_name() -> None:
    class Unreadable(Saying):
        async def answer(self, conversation: Conversation, *how: object) -> ImageError:
            return ImageError(f"{conversation.images[0].path}: damaged image")

    names, said, _ = told(Unreadable(), "done")
    assert names == ["taken", "done"]
    assert said["prediction"]["error"] == "a.png: damaged image"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (RecordError("the server failed 10 times in a row"), "the server failed 10 times in a row"),
        (RuntimeError("out of memory"), "the model failed at this picture; the demo's own output says why"),
    ],
)
def test_a_look_that_fails_ends_alone(capsys: pytest.CaptureFixture[str], error: Exception, words: str) -> None:
    names, said, _ = told(Saying(error), "failed")
    assert (names, said) == (["taken", "failed"], {"error": words})
    assert ("out of memory" in capsys.readouterr().err) == isinstance(error, RuntimeError)
