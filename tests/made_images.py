"""Pictures of which every pixel counts, their files with EXIF data, and references to them."""

import base64
import io
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from swift_zoomin.boxes import PixelLimits
from swift_zoomin.families import QWEN2_5_VL
from swift_zoomin.images import ImageRef

IMAGE_FORMS: dict[str, Callable[[bytes], Any]] = {  # forms of an image that is no file, from its bytes
    "bytes": bytes,
    "base64": lambda content: base64.b64encode(content).decode(),
    "URI": lambda content: f"data:image/png;base64,{base64.b64encode(content).decode()}",
    "Pillow": lambda content: Image.open(io.BytesIO(content)),
}
TURNS = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270, 8: Image.Transpose.ROTATE_90}


def noise(width: int, height: int) -> Image.Image:
    """A picture of which no two parts are alike."""
    return Image.frombytes("RGB", (width, height), random.Random(0).randbytes(width * height * 3))


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: bytes, kind: int = 3, count: int = 1) -> bytes:
    """EXIF data with this orientation; `kind` 3 is a 16-bit number, 2 text, 7 bytes."""
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHI4sI", 1, 0x0112, kind, count, orientation, 0)


def refer(path: Path, tokens: int = 16384) -> ImageRef:
    """To a file, for a model that is shown so many tokens of 28 x 28 pixels; by default Qwen2.5-VL as published."""
    return ImageRef.of(path).under(limits(tokens))


def limits(tokens: int = 16384) -> PixelLimits:
    return PixelLimits(4 * 784, tokens * 784, QWEN2_5_VL)
