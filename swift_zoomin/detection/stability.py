"""Whether a verdict outlives what happens to every picture on its way: mild re-encodings.

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

from swift_zoomin.pictures import open_upright

JPEG_QUALITY = 90
SCALE = 0.75
VerdictOf = Callable[[str], Awaitable[str | None]]  # of the image file of this path


async def flips(path: str, verdict: str | None, verdict_of: VerdictOf) -> list[str]:
    """The re-encodings of an image after which it has another verdict, or none."""
    with tempfile.TemporaryDirectory(prefix="zoomin-") as folder:
        files = await asyncio.to_thread(_save, path, Path(folder))
        verdicts = await asyncio.gather(*(verdict_of(str(file)) for file in files.values()))
    return [name for name, again in zip(files, verdicts, strict=True) if again != verdict]


def _save(path: str, folder: Path) -> dict[str, Path]:
    """The re-encodings of an image, upright and in sRGB, by name. Raises ImageError."""
    image = open_upright(path)
    width, height = (max(1, round(SCALE * side)) for side in image.size)
    files = {"jpeg90": folder / "jpeg90.jpg", "scale75": folder / "scale75.png"}
    image.save(files["jpeg90"], quality=JPEG_QUALITY)
    image.resize((width, height), Image.Resampling.BICUBIC).save(files["scale75"], compress_level=1)
    return files
