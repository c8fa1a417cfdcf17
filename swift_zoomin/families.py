"""Families of vision-language models: how each is shown an image, and how it writes boxes.

A model in a folder is known by the `model_type` of its config.json, which is ms-swift's too; one behind an address by
the name that its server gives it. Whoever sizes an image or scales a box is given the family, in `PixelLimits`.

A family is one entry of `_FAMILIES`. One that is also to be trained names its model types, and has a class of its own
in `plugin/family_templates.py`; nothing else knows a family by its name.

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


class Frame(StrEnum):
    """How a family of models writes boxes: pixels of the image that it is shown, or thousandths of each side."""

    ABSOLUTE = "absolute"
    NORM1000 = "norm1000"

    def size(self, size_sent: tuple[int, int]) -> tuple[int, int]:
        """The (width, height) that the whole image has in this frame."""
        return size_sent if self is Frame.ABSOLUTE else (1000, 1000)


@dataclass(frozen=True)
class Family:
    """`patch_px` is the side of an image token: the sides of an image that is left as it is are multiples of it.

    `model_types` are those of config.json that this package trains and runs, none for a family known only as a server.
    """

    name: str
    frame: Frame
    patch_px: int
    is_taught: bool = True  # whether the frame was taught, so that boxes can be relied on
    model_types: tuple[str, ...] = ()


QWEN2_5_VL = Family("Qwen2.5-VL", Frame.ABSOLUTE, 28, model_types=("qwen2_5_vl",))
QWEN3_VL = Family("Qwen3-VL", Frame.NORM1000, 32, model_types=("qwen3_vl", "qwen3_vl_moe"))
QWEN3_5 = Family("Qwen3.5", Frame.NORM1000, 32, model_types=("qwen3_5", "qwen3_5_moe"))

_FAMILIES = {
    r"qwen-?2[.-]5-?(?:vl|omni)": QWEN2_5_VL,
    r"qwen-?2-?vl": Family("Qwen2-VL", Frame.NORM1000, 28),
    r"qwen-?3-?(?:vl|omni)": QWEN3_VL,
    r"qwen-?3[.-][568](?!\d|b)": QWEN3_5,
    r"internvl": Family("InternVL", Frame.NORM1000, 28),
    r"glm-?4[.-][156]v": Family("GLM-V", Frame.NORM1000, 28),
    r"(?:chat)?gpt-(?:4o|4[.]1|5)": Family("GPT", Frame.NORM1000, 32, is_taught=False),
}
_KNOWN = {re.compile(rf"(?<![a-z0-9]){pattern}"): family for pattern, family in _FAMILIES.items()}


TRAINED = tuple(family for family in _FAMILIES.values() if family.model_types)


def family_of_type(model_type: object) -> Family | None:
    """The family of a config.json's `model_type` that this package trains and runs; None for any other."""
    return next((family for family in TRAINED if model_type in family.model_types), None)


def family_named(name: str) -> Family | None:
    """The family that calls itself so in a reference or a checkpoint; None for a name that is no family's."""
    return next((family for family in TRAINED if family.name == name), None)


def any_family_named(name: str) -> Family | None:
    """As `family_named`, among those too that are only served."""
    return next((family for family in _FAMILIES.values() if family.name == name), None)


def trained_types() -> str:
    """What a message says was expected: the model types that are trained and run, and their families."""
    return ", ".join(f"{family.model_types[0]} ({family.name})" for family in TRAINED)


def family_of(model_name: str) -> Family | None:
    """The family of a model named as in `Qwen/Qwen3-VL-8B-Instruct` or `/models/Qwen2.5-VL-7B-Instruct-AWQ`.

    The last part of a path that names a family decides. None where no part does.
    """
    for part in reversed(re.split(r"[/\\:]", model_name.lower().replace("_", "-"))):
        for pattern, family in _KNOWN.items():
            if pattern.search(part):
                return family
    return None
