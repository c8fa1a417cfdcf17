"""Small pictures inside a page, and where boxes and their numbers lie over them."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

from PIL import Image

from swift_zoomin.boxes import Box, Size, scale_box
from swift_zoomin.drawing import BOX_COLOURS, number_corners

_QUALITY = 80  # of WebP, at which letters and hair of a small picture are still as they were
_LEAST_PX = 6  # side of a box as drawn, so that a tiny one is seen


@dataclass(frozen=True)
class Thumbnail:
    """A picture as a data URI, and the CSS pixels that it is shown with, to which a small one is enlarged."""

    address: str
    width: int
    height: int
    is_enlarged: bool


@dataclass(frozen=True)
class Mark:
    """A box over a thumbnail, in its CSS pixels; the left upper corner of the square for its number."""

    number: int
    colour: str
    x: float
    y: float
    width: float
    height: float
    number_x: int
    number_y: int


def thumbnail(image: Image.Image, side_px: int) -> Thumbnail:
    """The image, with at most `side_px` pixels a side. The image itself may be changed."""
    width, height = shown_size(image.size, side_px)
    is_enlarged = width > image.width
    image.thumbnail((side_px, side_px), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return Thumbnail(webp_address(image, quality=_QUALITY), width, height, is_enlarged)


def webp_address(image: Image.Image, **how: int | bool) -> str:
    """A picture as a data URI; `how` is Pillow's: the quality, or that nothing may be lost."""
    content = io.BytesIO()
    image.save(content, "WEBP", method=2, use_sharp_yuv=True, **how)
    return f"data:image/webp;base64,{base64.b64encode(content.getvalue()).decode()}"


def shown_size(size: Size, side_px: int) -> Size:
    """A size with `side_px` as its longer side."""
    scale = side_px / max(size)
    width, height = (max(1, round(side * scale)) for side in size)
    return width, height


def marks(boxes_px: Sequence[Box], size: Size, shown: Size) -> list[Mark]:
    """Boxes of an image of `size` over its thumbnail of size `shown`, numbered from 1."""
    boxes = [scale_box(box, size, shown) for box in boxes_px]
    placed = zip(boxes, number_corners(boxes, shown), cycle(BOX_COLOURS), strict=False)
    return [Mark(number, colour, *_sides(box), *corner) for number, (box, corner, colour) in enumerate(placed, 1)]


def _sides(box: Box) -> tuple[float, float, float, float]:
    """x, y, width and height."""
    x1, y1, x2, y2 = box
    width, height = max(x2 - x1, _LEAST_PX), max(y2 - y1, _LEAST_PX)
    return round(x1, 1), round(y1, 1), round(width, 1), round(height, 1)
