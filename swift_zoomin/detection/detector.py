"""Two-stage detection: run the exchange on many images and yield one prediction each (`predictions`).

An image that cannot be read stops nothing: it gives a prediction whose `error` says why.
"""

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from swift_zoomin.checkpoints import Checkpoint, is_hub_name, read_checkpoint
from swift_zoomin.episode import BoxChooser, Conversation, Engine, Episode, first_boxes
from swift_zoomin.images import ImageError, ImageRef
from swift_zoomin.predictions import Prediction, to_prediction


def open_checkpoint(model: str) -> Checkpoint:
    """A model folder, or a model on a hub brought here, looked at before it is loaded. Raises CheckpointError."""
    if is_hub_name(model):
        from swift_zoomin.detection.engine import download

        return read_checkpoint(download(model))
    return read_checkpoint(model)


class Detector:
    """Runs both queries on a model folder (`engine` "transformers" or "vllm") or on any Engine.

    `choose` picks the regions to look at again from the first reply's boxes, in original pixels. `one_turn` asks one
    question of `episode.ONE_TURN` instead of both queries. vLLM spreads the model over `gpus` GPUs and takes
    `memory_share` of each.
    """

    def __init__(
        self,
        model: str = "",
        engine: str | Engine = "transformers",
        max_new_tokens: int = 1024,
        batch_size: int = 32,
        choose: BoxChooser = first_boxes,
        one_turn: str | None = None,
        gpus: int = 1,
        memory_share: float = 0.9,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size {batch_size}; expected at least 1")
        if isinstance(engine, str):
            from swift_zoomin.detection.engine import SwiftEngine

            engine = SwiftEngine(open_checkpoint(model), engine, max_new_tokens, gpus, memory_share)
        self._engine, self._batch_size, self._choose, self._one_turn = engine, batch_size, choose, one_turn

    def detect(self, images: Iterable[str]) -> Iterator[Prediction]:
        """Predictions for image files, in order, a batch at a time."""
        paths = iter(images)
        while batch := list(islice(paths, self._batch_size)):
            yield from self._detect_batch(batch)

    def _detect_batch(self, paths: list[str]) -> Iterator[Prediction]:
        start = time.perf_counter()
        conversations = [self._open(path) for path in paths]
        self._finish([conversation for conversation in conversations if isinstance(conversation, Conversation)])
        seconds = round((time.perf_counter() - start) / len(paths), 3)
        for path, conversation in zip(paths, conversations, strict=True):
            if isinstance(conversation, ImageError):
                yield to_prediction(path, None, str(conversation), seconds, self._one_turn)
            else:
                yield to_prediction(path, conversation.episode, conversation.error, seconds, self._one_turn)

    def _open(self, path: str) -> Conversation | ImageError:
        try:
            # As text it could be an image itself (base64), which is in no file.
            image = ImageRef.of(Path(path)).under(self._engine.limits)
        except ImageError as error:
            return error
        if image.fault:
            return ImageError(image.fault)
        return Conversation(Episode(image, choose=self._choose, one_turn=self._one_turn))

    def _finish(self, conversations: list[Conversation]) -> None:
        """Ask all of them, turn by turn, until each is done."""
        pending = conversations
        while pending:
            for conversation in pending:
                conversation.ask()
            asked = [conversation for conversation in pending if not conversation.done]
            if asked:
                for conversation, answer in zip(asked, self._engine.ask(asked), strict=True):
                    conversation.take(answer)
            pending = [conversation for conversation in asked if not conversation.done]
