"""What an image is seen as after what happens to every picture on its way: mild re-encodings.

    jpeg90   saved once more as JPEG, quality 90
    scale75  scaled to 0.75 of each side, bicubic, saved without loss

Each is looked at like an image of its own, both looks, greedily. A verdict that another one replaces, or none, was not
the image's but the encoding's. Stronger degradations are `zoomin degrade`'s: they may rightly cost a verdict.
"""

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from PIL import Image

from swift_zoomin.episode import Conversation
from swift_zoomin.images import ImageError
from swift_zoomin.pictures import open_upright

JPEG_QUALITY = 90
SCALE = 0.75
_LONGEST_JPEG_SIDE_PX = 65_500  # JPEG_MAX_DIMENSION of libjpeg
Look = Callable[[str], Awaitable[Conversation | ImageError]]  # at the image file of this path


async def seen_again(path: str, look: Look) -> dict[str, Conversation | ImageError]:
    """What is seen in each re-encoding of an image, or why there is nothing to look at. Raises ImageError."""
    with tempfile.TemporaryDirectory(prefix="zoomin-") as folder:
        files = await asyncio.to_thread(_save, path, Path(folder))
        seen = await asyncio.gather(*(_seen(file, look) for file in files.values()))
    return dict(zip(files, seen, strict=True))


async def _seen(file: Path | ImageError, look: Look) -> Conversation | ImageError:
    """Its fault without the path of the file, which is gone when it is read."""
    if isinstance(file, ImageError):
        return file
    seen = await look(str(file))
    return ImageError(str(seen).removeprefix(f"{file}: ")) if isinstance(seen, ImageError) else seen


def _save(path: str, folder: Path) -> dict[str, Path | ImageError]:
    """The re-encodings of an image, upright and in sRGB, by name. Raises ImageError where it cannot be read.

    All have the file name of the image: regions that are chosen at random depend on it.
    """
    image = open_upright(path)
    jpeg, scaled = (folder / name / Path(path).name for name in ("jpeg90", "scale75"))
    for file in (jpeg, scaled):
        file.parent.mkdir()
    width, height = (max(1, round(SCALE * side)) for side in image.size)
    image.resize((width, height), Image.Resampling.BICUBIC).save(scaled, "PNG", compress_level=1)
    if max(image.size) > _LONGEST_JPEG_SIDE_PX:
        fault = f"a JPEG has sides of at most {_LONGEST_JPEG_SIDE_PX} pixels"
        return {"jpeg90": ImageError(fault), "scale75": scaled}
    image.save(jpeg, "JPEG", quality=JPEG_QUALITY)
    return {"jpeg90": jpeg, "scale75": scaled}
