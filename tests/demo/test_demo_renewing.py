"""A served model that has failed for good is asked again by the next visitor."""

import asyncio
from itertools import count

from scripted_engine import ScriptedEngine, answer

from swift_zoomin.demo.renewing import Renewing
from swift_zoomin.episode import Answer, Conversation, Episode
from swift_zoomin.images import ImageError, ImageRef
from swift_zoomin.records import RecordError


class Stopping(ScriptedEngine):
    """Answers nobody if it is the first of its kind."""

    def __init__(self, number: int, closed: list[int]) -> None:
        super().__init__({"a": [answer("real")]})
        self.number, self.closed = number, closed

    async def answer(self, conversation: Conversation, *how: object) -> Answer | ImageError:
        await asyncio.sleep(0.01)
        if self.number == 0:
            raise RecordError("the server failed 10 times in a row")
        return await super().answer(conversation)

    def close(self) -> None:
        self.closed.append(self.number)


def test_all_who_waited_are_told_and_the_next_is_answered() -> None:
    opened = count()
    closed: list[int] = []
    engine = Renewing(lambda: Stopping(next(opened), closed))
    conversation = Conversation(Episode(ImageRef("a.png", (56, 56), limits=engine.limits)))
    conversation.ask()

    async def ask() -> None:
        waiting = (engine.answer(conversation) for _ in range(3))
        told = await asyncio.gather(*waiting, return_exceptions=True)
        assert [str(error) for error in told] == ["the server failed 10 times in a row"] * 3
        assert await engine.answer(conversation) == answer("real")

    asyncio.run(ask())
    engine.close()
    assert closed == [0, 1]  # one other was opened for all three
