"""`Attention`: ask a model about an image, and see from where in it each word was said.

with closing(Attention("output/7b/grpo2/checkpoint-N")) as attention:
    explained = attention.heat_of("photo.jpg", query=2)
explained.picture().save("photo.attention.png")
explained.heats[0].heat.laid_on(explained.image.size)  # of the verdict: float32 (height, width), upright original
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from swift_zoomin.attention.gradients import LAYER, PLAIN, Smoothing, heat_of_tokens
from swift_zoomin.attention.heat import Heat, to_heat
from swift_zoomin.attention.picture import Explained, HeatOf
from swift_zoomin.attention.words import Said, Spoken
from swift_zoomin.detection.detector import exchange, open_checkpoint
from swift_zoomin.episode import BoxChooser, Conversation, Episode, first_boxes
from swift_zoomin.images import ImageError, ImageRef
from swift_zoomin.records import RecordError

if TYPE_CHECKING:
    from swift_zoomin.detection.engine import Encoded, SwiftEngine

MOST_WORDS = 6  # whose heat is shown where none are named: those said most from the image
SMOOTHING = Smoothing(copies=8, noise=0.1)


class Attention:
    """Looks inside a model folder, or a SwiftEngine with "transformers" that is open already and its giver's to close.

    `layer` is the decoder layer whose incoming states are looked at, from 0; `choose` picks query 2's
    regions. Other threads may ask the same engine meanwhile. Raises CheckpointError.
    """

    def __init__(
        self,
        model: "str | SwiftEngine",
        layer: int = LAYER,
        smoothing: Smoothing = SMOOTHING,
        max_new_tokens: int = 1024,
        choose: BoxChooser = first_boxes,
    ) -> None:
        self._is_own = isinstance(model, str)
        if isinstance(model, str):
            checkpoint = open_checkpoint(model)  # what is no model is said before ms-swift is loaded
            from swift_zoomin.detection.engine import SwiftEngine

            model = SwiftEngine(checkpoint, "transformers", max_new_tokens)
        self._engine, self._layer, self._smoothing, self._choose = model, layer, smoothing, choose

    def close(self) -> None:
        if self._is_own:
            self._engine.close()

    def heat_of(self, image: str, query: int = 2, words: Sequence[str] = (), replies: Sequence[str] = ()) -> Explained:
        """Explain the reply to one query about an image file: its verdict, its regions, and `words`.

        Without any, the words that are said most from the image are chosen. The exchange is run first, unless its
        `replies` are given, as a prediction has them. Raises ImageError, and RecordError where there is no such reply,
        word or layer.
        """
        conversation = self._conversation(image, replies)
        encoded = self._engine.encoded(_up_to(conversation, query))
        spoken = Spoken(encoded.reply_ids, encoded.tokenizer)
        looked = _Looked(encoded, conversation.images, self._layer)
        content = spoken.words()
        strengths = [heat.total for heat in looked.heats(content, PLAIN)]
        chosen = spoken.named(words) if words else _strongest(content, strengths)
        parts = [*spoken.verdict(), *spoken.regions(), *chosen]
        heats = looked.heats(parts, self._smoothing)
        return Explained(
            conversation.episode.image,
            query,
            conversation.episode.boxes_px,
            spoken.reply.explanation,
            [HeatOf(part.text, heat) for part, heat in zip(parts, heats, strict=True)],
            {said.text.lower(): strength for said, strength in zip(content, strengths, strict=True)},
        )

    def _conversation(self, image: str, replies: Sequence[str]) -> Conversation:
        reference = ImageRef.of(Path(image)).under(self._engine.limits)
        if reference.fault:
            raise ImageError(reference.fault)
        conversation = Conversation(Episode(reference, choose=self._choose))
        if not replies:
            asyncio.run(exchange(self._engine, conversation))
        for reply in replies:
            conversation.ask()
            conversation.messages.append({"role": "assistant", "content": reply})
            conversation.episode.replies.append(reply)
        return conversation


class _Looked:
    """An encoded conversation that is looked at for one word after the other."""

    def __init__(self, encoded: "Encoded", images: Sequence[ImageRef], layer: int) -> None:
        self._encoded, self._layer = encoded, layer
        merged = encoded.model.config.vision_config.spatial_merge_size
        grids = [(rows // merged, columns // merged) for _, rows, columns in encoded.inputs["image_grid_thw"].tolist()]
        self._grids, self._images = grids, images[: len(grids)]

    def heats(self, parts: Sequence[Said], smoothing: Smoothing) -> list[Heat]:
        tokens = heat_of_tokens(self._encoded, [part.tokens for part in parts], self._layer, smoothing)
        return [to_heat(of_part, self._grids, self._images) for of_part in tokens]


def _up_to(conversation: Conversation, query: int) -> Conversation:
    """The conversation up to the reply to a query. Raises RecordError where it ended before."""
    episode = conversation.episode
    if len(episode.replies) < query:
        reason = conversation.error or "it was not asked"
        raise RecordError(f"{episode.image.path}: no reply to query {query} ({reason})")
    images = conversation.images if query > 1 else conversation.images[:1]
    return Conversation(episode, conversation.messages[: 2 * query], images)


def _strongest(content: Sequence[Said], strengths: Sequence[float]) -> list[Said]:
    """The words with most heat, in the order in which they are said."""
    strongest = sorted(range(len(content)), key=lambda index: -strengths[index])[:MOST_WORDS]
    return [content[index] for index in sorted(strongest)]
