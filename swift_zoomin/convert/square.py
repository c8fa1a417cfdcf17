"""Images as squares, as the paper trains on them: 512 x 512, with the boxes moved along."""

import math
from collections.abc import Sequence

from PIL import Image

from swift_zoomin.boxes import Box, clip_box

Span = tuple[float, float]  # a box along one axis, in pixels


def square(image: Image.Image, boxes_px: Sequence[Box], side_px: int = 512) -> tuple[Image.Image, list[list[float]]]:
    """Centre-crop to a square and resize, as the paper does for training (512 x 512), moved to keep the boxes inside.

    Returns the image and the boxes in its pixels, one for one, cut at its edges; one that lies outside has no area.
    Where the boxes lie too far apart for one square, it shows as much of them as it can.
    """
    width, height = image.size
    side = min(width, height)
    left = _square_start(side, width, [(x1, x2) for x1, _, x2, _ in boxes_px])
    top = _square_start(side, height, [(y1, y2) for _, y1, _, y2 in boxes_px])
    window = image.crop((left, top, left + side, top + side))
    scale = side_px / side
    kept = []
    for x1, y1, x2, y2 in boxes_px:
        cut = clip_box([x1 - left, y1 - top, x2 - left, y2 - top], (side, side))
        kept.append([number * scale for number in cut])
    return window.resize((side_px, side_px), Image.Resampling.BICUBIC), kept


def _square_start(side: int, length: int, spans: Sequence[Span]) -> int:
    """Start of the square along one axis: the centre, moved as little as needed to show most of the boxes.

    `length` is that of the image, and `spans` are the boxes, along this axis.
    """
    centre = (length - side) // 2
    # The share of the boxes that is shown is greatest with an edge of the square at an edge of a box, if not centred.
    starts = [centre]
    for low, high in spans:
        starts += [int(low), math.ceil(high) - side]
    possible = [min(max(start, 0), length - side) for start in starts]

    def preference(start: int) -> tuple[float, int, int]:
        shown = sum(_share_inside(span, start, start + side) for span in spans)
        return -round(shown, 6), abs(start - centre), start

    return min(possible, key=preference)


def _share_inside(span: Span, start: int, end: int) -> float:
    """How much of a span lies between two places, 0..1."""
    low, high = span
    inside = max(0, min(high, end) - max(low, start))
    return inside / (high - low)
