"""A picture that was let go is nobody's any more, and its path is never another visitor's."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from scripted_engine import ScriptedEngine, answer
from visitor import png

from swift_zoomin.demo import visits
from swift_zoomin.demo.uploads import RefusedError
from swift_zoomin.demo.visits import Visit, Visits
from swift_zoomin.detection import Detector
from swift_zoomin.episode import Answer, Conversation
from swift_zoomin.memory_files import MemoryFile
from swift_zoomin.probing.held import in_memory
from swift_zoomin.records import RecordError


class Saying(ScriptedEngine):
    async def answer(self, conversation: Conversation, *how: object) -> Answer:
        return [answer("real", [28, 28, 56, 56]), answer("real")][len(conversation.episode.replies)]


async def sent(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def done(here: Visits) -> Visit:
    visit = await here.welcome(sent(png(224)), 0, "a.png")
    async for event in here.events(visit):
        if event and event[0] == "done":
            break
    return visit


def demo(most: int = 2) -> Visits:
    return Visits(Detector(engine=Saying({})), "model", 2, most, 1_000_000)


def test_a_path_that_was_one_files_is_not_the_next_ones() -> None:
    file = MemoryFile()
    file.close()
    other = MemoryFile()
    assert other.path != file.path
    assert not file.path.exists()
    other.close()


def test_a_thread_that_goes_on_after_the_end_leaves_nothing() -> None:
    with in_memory() as hold:
        path = hold(b"picture")
    assert not path.exists()
    with pytest.raises(RecordError, match="given up"):
        hold(b"picture")


def test_a_picture_past_its_time_cannot_be_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visits, "HOLD_S", 0.05)

    async def visit() -> None:
        here = demo()
        gone = await done(here)
        await asyncio.sleep(0.2)  # its connection is still open
        with pytest.raises(RefusedError, match="no picture of that name is held"):
            here.finished(gone.id)

    asyncio.run(visit())


def test_what_is_refused_takes_nobodys_place() -> None:
    async def visit() -> None:
        here = demo(most=1)
        held = await done(here)
        for content, stated in ((b"x", 99_000_000), (b"no picture", 0)):
            with pytest.raises(RefusedError):
                await here.welcome(sent(content), stated, "x.png")
        assert held.upload.file.is_open
        here.leave(held)

    asyncio.run(visit())


def test_of_each_kind_one_question_at_a_time() -> None:
    async def visit() -> None:
        here = demo()
        held = await done(here)
        first = asyncio.ensure_future(held.do("probe", asyncio.sleep(0.05, "probed")))
        await asyncio.sleep(0)
        with pytest.raises(RefusedError, match="already"):
            await held.do("probe", asyncio.sleep(0))
        assert await first == "probed"
        here.leave(held)

    asyncio.run(visit())
