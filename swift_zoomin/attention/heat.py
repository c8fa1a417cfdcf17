"""Heat of image tokens, laid over the upright original.

A token shows a rectangle of the original. Whole images and crops are cut into equal rectangles, row by row, so that
the rectangles of the tokens follow from the window that was shown and the numbers of rows and columns, however it was
resized. The heat of a token is spread evenly over its rectangle. Heat of crops is added to that of the whole image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from swift_zoomin.boxes import Size
from swift_zoomin.images import ImageRef


@dataclass(frozen=True)
class Shown:
    """One image of the conversation: `window_px` of the upright original, and `heat` of its tokens, (rows, columns)."""

    window_px: tuple[int, int, int, int]
    heat: np.ndarray


@dataclass(frozen=True)
class Heat:
    """What one word was said from: the whole image, of `size_px`, comes first, then the crops."""

    size_px: Size
    shown: list[Shown]

    @property
    def total(self) -> float:
        return float(sum(part.heat.sum() for part in self.shown))

    @property
    def crop_share(self) -> float:
        """The share of the heat that crops have, 0..1; 0 where there is none at all."""
        total = self.total
        return 1 - float(self.shown[0].heat.sum()) / total if total else 0.0

    def laid_on(self, size: Size) -> np.ndarray:
        """The heat of each pixel of the upright original brought to `size` (width, height): float32 (height, width).

        The heat of a pixel is that of all that lies in it, so the sum over all pixels is `total`, at any size.
        """
        width, height = size
        laid = np.zeros((height, width), np.float64)
        for part in self.shown:
            left, top, right, bottom = part.window_px
            rows, columns = part.heat.shape
            down = _spread(top * height / self.size_px[1], bottom * height / self.size_px[1], rows, height)
            across = _spread(left * width / self.size_px[0], right * width / self.size_px[0], columns, width)
            laid += down @ part.heat @ across.T
        return laid.astype(np.float32)


def _spread(start: float, end: float, cells: int, pixels: int) -> np.ndarray:
    """How much of each of `cells` equal parts of an interval lies in each pixel: (pixels, cells), columns sum to 1."""
    edges = np.linspace(start, end, cells + 1)
    places = np.arange(pixels + 1)[:, None]
    overlaps = np.minimum(edges[1:], places[1:]) - np.maximum(edges[:-1], places[:-1])
    return overlaps.clip(min=0) / (edges[1:] - edges[:-1])


def to_heat(tokens: np.ndarray, grids: Sequence[tuple[int, int]], images: Sequence[ImageRef]) -> Heat:
    """Lay out the heat of all image tokens, shape (tokens,); `grids` are each image's rows and columns of them."""
    ends = np.cumsum([rows * columns for rows, columns in grids])
    parts = np.split(tokens, ends[:-1])
    size = images[0].size
    shown = [
        Shown(image.window or (0, 0, *size), part.reshape(grid))
        for image, part, grid in zip(images, parts, grids, strict=True)
    ]
    return Heat(size, shown)
