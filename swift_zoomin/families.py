"""Families of vision-language models, known by the name that a server gives a model.

The frame is the one a family was taught. Sources: ms-swift 4.6 (`norm_bbox` of the templates: Qwen2.5-VL none, all
others here norm1000; Qwen3.6 and 3.8 run as Qwen3.5), the processors in transformers (patch and merge size), and the
data formats that InternVL and GLM-V document.

OpenAI's models were taught no frame that is known, and their server shrinks what it gets (longest side 2048, shortest
768 pixels, or to a number of patches), so that pixels of the image sent are not what they see. Thousandths survive
that. They explain well and ground poorly; the paper grounds with Qwen2.5-VL.

Left out on purpose, so that a user must say `--ground-frame`: Gemini and Gemma, which write y before x; Kimi-VL, which
writes 0..1; names whose model changes (qwen-vl-max); and whatever else is not known. A checkpoint served under a name
of its own cannot be known either.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from swift_zoomin.boxes import Size


class Frame(StrEnum):
    """How a family of models writes boxes: pixels of the image that was sent, or thousandths of each side."""

    ABSOLUTE = "absolute"
    NORM1000 = "norm1000"

    def size(self, size_sent: Size) -> Size:
        """The (width, height) that the whole image has in this frame."""
        return size_sent if self is Frame.ABSOLUTE else (1000, 1000)


@dataclass(frozen=True)
class Family:
    """`patch_px`: the sides of an image that its server leaves as it is are multiples of this many pixels."""

    name: str
    frame: Frame
    patch_px: int
    is_taught: bool = True  # whether the frame was taught, so that boxes can be relied on


_FAMILIES = {
    r"qwen-?2[.-]5-?(?:vl|omni)": Family("Qwen2.5-VL", Frame.ABSOLUTE, 28),
    r"qwen-?2-?vl": Family("Qwen2-VL", Frame.NORM1000, 28),
    r"qwen-?3-?(?:vl|omni)": Family("Qwen3-VL", Frame.NORM1000, 32),
    r"qwen-?3[.-][568](?!\d|b)": Family("Qwen3.5", Frame.NORM1000, 32),
    r"internvl": Family("InternVL", Frame.NORM1000, 28),
    r"glm-?4[.-][156]v": Family("GLM-V", Frame.NORM1000, 28),
    r"(?:chat)?gpt-(?:4o|4[.]1|5)": Family("GPT", Frame.NORM1000, 32, is_taught=False),
}
_KNOWN = {re.compile(rf"(?<![a-z0-9]){pattern}"): family for pattern, family in _FAMILIES.items()}


def family_of(model_name: str) -> Family | None:
    """The family of a model named as in `Qwen/Qwen3-VL-8B-Instruct` or `/models/Qwen2.5-VL-7B-Instruct-AWQ`.

    The last part of a path that names a family decides. None where no part does.
    """
    for part in reversed(re.split(r"[/\\:]", model_name.lower().replace("_", "-"))):
        for pattern, family in _KNOWN.items():
            if pattern.search(part):
                return family
    return None
