"""The picture that the models are shown: upright, in sRGB, of a size that no server changes, as a lossless PNG.

Servers resize what does not fit their model: to multiples of its patch, within limits of theirs. Boxes in pixels would
then be of an image that nobody knows. So the picture is sent in a size that passes as it is.
"""

import hashlib
import math
import os
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from swift_zoomin.annotation.stored_png import pixels_as_stored
from swift_zoomin.boxes import Size
from swift_zoomin.pictures import ImageError, open_upright, upright_size
from swift_zoomin.served.data_uris import MOST_TOKENS, as_data_uri, data_uri

MAX_PIXELS = MOST_TOKENS * 28 * 28
# In tokens. Servers enlarge what is below 65,536 pixels or less; and a model finds little in fewer tokens than these.
_LEAST_TOKENS = 256
LEAST_MAX_PIXELS = _LEAST_TOKENS * 32 * 32  # so that both limits leave room for an image, with any patch
PATCH_PX = 28  # of a family that is not known
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
    stored = pixels_as_stored(path, size_sent)
    if stored:
        return as_data_uri(stored)
    image = open_upright(path)
    if image.size != size_sent:
        image = image.resize(size_sent, Image.Resampling.BICUBIC, reducing_gap=_REDUCING_GAP)
    return data_uri(image)
