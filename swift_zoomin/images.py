"""Opening images, and references to them.

An image travels through datasets, rollouts and servers as a short string and is opened only when a sample is encoded:

    zoomin:/data/a%20b.png?size=4000x3000                          the whole image, upright
    zoomin:/data/a%20b.png?size=4000x3000&crop=120,88,260,190      a window of it, in pixels of the upright original

`size` is the upright size, so that boxes can be scaled without opening the file. Not covered: remote files, video.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote, unquote

from PIL import Image, ImageOps

from swift_zoomin.boxes import MAX_ASPECT, MIN_CROP_PIXELS, Box, Size, clip_box, crop_window, model_size

_REFERENCE = re.compile(r"zoomin:(?P<path>[^?]+)\?size=(?P<size>\d+x\d+)(?:&crop=(?P<window>\d+,\d+,\d+,\d+))?")
_EXIF_ORIENTATION = 0x0112
_WHITE = (255, 255, 255)
# What Pillow's readers raise.
_UNREADABLE = (OSError, SyntaxError, ValueError, RuntimeError, Image.DecompressionBombError)


class ImageError(ValueError):
    """A file that cannot be used as an image; the message names it."""


def _open(path: Path | str) -> Image.Image:
    """Open lazily: only the header is read. Pillow refuses decompression bombs here."""
    try:
        return Image.open(path)
    except FileNotFoundError:
        raise ImageError(f"{path}: no such image file") from None
    except _UNREADABLE as error:
        raise ImageError(f"{path}: not a readable image ({error})") from error


def upright_size(path: Path | str) -> Size:
    """(width, height) after EXIF rotation, without decoding where the format allows. Raises ImageError."""
    with _open(path) as image:
        width, height = image.size
        try:
            orientation = image.getexif().get(_EXIF_ORIENTATION)
        except _UNREADABLE as error:
            raise ImageError(f"{path}: damaged image ({error})") from error
        if orientation in (5, 6, 7, 8) and image.format != "TIFF":  # Pillow turns a TIFF's size itself
            width, height = height, width
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError(f"{path}: {width}x{height} pixels; expected an aspect ratio of at most {MAX_ASPECT}")
    return width, height


def open_upright(path: Path | str) -> Image.Image:
    """Decode a file to RGB, upright, transparency on white, 16-bit scaled to 8, first frame. Raises ImageError."""
    with _open(path) as image:
        try:
            upright = ImageOps.exif_transpose(image)
            return _to_rgb(upright)
        except _UNREADABLE as error:
            raise ImageError(f"{path}: damaged image ({error})") from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey: Pillow would clip it at 255
        return image.convert("I").point(lambda value: value / 257).convert("L").convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        on_white = Image.new("RGB", image.size, _WHITE)
        on_white.paste(image, mask=image.getchannel("A"))
        return on_white
    return image.convert("RGB")


@dataclass(frozen=True)
class ImageRef:
    """An image file or, with `window` (left, top, right, bottom in pixels of the upright original), a crop of it."""

    path: str
    size: Size
    window: tuple[int, int, int, int] | None = None

    @classmethod
    def of(cls, path: Path | str) -> "ImageRef":
        """Refer to a file, reading its header. Raises ImageError."""
        return cls(str(Path(path).absolute()), upright_size(path))

    @classmethod
    def parse(cls, text: str) -> "ImageRef | None":
        """Read a reference; None where the text is none."""
        if not (match := _REFERENCE.fullmatch(text)):
            return None
        width, height = map(int, match["size"].split("x"))
        window = tuple(map(int, match["window"].split(","))) if match["window"] else None
        return cls(unquote(match["path"], errors="surrogateescape"), (width, height), window)  # type: ignore[arg-type]

    def __str__(self) -> str:
        crop = f"&crop={','.join(map(str, self.window))}" if self.window else ""
        return f"zoomin:{quote(self.path, errors='surrogateescape')}?size={self.size[0]}x{self.size[1]}{crop}"

    @property
    def size_model(self) -> Size:
        """What the model sees of the whole image, under the limits in force. Raises ImageError for one too thin."""
        try:
            return model_size(self.size)
        except ValueError as error:
            raise ImageError(f"{self.path}: {error}") from error

    def crop(self, box_px: Box) -> "ImageRef":
        """Refer to the window that shows a box of this image, with context where the box is small or thin."""
        return replace(self, window=crop_window(box_px, self.size))


def load_references(references: Sequence[ImageRef]) -> list[Image.Image]:
    """Decode references to RGB: whole images as they are, crops enlarged in one step to the size the model sees.

    Each file is decoded once, however many crops of it are asked for. Raises ImageError, also where a file has
    changed its size since it was referred to, because its boxes would then point elsewhere.
    """
    opened: dict[str, Image.Image] = {}
    loaded = []
    for reference in references:
        if reference.path not in opened:
            opened[reference.path] = open_upright(reference.path)
        image = opened[reference.path]
        if image.size != reference.size:
            raise ImageError(f"{reference.path}: {image.size} pixels now; expected {reference.size}")
        if reference.window:
            image = image.crop(reference.window)
            image = image.resize(model_size(image.size, MIN_CROP_PIXELS), Image.Resampling.BICUBIC)
        loaded.append(image)
    return loaded


def square(image: Image.Image, boxes_px: Sequence[Box], side_px: int = 512) -> tuple[Image.Image, list[list[float]]]:
    """Centre-crop to a square and resize, as the paper does for training (512 x 512), moved to keep the boxes inside.

    Returns the image and the boxes in its pixels, one for one; a box that lies outside the square has no area.
    """
    side = min(image.size)
    corner = [_square_offset(side, image.size[axis], axis, boxes_px) for axis in (0, 1)]
    window = (corner[0], corner[1], corner[0] + side, corner[1] + side)
    scale = side_px / side
    moved = [[x1 - corner[0], y1 - corner[1], x2 - corner[0], y2 - corner[1]] for x1, y1, x2, y2 in boxes_px]
    kept = [[number * scale for number in clip_box(box, (side, side))] for box in moved]
    return image.crop(window).resize((side_px, side_px), Image.Resampling.BICUBIC), kept


def _square_offset(side: int, length: int, axis: int, boxes_px: Sequence[Box]) -> int:
    """Start of the square along one axis: the centre, moved as little as needed to hold the boxes' common hull."""
    start = (length - side) // 2
    if boxes_px:
        low, high = min(box[axis] for box in boxes_px), max(box[axis + 2] for box in boxes_px)
        if high - low > side:
            start = round((low + high - side) / 2)
        else:
            start = min(start, int(low)) if low < start else max(start, int(-(-high // 1)) - side)
    return min(max(start, 0), length - side)
