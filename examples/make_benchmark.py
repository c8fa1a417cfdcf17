"""Make a benchmark that a model can only solve by looking twice.

    python examples/make_benchmark.py output/benchmark --train 8000 --test 200

Each image shows coloured panels among grey shapes. A panel is striped finely: across on a real image, upright on a
generated one. At the size of the first look the stripes are one model pixel apart and average out; a close-up shows
them. Colours, sizes, positions and file format are drawn without regard to the label. Records are written to
`DIR/train/records.jsonl` and `DIR/test/records.jsonl`. The same seed gives the same files.
"""

import argparse
import random
from pathlib import Path

from PIL import Image, ImageDraw

from swift_zoomin import prompts
from swift_zoomin.records import write_records

SIDE_PX = 336  # the first look sees it at 112 pixels: MAX_PIXELS=12544, 16 image tokens
PERIOD_PX = 3  # of the stripes: the factor by which the first look shrinks them, so that nothing aliases
COLOURS = {
    "red": (230, 40, 40),
    "green": (30, 190, 60),
    "blue": (50, 70, 235),
    "yellow": (235, 210, 30),
    "purple": (170, 40, 210),
    "cyan": (30, 200, 215),
}
DIRECTION = {"real": "across", "generated": "upright"}
SENTENCES = (
    "The stripes of the {colour} panel run {direction}.",
    "On the {colour} panel every stripe runs {direction}.",
    "The {colour} panel is striped {direction}.",
)
Box = tuple[int, int, int, int]


def explain(colours: list[str], label: str, rng: random.Random) -> str:
    return " ".join(rng.choice(SENTENCES).format(colour=colour, direction=DIRECTION[label]) for colour in colours)


def draw_scene(
    label: str, panels: int, distractors: int, rng: random.Random
) -> tuple[Image.Image, list[Box], list[str]]:
    """One image, the boxes of its panels in pixels, and their colours."""
    grey = rng.randint(90, 160)
    image = _wall(grey)
    places: list[Box] = []
    while len(places) < panels + distractors:
        width, height = (PERIOD_PX * rng.randint(24, 34) for _ in range(2))
        left, top = (PERIOD_PX * rng.randint(0, (SIDE_PX - side) // PERIOD_PX) for side in (width, height))
        place = (left, top, left + width, top + height)
        if not any(_overlap(place, other) for other in places):
            places.append(place)
        elif rng.random() < 0.01:  # no room left: start over
            places.clear()
    places[:panels] = sorted(places[:panels])  # left to right, so that their order can be learnt
    colours = rng.sample(list(COLOURS), panels)
    for place, colour in zip(places, colours, strict=False):
        image.paste(_striped(place, COLOURS[colour], label, rng), place[:2])
    draw = ImageDraw.Draw(image)
    for place in places[panels:]:
        tone = (grey + rng.choice((-50, 50)),) * 3
        draw.ellipse((place[0], place[1], place[2] - 1, place[3] - 1), fill=tone)
    return image, places[:panels], colours


def _wall(grey: int) -> Image.Image:
    """A background that grows warmer to the right and bluer downwards, as a landmark for where things are."""
    down = Image.linear_gradient("L").resize((SIDE_PX, SIDE_PX)).point(lambda value: grey - 40 + value * 80 // 255)
    return Image.merge("RGB", (down.transpose(Image.Transpose.ROTATE_90), Image.new("L", down.size, grey), down))


def _overlap(a: Box, b: Box, gap: int = PERIOD_PX * 3) -> bool:
    return a[0] < b[2] + gap and b[0] < a[2] + gap and a[1] < b[3] + gap and b[1] < a[3] + gap


def _striped(place: Box, colour: tuple[int, int, int], label: str, rng: random.Random) -> Image.Image:
    """A panel of one colour, one pixel row (real) or column (generated) in three black, from a random phase."""
    width, height = place[2] - place[0], place[3] - place[1]
    panel = Image.new("RGB", (width, height), colour)
    draw, phase = ImageDraw.Draw(panel), rng.randrange(PERIOD_PX)
    for at in range(phase, height if label == "real" else width, PERIOD_PX):
        draw.line((0, at, width, at) if label == "real" else (at, 0, at, height), fill=(0, 0, 0))
    return panel


def make_split(folder: Path, images: int, panels: tuple[int, int], distractors: int, seed: str) -> None:
    """Write images and records; the labels alternate, everything else is drawn."""
    rng = random.Random(seed)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    rows = []
    for number in range(images):
        label = ("real", "generated")[number % 2]
        image, boxes, colours = draw_scene(label, rng.randint(*panels), distractors, rng)
        name = f"images/{number:06d}.png"
        image.save(folder / name)
        rows.append(
            {
                "image": name,
                "label": label,
                "explanation": explain(colours, label, rng),
                "boxes": boxes,
                "box_labels": [f"{colour} panel" for colour in colours],
            }
        )
    write_records(folder / "records.jsonl", rows)


def vocabulary_texts() -> list[str]:
    """What varies in a reply: explanations and labels, for the tiny tokenizer to learn its words from."""
    rng = random.Random(0)
    return [
        f" {explain([colour], label, rng)} {colour} panel {label}"
        for _ in range(50)
        for colour in COLOURS
        for label in DIRECTION
    ]


def fixed_pieces() -> list[str]:
    """What never varies: the prompts between their images, the frame of a reply, the roles of a chat."""
    asked = [prompts.QUERY1, prompts.EXPLAIN, prompts.GROUND, prompts.VERDICT, *map(prompts.query2, range(7))]
    pieces = {piece for text in asked for piece in text.split("<image>") if piece}
    frame = ["<explanation>", "</explanation>\n<regions>[", "</explanation>\n<verdict>", "]</regions>\n<verdict>"]
    region = ['{"bbox_2d": [', '], "label": "', '"}', ", "]
    chat = ["system\nYou are a helpful assistant.", "user\n", "assistant\n", "</verdict>", "<verdict>"]
    return [*sorted(pieces), *frame, *region, *chat]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=8000, help="training images")
    parser.add_argument("--test", type=int, default=200, help="test images")
    parser.add_argument("--panels", type=int, nargs=2, default=(1, 1), metavar=("MIN", "MAX"), help="panels an image")
    parser.add_argument("--distractors", type=int, default=1, help="grey shapes an image")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for split in ("train", "test"):
        make_split(
            options.folder / split,
            getattr(options, split),
            tuple(options.panels),
            options.distractors,
            f"{split}-{options.seed}",
        )
    print(f"made {options.train} training and {options.test} test images in {options.folder}")
