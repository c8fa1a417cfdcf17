"""The picture that the models are shown: upright, in sRGB, of a size that no server changes, as a lossless PNG.

Servers resize what does not fit their model: to multiples of its patch, within limits of theirs. Boxes in pixels would
then be of an image that nobody knows. So the picture is sent in a size that passes as it is.
"""

import hashlib
import math
import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from swift_zoomin.boxes import Size
from swift_zoomin.pictures import ImageError, open_upright, upright_size
from swift_zoomin.served.data_uris import MOST_TOKENS, data_uri, png

MAX_PIXELS = MOST_TOKENS * 28 * 28
# In tokens. Servers enlarge what is below 65,536 pixels or less; and a model finds little in fewer tokens than these.
_LEAST_TOKENS = 256
LEAST_MAX_PIXELS = _LEAST_TOKENS * 32 * 32  # so that both limits leave room for an image, with any patch
PATCH_PX = 28  # of a family that is not known
_PNG = b"\x89PNG\r\n\x1a\n"
_PLAIN_RGB = (8, 2, 0, 0, 0)  # bits, colour type, compression, filter, not interlaced
_PIXELS = (b"IHDR", b"IDAT", b"IEND")
# What changes nothing: `pictures` heeds none of it. Others may: profiles, EXIF data, texts, transparency, animation.
_HARMLESS = (b"sRGB", b"gAMA", b"cHRM", b"pHYs", b"tIME")
_REDUCING_GAP = 3.0  # Pillow: indistinguishable from resampling the whole image


@dataclass(frozen=True)
class ImageFile:
    """A file with an image. `digest` is the SHA-256 of its bytes, `size` (width, height) upright."""

    path: Path
    digest: str
    size: Size


def look(path: Path) -> ImageFile:
    """What is to be known of an image before anything is asked; its pixels are not decoded. Raises ImageError."""
    size = upright_size(path)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror})") from None
    return ImageFile(path, digest, size)


def file_state(path: Path) -> tuple[int, int]:
    """When a file was changed, and its length; zeros where there is none."""
    try:
        state = os.stat(path)
    except OSError:
        return 0, 0
    return state.st_mtime_ns, state.st_size


def size_to_send(size: Size, patch_px: int, max_pixels: int) -> Size:
    """The size, in multiples of the patch, that an image is sent in. Raises ImageError for one that is too thin.

    It is what `smart_resize` of qwen-vl-utils gives, so that a server which applies that, with limits at least as
    wide, changes nothing. A test compares the two; the package itself would load torch for these few lines.
    """
    width, height = size
    pixels = width * height
    least_pixels = _LEAST_TOKENS * patch_px**2
    to_width, to_height = (max(patch_px, round(side / patch_px) * patch_px) for side in size)
    if to_width * to_height > max_pixels:
        shrinking = math.sqrt(pixels / max_pixels)
        to_width, to_height = (math.floor(side / shrinking / patch_px) * patch_px for side in size)
    elif to_width * to_height < least_pixels:
        enlarging = math.sqrt(least_pixels / pixels)
        to_width, to_height = (math.ceil(side * enlarging / patch_px) * patch_px for side in size)
    if not to_width * to_height:
        raise ImageError(f"{width}x{height} pixels; too thin for --max-pixels {max_pixels}")
    return to_width, to_height


def png_data_uri(path: Path, size_sent: Size) -> str:
    """The picture in this size, as it stands in a request. Raises ImageError."""
    content = _pixels_as_stored(path, size_sent) or _encoded(path, size_sent)
    return data_uri(content)


def _encoded(path: Path, size_sent: Size) -> bytes:
    image = open_upright(path)
    if image.size != size_sent:
        image = image.resize(size_sent, Image.Resampling.BICUBIC, reducing_gap=_REDUCING_GAP)
    return png(image)


def _pixels_as_stored(path: Path, size_sent: Size) -> bytes | None:
    """The pixels of a PNG that need no change, without what else the file says; None for any other file.

    Copying them takes a twentieth of the time of decoding and encoding an image again.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return None
    header = struct.pack(">IIBBBBB", *size_sent, *_PLAIN_RGB)
    kept = [_PNG]
    try:
        for kind, chunk in _png_chunks(content):
            if kind not in (*_PIXELS, *_HARMLESS) or (kind == b"IHDR" and chunk[8:-4] != header):
                return None
            if kind in _PIXELS:
                kept.append(chunk)
    except (ValueError, struct.error):
        return None
    return b"".join(kept)


def _png_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The kind and the bytes of each chunk of a PNG, to its end. Raises ValueError for what is not one, or damaged."""
    if not content.startswith(_PNG):
        raise ValueError("no PNG")
    start, kind = len(_PNG), b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", content, start)
        end = start + 12 + length
        if zlib.crc32(content[start + 4 : end - 4]) != int.from_bytes(content[end - 4 : end]):
            raise ValueError("damaged")
        yield kind, content[start:end]
        start = end
