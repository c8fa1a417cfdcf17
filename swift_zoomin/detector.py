"""Two-stage detection: run the exchange on many images and yield one prediction each.

    {"image": "a.png", "verdict": "generated", "initial_verdict": "real", "boxes": [[120, 88, 260, 190]],
     "box_labels": ["sign"], "explanation": "...", "initial_explanation": "...", "replies": ["...", "..."],
     "width": 1024, "height": 768, "seconds": 1.9, "error": null}

Boxes are pixels of the upright original; raw replies keep the model's own pixels. A verdict is null where the reply had
none. An unreadable image gives a prediction whose `error` says why; it stops nothing. A one-turn variant has no field
that it never asks for. The command `zoomin detect` adds `made_by`: the model and the settings.
"""

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

from swift_zoomin.boxes import PixelLimits
from swift_zoomin.checkpoints import Checkpoint, is_hub_name, read_checkpoint
from swift_zoomin.episode import ONE_TURN, BoxChooser, Episode, first_boxes
from swift_zoomin.images import ImageError, ImageRef
from swift_zoomin.replies import Reply, parse_reply

Prediction = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What an engine said: text, the sampled token ids, and whether the length limit cut it."""

    text: str
    token_ids: list[int]
    cut: bool


@dataclass
class Conversation:
    """One image's exchange so far, as ms-swift messages; earlier replies stand in it as the ids that were sampled."""

    episode: Episode
    messages: list[dict[str, Any]] = field(default_factory=list)
    images: list[ImageRef] = field(default_factory=list)
    error: str | None = None
    done: bool = False

    def ask(self) -> None:
        question = self.episode.next_question()
        if question is None:
            self.done = True
            return
        self.messages.append({"role": "user", "content": question.text})
        self.images += question.images

    def take(self, answer: Answer | ImageError) -> None:
        if isinstance(answer, ImageError):
            self.error, self.done = str(answer), True
            return
        self.messages.append({"role": "assistant", "content": answer.token_ids})
        self.episode.replies.append(answer.text)
        if answer.cut:  # as in training, a cut reply ends the exchange
            self.error, self.done = f"reply {len(self.episode.replies)} was cut by the length limit", True


class Engine(Protocol):
    """Anything that answers conversations, in order; an image it cannot read comes back as its ImageError.

    `limits` are the pixels of an image that its model is shown: boxes and crops are worked out with them.
    """

    @property
    def limits(self) -> PixelLimits: ...

    def ask(self, conversations: list[Conversation]) -> list[Answer | ImageError]: ...


def open_checkpoint(model: str) -> Checkpoint:
    """A model folder, or a model on a hub brought here, looked at before it is loaded. Raises CheckpointError."""
    if is_hub_name(model):
        from swift_zoomin.plugin.engine import download

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
        if isinstance(engine, str):
            from swift_zoomin.plugin.engine import SwiftEngine

            engine = SwiftEngine(open_checkpoint(model), engine, max_new_tokens, gpus, memory_share)
        self._engine, self._batch_size, self._choose, self._one_turn = engine, batch_size, choose, one_turn

    def detect(self, images: Iterable[str]) -> Iterator[Prediction]:
        """Predictions for image files, in order, a batch at a time."""
        paths = iter(images)
        while batch := list(islice(paths, self._batch_size)):
            yield from self._detect_batch(batch)

    def _detect_batch(self, paths: list[str]) -> Iterator[Prediction]:
        start = time.perf_counter()
        results = [self._start(path) for path in paths]
        while pending := [r for r in results if isinstance(r, Conversation) and not r.done]:
            for conversation in pending:
                conversation.ask()
            pending = [conversation for conversation in pending if not conversation.done]
            for conversation, answer in zip(pending, self._engine.ask(pending) if pending else [], strict=True):
                conversation.take(answer)
        seconds = (time.perf_counter() - start) / len(paths)
        for path, result in zip(paths, results, strict=True):
            yield to_prediction(path, result, round(seconds, 3), self._one_turn)

    def _start(self, path: str) -> Conversation | ImageError:
        try:
            image = ImageRef.of(path).under(self._engine.limits)
            _ = image.size_model  # refuses an image that the model cannot be shown
            return Conversation(Episode(image, choose=self._choose, one_turn=self._one_turn))
        except ImageError as error:
            return error


def to_prediction(
    path: str, result: Conversation | ImageError, seconds: float, one_turn: str | None = None
) -> Prediction:
    """The prediction format (module docstring); what an image never got to is null or empty."""
    episode = result.episode if isinstance(result, Conversation) else None
    replies = episode.replies if episode else []
    first, boxes_px = (episode.first, episode.boxes_px) if episode and replies else (Reply(), [])
    last = first if one_turn else parse_reply(replies[1]) if len(replies) > 1 else Reply()
    prediction = {
        "image": path,
        "verdict": last.verdict,
        "initial_verdict": first.verdict,
        "boxes": [[round(number, 2) for number in box] for box in boxes_px],
        "box_labels": first.box_labels,
        "explanation": last.explanation,
        "initial_explanation": first.explanation,
        "replies": replies,
        "width": episode and episode.image.size[0],
        "height": episode and episode.image.size[1],
        "seconds": seconds,
        "error": result.error if isinstance(result, Conversation) else str(result),
    }
    if one_turn:
        parts = ONE_TURN[one_turn][1]
        unasked = {"initial_verdict", "initial_explanation"}
        unasked |= set() if "explanation" in parts else {"explanation"}
        unasked |= set() if "regions" in parts else {"boxes", "box_labels"}
        prediction = {name: value for name, value in prediction.items() if name not in unasked}
    return prediction
