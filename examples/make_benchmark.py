"""Make a benchmark that a model can only solve by looking twice.

    python examples/make_benchmark.py output/benchmark --scenes quick --train 4000 --test 200

Each image shows coloured panels among grey discs. A panel is woven of dark and coloured threads. On a real image every
weave is of a real kind (level, checked); on a generated one exactly one panel is of a generated kind (upright,
slanted). A weave repeats every 4 pixels, and half of each block of 4 x 4 pixels is dark, whatever the weave. The first
look shrinks 4 times, so all weaves average to the same colour there; a close-up shows them. Discs are woven too, at
random: they are not evidence. The light grows warmer to the right and bluer downwards, which shows where things are.

Everything but the weave of the panels is drawn without regard to the label. Records are written to
`DIR/train/records.jsonl` and `DIR/test/records.jsonl`. The same seed gives the same files.
"""

import argparse
import random
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from tqdm import tqdm

from swift_zoomin import prompts
from swift_zoomin.episode import MAX_CROPS
from swift_zoomin.families import QWEN2_5_VL, QWEN3_VL, Frame
from swift_zoomin.records import write_records
from swift_zoomin.replies import GENERATED, REAL, VERDICTS

SIDE_TOKENS = 4  # of the first look: 112 x 112 pixels at MAX_PIXELS=12544 for Qwen2.5-VL, 128 x 128 for Qwen3-VL
SHRINK = 4  # original pixels a pixel of the first look
FADE_PX = 5 * SHRINK  # over which a weave fades at its edges, where shrinking would tell its direction
GRAIN = 4  # standard deviation of the noise on a weave: without it, rounding would leave traces that shrinking keeps
VISIBLE_PERIOD_PX = SHRINK * SHRINK  # as many pixels of the first look as a close-up shows, for the control
LIGHT = 0.4  # share of the coloured light in a pixel
COLOURS = {
    "red": (230, 40, 40),
    "green": (30, 190, 60),
    "blue": (50, 70, 235),
    "yellow": (235, 210, 30),
    "purple": (170, 40, 210),
    "cyan": (30, 200, 215),
}
WEAVES = {REAL: ("level", "checked"), GENERATED: ("upright", "slanted")}
SENTENCES = (
    "The weave of the {colour} panel is {weave}.",
    "From near the {colour} panel looks {weave}.",
    "The threads of the {colour} panel are {weave}.",
)
FAMILIES = {family.model_types[0]: family for family in (QWEN2_5_VL, QWEN3_VL)}  # that there is a tiny model of
Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Scenes:
    """What images show: how many panels and discs, their sides in grid steps, how many weaves of each class.

    `token_px` is the side of an image token of the model that looks: first looks of whole tokens shrink by SHRINK.
    """

    panels: tuple[int, int]
    discs: int
    sides: tuple[int, int]
    weaves: int
    token_px: int = QWEN2_5_VL.patch_px

    @property
    def side_px(self) -> int:
        return SIDE_TOKENS * self.token_px * SHRINK

    @property
    def step_px(self) -> int:
        """Panels stand on a grid of a quarter of an image token."""
        return self.token_px // 4 * SHRINK


SCENES = {
    "quick": Scenes(panels=(1, 1), discs=1, sides=(4, 4), weaves=1),
    "full": Scenes(panels=(1, 4), discs=1, sides=(4, 4), weaves=2),
}


def draw_image(
    label: str, scenes: Scenes, rng: random.Random, period: int = SHRINK
) -> tuple[Image.Image, list[Box], list[str], list[str]]:
    """One image; the boxes of its panels in pixels, their colours in the order of COLOURS, and their weaves."""
    count = rng.randint(*scenes.panels)
    places = _places(count + scenes.discs, scenes, rng)
    panels, discs = places[:count], places[count:]
    colours = sorted(rng.sample(list(COLOURS), count), key=list(COLOURS).index)  # an order that can be learnt
    odd = rng.randrange(count)
    classes = [GENERATED if label == GENERATED and panel == odd else REAL for panel in range(count)]
    weaves = [rng.choice(WEAVES[panel_class][: scenes.weaves]) for panel_class in classes]
    grey = rng.randint(90, 160)
    image = Image.new("RGB", (scenes.side_px, scenes.side_px), (grey,) * 3)
    for place, colour, weave in zip(panels, colours, weaves, strict=True):
        image.paste(_woven(place, COLOURS[colour], weave, period, rng), place[:2])
    for place in discs:
        weave = rng.choice([kind for kinds in WEAVES.values() for kind in kinds[: scenes.weaves]])
        disc = _woven(place, (grey + rng.choice((-40, 90)),) * 3, weave, period, rng)
        mask = Image.new("L", disc.size)
        ImageDraw.Draw(mask).ellipse((0, 0, disc.width - 1, disc.height - 1), fill=255)
        image.paste(disc, place[:2], mask)
    return Image.blend(image, _light(scenes.side_px), LIGHT), panels, colours, weaves


def _places(count: int, scenes: Scenes, rng: random.Random) -> list[Box]:
    """Boxes on the grid that do not touch."""
    step_px = scenes.step_px
    places: list[Box] = []
    while len(places) < count:
        width, height = (step_px * rng.randint(*scenes.sides) for _ in range(2))
        left, top = (step_px * rng.randint(0, (scenes.side_px - side) // step_px) for side in (width, height))
        place = (left, top, left + width, top + height)
        if not any(_touch(place, other) for other in places):
            places.append(place)
        elif rng.random() < 0.02:  # perhaps no room is left: start over
            places.clear()
    return places


def _touch(a: Box, b: Box) -> bool:
    return a[0] <= b[2] and b[0] <= a[2] and a[1] <= b[3] and b[1] <= a[3]


def _woven(place: Box, colour: tuple[int, int, int], weave: str, period: int, rng: random.Random) -> Image.Image:
    """A rectangle of threads, half of them black; `period` in pixels, from a random phase, fading to its mean."""
    width, height = place[2] - place[0], place[3] - place[1]
    half, phase = period // 2, rng.randrange(period)
    y, x = np.mgrid[phase : phase + height, phase : phase + width]
    lit = {
        "level": y // half,
        "upright": x // half,
        "checked": x // half + y // half,
        "slanted": (x + y) // half,
    }[weave] % 2
    lit = 0.5 + (lit - 0.5) * np.outer(_fade(height), _fade(width))
    grain = np.random.default_rng(rng.getrandbits(64)).normal(0, GRAIN, (height, width, 3))
    return Image.fromarray((lit[..., None] * np.array(colour) + grain).round().clip(0, 255).astype(np.uint8))


def _fade(side: int) -> np.ndarray:
    """0 at both ends, 1 between, along a raised cosine."""
    from_end = np.minimum(np.arange(side) + 0.5, side - np.arange(side) - 0.5)
    return (1 - np.cos(np.pi * np.minimum(from_end / FADE_PX, 1))) / 2


@cache
def _light(side_px: int) -> Image.Image:
    down = Image.linear_gradient("L").resize((side_px, side_px))
    return Image.merge("RGB", (down.transpose(Image.Transpose.ROTATE_90), Image.new("L", down.size, 128), down))


def explain(colours: list[str], weaves: list[str], rng: random.Random) -> str:
    return " ".join(
        rng.choice(SENTENCES).format(colour=colour, weave=weave) for colour, weave in zip(colours, weaves, strict=True)
    )


def make_record(folder: Path, scenes: Scenes, period: int, seed: str, number: int) -> dict[str, Any]:
    """Write one image and return its record; the labels alternate, everything else is drawn."""
    rng = random.Random(f"{seed}-{number}")
    label = VERDICTS[number % 2]
    image, boxes, colours, weaves = draw_image(label, scenes, rng, period)
    name = f"images/{number:06d}.png"
    image.save(folder / name, compress_level=1)
    return {
        "image": name,
        "label": label,
        "explanation": explain(colours, weaves, rng),
        "boxes": boxes,
        "box_labels": [f"{colour} panel" for colour in colours],
    }


def make_split(folder: Path, images: int, scenes: Scenes, period: int, seed: str) -> None:
    """Write the images and records of one split; image N is the same however many there are."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    with ProcessPoolExecutor() as pool:
        make = partial(make_record, folder, scenes, period, seed)
        rows = list(tqdm(pool.map(make, range(images), chunksize=16), f"drawing {folder}", images, disable=None))
    write_records(folder / "records.jsonl", rows)


def vocabulary_texts() -> list[str]:
    """What varies in a reply: explanations and labels, for the tiny tokenizer to learn its words from."""
    rng = random.Random(0)
    return [
        text
        for _ in range(50)
        for colour in COLOURS
        for label, weaves in WEAVES.items()
        for weave in weaves
        for text in (explain([colour], [weave], rng), f" {explain([colour], [weave], rng)}", f"{colour} panel", label)
    ]


def fixed_pieces(coordinates: Frame) -> list[str]:
    """What never varies: the prompts between their images, the frame of a reply, the roles of a chat."""
    asked = [
        prompts.query1(coordinates),
        prompts.EXPLAIN,
        prompts.ground(coordinates),
        prompts.VERDICT,
        *map(prompts.query2, range(MAX_CROPS + 1)),
    ]
    pieces = {piece for text in asked for piece in text.split("<image>") if piece}
    frame = ["<explanation>", "</explanation>\n<regions>[", "</explanation>\n<verdict>", "]</regions>\n<verdict>"]
    region = ['{"bbox_2d": [', '], "label": "', '"}', ", "]
    chat = ["system\nYou are a helpful assistant.", "user\n", "assistant\n", "</verdict>", "<verdict>"]
    return [*sorted(pieces), *frame, *region, *chat]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scenes", choices=SCENES, default="quick", help="one panel an image, or one to four")
    parser.add_argument("--train", type=int, default=4000, help="training images")
    parser.add_argument("--test", type=int, default=200, help="test images")
    parser.add_argument("--visible", action="store_true", help="weave so coarsely that the first look sees it")
    parser.add_argument("--family", choices=FAMILIES, default="qwen2_5_vl", help="of the model that looks")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    weave_period = VISIBLE_PERIOD_PX if options.visible else SHRINK
    scenes = replace(SCENES[options.scenes], token_px=FAMILIES[options.family].patch_px)
    for split in ("train", "test"):
        count = getattr(options, split)
        make_split(options.folder / split, count, scenes, weave_period, f"{split}-{options.seed}")
    print(f"made {options.train} training and {options.test} test images in {options.folder}")
