"""Two-stage detection: run the exchange on many images and yield one prediction each (`predictions`).

Each image goes through its exchange by itself, many at a time: its second look begins as soon as its first has ended,
whatever the others do. An image that cannot be read stops nothing: it gives a prediction whose `error` says why.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from functools import partial
from pathlib import Path

from swift_zoomin.checkpoints import Checkpoint, is_hub_name, read_checkpoint
from swift_zoomin.detection.deciding import NOTHING_FURTHER, Deciding
from swift_zoomin.detection.in_flight import SharedClock, in_flight, submit
from swift_zoomin.episode import BoxChooser, Conversation, Engine, Episode, first_boxes
from swift_zoomin.images import ImageError, ImageRef
from swift_zoomin.predictions import Prediction, to_prediction

CONCURRENCY = 32  # images in flight
Heard = Callable[[Conversation], None]  # is told of each reply, in the loop that all engines share


def open_checkpoint(model: str) -> Checkpoint:
    """A model folder, or a model on a hub brought here, looked at before it is loaded. Raises CheckpointError."""
    if is_hub_name(model):
        from swift_zoomin.detection.engine import download

        return read_checkpoint(download(model))
    return read_checkpoint(model)


class Detector:
    """Runs both queries on a model folder (`engine` "transformers" or "vllm") or on any Engine.

    `concurrency` images are in flight at a time; of them "transformers" answers in batches what waits. `choose` picks
    the regions to look at again from the first reply's boxes, in original pixels. `one_turn` asks one question of
    `episode.ONE_TURN` instead of both queries. vLLM spreads the model over `gpus` GPUs and takes `memory_share` of
    each. `deciding` says what is wanted besides the verdict: samples, a decision. `close` lets go of a model that was
    loaded here; an Engine that was given is its giver's to close.
    """

    def __init__(
        self,
        model: str = "",
        engine: str | Engine = "transformers",
        max_new_tokens: int = 1024,
        concurrency: int = CONCURRENCY,
        choose: BoxChooser = first_boxes,
        one_turn: str | None = None,
        gpus: int = 1,
        memory_share: float = 0.9,
        deciding: Deciding = NOTHING_FURTHER,
    ) -> None:
        if concurrency < 1:
            raise ValueError(f"concurrency {concurrency}; expected at least 1")
        self._is_own = isinstance(engine, str)
        if isinstance(engine, str):
            from swift_zoomin.detection.engine import SwiftEngine

            engine = SwiftEngine(open_checkpoint(model), engine, max_new_tokens, gpus, memory_share)
        self._engine, self._concurrency, self._choose, self._one_turn = engine, concurrency, choose, one_turn
        self._deciding = deciding
        self._clock = SharedClock()  # of images that are looked at by themselves

    def close(self) -> None:
        if self._is_own:
            self._engine.close()

    def detect(self, images: Iterable[str]) -> Iterator[Prediction]:
        """Predictions for image files in the order in which they are done; `image` says whose each is.

        The paths are taken one by one, as there is room, in a thread of their own.
        """
        return in_flight(partial(self._look, SharedClock()), images, self._concurrency)

    def begin(self, path: str, heard: Heard) -> Future[Prediction]:
        """Look at one image file, beside whatever else is in flight; `heard` gets its exchange after each reply.

        How many are begun at a time is the caller's to decide. Cancelling gives the image up.
        """
        return submit(self._look(self._clock, path, heard))

    async def _look(self, clock: SharedClock, path: str, heard: Heard | None = None) -> Prediction:
        started = clock.start()
        try:
            seen = await self._exchange(path, heard)
            further = await self._deciding.further_fields(self._engine, path, seen, self._exchange)
        finally:  # also where the image is given up
            seconds = _rounded(clock.stop(started))
        if isinstance(seen, ImageError):
            return to_prediction(path, None, str(seen), seconds, self._one_turn) | further
        return to_prediction(path, seen.episode, seen.error, seconds, self._one_turn) | further

    async def _exchange(self, path: str, heard: Heard | None = None) -> Conversation | ImageError:
        """The exchange on one image file, to its end."""
        conversation = await asyncio.to_thread(self._open, path)
        if isinstance(conversation, Conversation):
            await exchange(self._engine, conversation, heard)
        return conversation

    def _open(self, path: str) -> Conversation | ImageError:
        try:
            # As text it could be an image itself (base64), which is in no file.
            image = ImageRef.of(Path(path)).under(self._engine.limits)
        except ImageError as error:
            return error.as_value()
        if image.fault:
            return ImageError(image.fault)
        return Conversation(Episode(image, choose=self._choose, one_turn=self._one_turn))


async def exchange(engine: Engine, conversation: Conversation, heard: Heard | None = None) -> None:
    """Ask one turn after the other, until the conversation is done."""
    conversation.ask()
    while not conversation.done:
        conversation.take(await engine.answer(conversation))
        if heard:
            heard(conversation)
        if not conversation.done:
            conversation.ask()


def _rounded(seconds: float) -> float:
    return round(seconds, 3)
