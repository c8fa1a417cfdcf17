"""Regions hidden in a picture, and regions of the same size beside them.

A region is blurred by itself: its pixels are spread among each other, none come in from around it, and none get out. A
smooth patch is left, in which the colours of its edges still differ. What repeats within half of the region's longer
side, as letters, textures and outlines do, keeps less than a fiftieth of its contrast. The patch itself can be seen,
whichever region it hides.
"""

import math
import random
from collections.abc import Sequence

from PIL import Image, ImageFilter

from swift_zoomin.boxes import Box, Size, clip_box

# Standard deviation, of the longer side. Of a wave as long as half of that side a Gaussian leaves
# exp(-2 (pi 0.25 / 0.5)^2) = 0.7%; Pillow's, of three box filters, at most 2% (a test measures it).
BLUR = 0.25
_TRIES = 200  # places drawn for a random region

WholeBox = tuple[int, int, int, int]


def blurred(image: Image.Image, boxes_px: Sequence[Box]) -> Image.Image:
    """A copy of an upright original with these regions blurred, whole pixels that a box touches included."""
    copy = image.copy()
    for box in boxes_px:
        window = whole_pixels(box, image.size)
        region = image.crop(window)
        copy.paste(region.filter(ImageFilter.GaussianBlur(BLUR * max(region.size))), window[:2])
    return copy


def whole_pixels(box_px: Box, size: Size) -> WholeBox:
    """The pixels of an image that a box touches, at least one."""
    x1, y1, x2, y2 = clip_box(box_px, size)
    left, top = min(math.floor(x1), size[0] - 1), min(math.floor(y1), size[1] - 1)
    return left, top, max(math.ceil(x2), left + 1), max(math.ceil(y2), top + 1)


def random_regions(boxes_px: Sequence[Box], taken_px: Sequence[Box], size: Size, seed: str) -> list[WholeBox]:
    """For each box a region of its size in whole pixels, anywhere in the image, always the same ones for a seed.

    They overlap nothing that is taken, and not each other, where there is room; else as little as some tries find.
    """
    rng = random.Random(seed)
    taken = [whole_pixels(box, size) for box in taken_px]
    placed: list[WholeBox] = []
    for box in boxes_px:
        left, top, right, bottom = whole_pixels(box, size)
        placed.append(_place((right - left, bottom - top), [*taken, *placed], size, rng))
    return placed


def _place(sides: Size, taken: Sequence[WholeBox], size: Size, rng: random.Random) -> WholeBox:
    """The first of some random places that is free, or else the one that overlaps least."""

    def draw() -> WholeBox:
        left, top = rng.randint(0, size[0] - sides[0]), rng.randint(0, size[1] - sides[1])
        return left, top, left + sides[0], top + sides[1]

    def overlap(region: WholeBox) -> int:
        return sum(_shared_area(region, other) for other in taken)

    best = draw()
    for _ in range(_TRIES - 1):
        if not overlap(best):
            break
        best = min(best, draw(), key=overlap)
    return best


def _shared_area(a: WholeBox, b: WholeBox) -> int:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(0, width) * max(0, height)
