"""Images as squares, as the paper trains on them: 512 x 512, with the boxes moved along."""

import math
from collections.abc import Sequence

from PIL import Image

from swift_zoomin.boxes import Box, clip_box


def square(image: Image.Image, boxes_px: Sequence[Box], side_px: int = 512) -> tuple[Image.Image, list[list[float]]]:
    """Centre-crop to a square and resize, as the paper does for training (512 x 512), moved to keep the boxes inside.

    Returns the image and the boxes in its pixels, one for one, cut at its edges; one that lies outside has no area.
    Where the boxes lie too far apart for one square, it shows as much of them as it can.
    """
    side = min(image.size)
    corner = [_square_offset(side, image.size[axis], axis, boxes_px) for axis in (0, 1)]
    window = (corner[0], corner[1], corner[0] + side, corner[1] + side)
    scale = side_px / side
    moved = [[x1 - corner[0], y1 - corner[1], x2 - corner[0], y2 - corner[1]] for x1, y1, x2, y2 in boxes_px]
    kept = [[number * scale for number in clip_box(box, (side, side))] for box in moved]
    return image.crop(window).resize((side_px, side_px), Image.Resampling.BICUBIC), kept


def _square_offset(side: int, length: int, axis: int, boxes_px: Sequence[Box]) -> int:
    """Start of the square along one axis: the centre, moved as little as needed to show most of the boxes."""
    centre = (length - side) // 2
    spans = [(box[axis], box[axis + 2]) for box in boxes_px]
    starts = {centre, *(int(low) for low, _ in spans), *(math.ceil(high) - side for _, high in spans)}

    def shown(start: int) -> float:
        """Of each box the share inside, summed."""
        return sum(max(0, min(high, start + side) - max(low, start)) / (high - low) for low, high in spans)

    inside = [min(max(start, 0), length - side) for start in starts]
    return min(inside, key=lambda start: (-round(shown(start), 6), abs(start - centre), start))
