"""What happens to images on their way: recompression, cropping, scaling, blur, noise, screenshots. Boxes come along.

    steps = parse_chain("half+jpeg30")
    degrade(Picture(image, [Region([120, 88, 260, 190], "sign")]), steps, "0 images/000017.png")

The paper's Table 3 has `jpeg80`, `jpeg30`, `crop` and `half`; of its random cropping it does not say how much is cut
off. Whatever is drawn at random depends on the text given with the image alone, so that an image is degraded alike
whatever stands beside it. Boxes are [x1, y1, x2, y2] in pixels of the picture at hand; a crop cuts them at its edges,
and drops those of which it leaves too little.
"""

import io
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageFilter

from swift_zoomin.boxes import Size, box_area, clip_box, scale_box

CROPPED_SHARE = 0.75  # of each side: a crop keeps 9 of 16 pixels, as where a picture is cut to fit a page
BLUR_RADIUS_PX = 1.0  # standard deviation of the Gaussian
NOISE_LEVELS = 10.0  # standard deviation of the noise, of 255
SCREENSHOT_SCALES = (0.5, 1.0)  # a picture is shown at a size that fits a window, and saved as it is shown
LEAST_LEFT = 0.25  # of a box's area: a region of which less is left shows something else

_WITH_QUALITY = re.compile(r"(jpeg|webp)(\d{1,3})")


class Region(NamedTuple):
    """A box and what is in it."""

    box_px: list[float]
    label: str


class Picture(NamedTuple):
    """An RGB image and its regions."""

    image: Image.Image
    regions: list[Region]


Degrade = Callable[[Picture, random.Random], Picture]


@dataclass(frozen=True)
class Step:
    """One degradation, by the name that it is asked for with."""

    name: str
    apply: Degrade
    is_codec: bool = field(default=False)


def parse_chain(text: str) -> list[Step]:
    """The steps of `half+jpeg30`, first to last. Raises ValueError, which says what there is."""
    return [_step(name) for name in text.split("+")]


def _step(name: str) -> Step:
    if apply := _FIXED.get(name):
        return Step(name, apply)
    match = _WITH_QUALITY.fullmatch(name)
    if match is None or not 1 <= int(match[2]) <= 100:
        there_is = f"jpegQ and webpQ (quality Q from 1 to 100), {', '.join(_FIXED)}"
        raise ValueError(f'no degradation "{name}"; there are {there_is}, and chains as half+jpeg30')
    return Step(name, _recompressed(match[1], int(match[2])), is_codec=True)


def degrade(picture: Picture, steps: Sequence[Step], seed: str) -> Picture:
    """The picture after all steps. What they draw depends on `seed`, a step's name, and its place in the chain."""
    for index, step in enumerate(steps):
        picture = step.apply(picture, random.Random(f"{seed} {index} {step.name}"))
    return picture


def _recompressed(codec: str, quality: int) -> Degrade:
    def apply(picture: Picture, rng: random.Random) -> Picture:
        file = io.BytesIO()
        picture.image.save(file, codec, quality=quality)
        with Image.open(file) as saved:
            return picture._replace(image=saved.convert("RGB"))

    return apply


def _crop(picture: Picture, rng: random.Random) -> Picture:
    width, height = picture.image.size
    kept_width, kept_height = (max(1, round(CROPPED_SHARE * side)) for side in (width, height))
    left, top = rng.randint(0, width - kept_width), rng.randint(0, height - kept_height)
    regions = []
    for box, label in picture.regions:
        x1, y1, x2, y2 = box
        cut = clip_box([x1 - left, y1 - top, x2 - left, y2 - top], (kept_width, kept_height))
        if box_area(cut) >= LEAST_LEFT * box_area(box):
            regions.append(Region(cut, label))
    return Picture(picture.image.crop((left, top, left + kept_width, top + kept_height)), regions)


def _half(picture: Picture, rng: random.Random) -> Picture:
    width, height = picture.image.size
    return _resized(picture, (max(1, width // 2), max(1, height // 2)), Image.Resampling.BICUBIC)


def _screenshot(picture: Picture, rng: random.Random) -> Picture:
    scale = rng.uniform(*SCREENSHOT_SCALES)
    width, height = (max(1, round(scale * side)) for side in picture.image.size)
    return _resized(picture, (width, height), Image.Resampling.BILINEAR)


def _resized(picture: Picture, size: Size, resampling: Image.Resampling) -> Picture:
    regions = [Region(scale_box(box, picture.image.size, size), label) for box, label in picture.regions]
    return Picture(picture.image.resize(size, resampling), regions)


def _blur(picture: Picture, rng: random.Random) -> Picture:
    return picture._replace(image=picture.image.filter(ImageFilter.GaussianBlur(BLUR_RADIUS_PX)))


def _noise(picture: Picture, rng: random.Random) -> Picture:
    levels = np.asarray(picture.image, np.float64)
    added = np.random.default_rng(rng.getrandbits(64)).normal(0, NOISE_LEVELS, levels.shape)
    return picture._replace(image=Image.fromarray(np.rint(levels + added).clip(0, 255).astype(np.uint8)))


_FIXED: dict[str, Degrade] = {
    "crop": _crop,
    "half": _half,
    "blur": _blur,
    "noise": _noise,
    "screenshot": _screenshot,
}
