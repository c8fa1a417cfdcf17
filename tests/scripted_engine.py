"""An engine that answers from a script, and pictures for it."""

from collections.abc import Iterable
from copy import deepcopy
from pathlib import Path

from PIL import Image

from swift_zoomin.boxes import PixelLimits
from swift_zoomin.detection import Detector
from swift_zoomin.episode import Answer, Conversation
from swift_zoomin.families import QWEN2_5_VL
from swift_zoomin.images import ImageError
from swift_zoomin.predictions import Prediction
from swift_zoomin.replies import Reply, render_reply


def answer(verdict: str, *boxes: list[float], cut: bool = False, explanation: str = "Melted.") -> Answer:
    text = render_reply(Reply(verdict, list(boxes), ["part"] * len(boxes), explanation))
    return Answer(text, [ord(letter) for letter in text], cut)


class ScriptedEngine:
    """Answers from a script of replies by image name, and remembers every conversation as it was asked."""

    limits = PixelLimits(4 * 784, 256 * 784, QWEN2_5_VL)  # 28 x 28 pixels a token

    def __init__(self, script: dict[str, list[Answer | ImageError]]) -> None:
        self.script = script
        self.asked: list[Conversation] = []

    async def answer(
        self, conversation: Conversation, temperature: float = 0.0, seed: int | None = None
    ) -> Answer | ImageError:
        self.asked.append(deepcopy(conversation))
        return self.script[name_of(conversation)][len(conversation.episode.replies)]

    def close(self) -> None:
        raise AssertionError("closed, and not by its giver")

    def names(self) -> str:
        """Whose images were asked about, a letter each time."""
        return "".join(map(name_of, self.asked))


def name_of(conversation: Conversation) -> str:
    return Path(conversation.images[0].path).stem


def by_name(detector: Detector, paths: Iterable[str]) -> list[Prediction]:
    """In the order of the paths, whatever was done first."""
    made = {prediction["image"]: prediction for prediction in detector.detect(paths)}
    return [made[path] for path in paths]


def five_images(folder: Path) -> dict[str, str]:
    """Paths of five images of 1000 x 700, which the model sees as 532 x 364."""
    paths = {name: str(folder / f"{name}.png") for name in "abcde"}
    for path in paths.values():
        Image.new("RGB", (1000, 700), "grey").save(path)
    return paths
