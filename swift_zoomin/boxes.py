"""Boxes and their frames.

A box is `[x1, y1, x2, y2]`, x2 and y2 exclusive. Two frames occur, and every name says which:

- `box_px`: pixels of the upright original image. At rest (records, predictions, rewards) every box is one of these.
- `box_model`: as the model writes it, only inside a prompt or a raw reply. Which frame that is, its family says
  (`families.Frame`): pixels of the image as the model sees it, after `smart_resize`, or thousandths of each side.

A size is `(width, height)` in pixels. Not covered: rotated boxes, masks, video.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from swift_zoomin.families import Family

Box = Sequence[float]
Size = tuple[int, int]

MAX_ASPECT = 200  # smart_resize refuses anything longer
MAX_CROP_ASPECT = 8  # a thinner window is widened with context: a sliver shows texture without its surroundings
MIN_CROP_TOKENS = 64  # crops are enlarged to this area (224 x 224 for Qwen2.5-VL), as a magnifying glass should


@dataclass(frozen=True)
class PixelLimits:
    """How many pixels of an image a model of a family is shown, at least and at most.

    They belong to a model, not to a process. The family says into which sides an image is brought between them, and in
    which frame the model writes boxes about it.
    """

    min_pixels: int
    max_pixels: int
    family: Family

    def __str__(self) -> str:
        return f"{self.min_pixels}-{self.max_pixels}"


def model_size(size: Size, limits: PixelLimits, wanted_pixels: int = 0) -> Size:
    """Size of an image after qwen-vl-utils' `smart_resize` under these limits.

    `wanted_pixels` asks for an enlarged result; the upper limit wins over it. Raises ValueError for an image that
    cannot be shown: too thin, or of a size that would be changed again if it were sized once more.
    """
    highest, patch_px = limits.max_pixels, limits.family.patch_px
    at_least = min(max(wanted_pixels, limits.min_pixels), highest)
    shown = _smart_resize(size, patch_px, at_least, highest)
    if wanted_pixels and shown[0] * shown[1] > highest:
        # Enlarging rounds up; what the model sees must not be shrunk again.
        shown = _smart_resize(shown, patch_px, limits.min_pixels, highest)
    if problem := _size_problem(shown, limits):
        raise ValueError(f"{size[0]}x{size[1]} pixels{problem}")
    return shown


def _size_problem(shown: Size, limits: PixelLimits) -> str | None:
    """Why an image cannot be shown at this size, or None.

    The template's images pass through ms-swift, which sizes them once more: that must change nothing.
    """
    width, height = shown
    patch_px = limits.family.patch_px
    if not width * height:
        return f"; too thin for a limit of {limits.max_pixels} pixels, raise MAX_PIXELS"
    if max(width, height) > MAX_ASPECT * min(width, height):
        return f" would be shown as {width}x{height}; expected an aspect ratio of at most {MAX_ASPECT}"
    if _smart_resize(shown, patch_px, limits.min_pixels, limits.max_pixels) != shown:
        # Nearly every image, where the two limits are equal: two sides of whole tokens seldom have exactly that area.
        problem = f"no size of its shape, with sides of whole {patch_px} pixels, within the limits of {limits} pixels"
        return f"; {problem}; raise MAX_PIXELS or lower MIN_PIXELS"
    return None


def _smart_resize(size: Size, patch_px: int, lowest: int, highest: int) -> Size:
    """The size of whole patches that qwen-vl-utils gives an image, between two numbers of pixels."""
    from qwen_vl_utils import vision_process

    height, width = vision_process.smart_resize(size[1], size[0], patch_px, lowest, highest)
    return width, height


def clip_box(box: Box, size: Size) -> list[float]:
    """The part of a box inside an image of `size`, in the box's own frame; corners put in order first."""
    x1, x2 = sorted((box[0], box[2]))
    y1, y2 = sorted((box[1], box[3]))
    width, height = size
    return [_clip(x1, width), _clip(y1, height), _clip(x2, width), _clip(y2, height)]


def _clip(coordinate: float, limit: int) -> float:
    return min(max(coordinate, 0), limit)


def box_area(box: Box) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def iou(a: Box, b: Box) -> float:
    """Intersection over union of two boxes of one frame, 0..1; 0 where either has no area."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    if not shared:  # below the smallest float
        return 0.0
    return shared / (box_area(a) + box_area(b) - shared)


def scale_box(box: Box, source: Size, target: Size) -> list[float]:
    """The same box in an image of size `target` that was resized from size `source`; no rounding.

    Multiplied before divided, so that the image's edge stays exactly its edge.
    """
    width, height = source
    to_width, to_height = target
    return [
        box[0] * to_width / width,
        box[1] * to_height / height,
        box[2] * to_width / width,
        box[3] * to_height / height,
    ]


def _whole_interval(start: float, end: float, limit: int) -> tuple[int, int]:
    """Nearest interval of whole numbers, never empty, no end moved by more than 1."""
    low, high = round(start), round(end)
    if low == high:
        low = min(math.floor(start), limit - 1)
        high = low + 1
    return low, high


def to_model(box_px: Box, size: Size, size_in_frame: Size) -> list[int]:
    """A box of the original in the model's frame, in whole numbers, the form that replies use; at least 1 a side.

    `size_in_frame` is the whole image's there (`Frame.size`).
    """
    x1, y1, x2, y2 = scale_box(clip_box(box_px, size), size, size_in_frame)
    left, right = _whole_interval(x1, x2, size_in_frame[0])
    top, bottom = _whole_interval(y1, y2, size_in_frame[1])
    return [left, top, right, bottom]


def to_original(box_model: Box, size: Size, size_in_frame: Size) -> list[float]:
    """A box in the model's frame, as a model wrote it, clipped to the image and put in pixels of the original."""
    return scale_box(clip_box(box_model, size_in_frame), size_in_frame, size)


def _widen(start: float, end: float, side: int, limit: int) -> tuple[int, int]:
    """Whole-pixel window of at least `side` that holds the interval, moved inside 0..limit."""
    low, high = math.floor(start), math.ceil(end)
    missing = max(0, side - (high - low))
    low = max(0, low - missing // 2)
    high = min(limit, low + max(high - low, side))
    low = max(0, min(low, high - side))  # at the far edge the context comes from before the interval
    return low, high


def crop_window(box_px: Box, size: Size, patch_px: int) -> tuple[int, int, int, int]:
    """Whole-pixel window of the original to cut for a box: all of the box, with context where it is small or thin.

    The window has at least `patch_px` a side, below which it would hold less than one image token of the original, and
    an aspect ratio of at most MAX_CROP_ASPECT, as far as the image allows. `box_px` must overlap the image.
    """
    width, height = size
    x1, y1, x2, y2 = clip_box(box_px, size)
    left, right = _widen(x1, x2, _least_side(y1, y2, patch_px), width)
    top, bottom = _widen(y1, y2, _least_side(x1, x2, patch_px), height)
    return left, top, right, bottom


def _least_side(start: float, end: float, patch_px: int) -> int:
    """The least side of a window whose other side shows this interval."""
    other_side = math.ceil(end) - math.floor(start)
    return max(patch_px, math.ceil(other_side / MAX_CROP_ASPECT))
