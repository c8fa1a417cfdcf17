"""An engine that looks at pictures, and an image with two flawed regions for it."""

import asyncio
from pathlib import Path

import numpy as np
from PIL import Image

from swift_zoomin.boxes import PixelLimits
from swift_zoomin.detection import Detector
from swift_zoomin.detection.in_flight import event_loop
from swift_zoomin.episode import Answer, Conversation
from swift_zoomin.families import QWEN2_5_VL
from swift_zoomin.images import ImageError, load_references
from swift_zoomin.predictions import Prediction
from swift_zoomin.probes import Probe
from swift_zoomin.probing.probe import Asking, probe_image
from swift_zoomin.replies import GENERATED, REAL, Reply, render_reply

LEFT, RIGHT = [100, 100, 300, 300], [600, 300, 800, 500]  # of an image of 1000 x 700
_FLAWED = 20.0  # standard deviation of a flaw's light; a blurred one has a few


class SeeingEngine:
    """At first sight it marks `boxes` (original pixels); then it says how many of the close-ups show a flaw.

    A sample says "generated" if its number is below four times that many. What was asked is remembered, with how many
    flaws were seen in the close-ups, and how much of the whole image is flawed.
    """

    limits = PixelLimits(4 * 784, 256 * 784, QWEN2_5_VL)  # 1000 x 700 is seen as 532 x 364

    def __init__(self, *boxes: list[int]) -> None:
        scale = (532 / 1000, 364 / 700) * 2
        seen = [[number * factor for number, factor in zip(box, scale, strict=True)] for box in boxes]
        self.first = render_reply(Reply(REAL, seen, ["flaw"] * len(boxes), "It looks flat."))
        self.asked: list[Conversation] = []
        self.seen: list[tuple[int, float]] = []

    async def answer(
        self, conversation: Conversation, temperature: float = 0.0, seed: int | None = None
    ) -> Answer | ImageError:
        if not conversation.episode.replies:
            return Answer(self.first, [1], False)
        if not seed:  # asked first; the other samples see the same
            whole, *close_ups = load_references(conversation.images)
            flaws = sum(np.asarray(picture.convert("L")).std() > _FLAWED for picture in close_ups)
            self.asked.append(conversation)
            self.seen.append((flaws, share_flawed(whole)))
        flaws, _ = self.seen[-1]
        verdict = GENERATED if (seed or 0) < 4 * flaws else REAL
        return Answer(render_reply(Reply(verdict, explanation="Seen.")), [2], False)

    def close(self) -> None:
        raise AssertionError("closed, and not by its giver")


def share_flawed(picture: Image.Image) -> float:
    """The share of a picture's squares of 14 pixels that are uneven."""
    light = np.asarray(picture.convert("L"), dtype=float)
    squares = light.reshape(light.shape[0] // 14, 14, light.shape[1] // 14, 14)
    return float((squares.std(axis=(1, 3)) > _FLAWED).mean())


def flawed_image(file: Path) -> Path:
    """Grey, but for noise at LEFT and RIGHT."""
    image = Image.new("RGB", (1000, 700), "grey")
    for box in (LEFT, RIGHT):
        image.paste(Image.effect_noise((200, 200), 200).convert("RGB"), box)
    image.save(file)
    return file


def detected(engine: SeeingEngine, image: Path) -> Prediction:
    (prediction,) = Detector(engine=engine).detect([str(image)])
    return prediction


def probed(engine: object, prediction: Prediction, image: Path, asking: Asking) -> Probe:
    probe = probe_image(engine, prediction, image, asking)  # type: ignore[arg-type]
    return asyncio.run_coroutine_threadsafe(probe, event_loop()).result(60)
