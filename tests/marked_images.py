"""Pictures that carry a number and an object, both to be found in what a server is sent.

The top quarter is a row of black and white blocks: a number of 15 bits and its parity. The rest is grey, with one red
rectangle. Both survive resizing and JPEG.
"""

import base64
import io
from pathlib import Path

import numpy as np
from PIL import Image

from swift_zoomin.boxes import Box, Size

_BITS = 15
SIZE: Size = (560, 420)  # whole patches of 28 pixels, and enough of them: it is sent as it is
OBJECT: Box = (140, 210, 280, 350)  # where the red rectangle is, in an image of that size


def marked(number: int, size: Size = SIZE, box: Box = OBJECT) -> Image.Image:
    width, height = size
    digits = [number >> bit & 1 for bit in range(_BITS)]
    digits.append(sum(digits) & 1)
    pixels = np.full((height, width, 3), 128, np.uint8)
    for index, digit in enumerate(digits):
        left, right = (width * place // (_BITS + 1) for place in (index, index + 1))
        pixels[: height // 4, left:right] = 255 * digit
    x1, y1, x2, y2 = map(round, box)
    pixels[y1:y2, x1:x2] = (255, 0, 0)
    return Image.fromarray(pixels)


def number_of(picture: Image.Image) -> int:
    """The number in a picture. Raises ValueError where it has none."""
    width, height = picture.size
    centres = [(width * (2 * index + 1) // (2 * _BITS + 2), height // 8) for index in range(_BITS + 1)]
    *digits, parity = [int(picture.getpixel(centre)[0] > 127) for centre in centres]
    if sum(digits) & 1 != parity:
        raise ValueError("no number in this picture")
    return sum(digit << bit for bit, digit in enumerate(digits))


def object_in(picture: Image.Image) -> list[int]:
    """Where the red rectangle is."""
    pixels = np.asarray(picture).astype(int)
    red = (pixels[..., 0] > 190) & (pixels[..., 1] < 64)
    ys, xs = np.nonzero(red)
    return [int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1]


def sent_image(uri: str) -> Image.Image:
    """The picture of a data URI."""
    head, _, content = uri.partition(",")
    assert head.startswith("data:image/"), head
    assert head.endswith(";base64"), head
    return Image.open(io.BytesIO(base64.b64decode(content, validate=True))).convert("RGB")


class Recogniser:
    """Knows which file of a folder a picture shows, whatever its size: the place of the file in their sorted names."""

    def __init__(self, folder: Path) -> None:
        self._known = np.stack([_small(Image.open(file)) for file in sorted(folder.iterdir())])

    def __call__(self, picture: Image.Image) -> int:
        return int(np.abs(self._known - _small(picture)).sum(axis=(1, 2, 3)).argmin())


def _small(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("RGB").resize((16, 16)), dtype=float)
