"""References to images.

An image travels through datasets, rollouts and servers as a short string and is opened only when a sample is encoded:

    zoomin:/data/a.png?size=4000x3000&pixels=4096-262144&family=Qwen3-VL                      the whole image, upright
    zoomin:/data/a.png?size=4000x3000&pixels=4096-262144&family=Qwen3-VL&crop=120,88,260,190  a window, original pixels

`size` is the upright size; `pixels` are the model's limits and `family` its family, so that boxes can be scaled without
opening the file and without asking what holds in this process. A crop without a path is cut from the first image of its
sample, for images that are no files: bytes, base64 text, data URIs, Pillow images. Not covered: remote files, video.
"""

import os
import re
from collections.abc import Callable, Hashable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any
from urllib.parse import quote, unquote

from cachetools import LRUCache
from PIL import Image

from swift_zoomin.boxes import MIN_CROP_TOKENS, Box, PixelLimits, Size, crop_window, model_size
from swift_zoomin.families import QWEN2_5_VL, family_named
from swift_zoomin.pictures import ImageError, Source, content_of, open_upright, upright_size

_REFERENCE = re.compile(
    r"zoomin:(?P<path>[^?]*)\?size=(?P<size>\d+x\d+)(?:&pixels=(?P<limits>\d+-\d+))?"
    r"(?:&family=(?P<family>[\w.-]+))?"
    r"(?:&crop=(?P<window>\d+,\d+,\d+,\d+))?"
)
_REDUCING_GAP = 3.0  # Pillow first shrinks by a whole factor, and leaves this much to the filter: 1 level of 255 off
KEPT_PIXELS = 48_000_000  # of decoded images, 4 bytes each; they serve the queries and generations of a rollout
_last_used: LRUCache[Hashable, Image.Image] = LRUCache(KEPT_PIXELS, lambda image: image.width * image.height)
_lock = Lock()  # an engine encodes in several threads


class LimitsError(ImageError):
    """A reference made for a model that is shown images otherwise: boxes beside it lie elsewhere."""


@dataclass(frozen=True)
class ImageRef:
    """An image file or, with `window` (left, top, right, bottom in pixels of the upright original), a crop of it.

    `path` is empty where the image is no file: it then stands first in the sample that the reference belongs to.
    """

    path: str
    size: Size
    window: tuple[int, int, int, int] | None = None
    limits: PixelLimits | None = None  # None where no model is chosen yet, as in a records file

    @classmethod
    def of(cls, source: Source) -> "ImageRef":
        """Refer to an image, reading its header. Raises ImageError."""
        path = ""
        if isinstance(source, str | Path) and content_of(source) is None:
            path = str(Path(source).absolute())
        return cls(path, upright_size(source))

    @classmethod
    def parse(cls, text: str) -> "ImageRef | None":
        """Read a reference; None where the text is none, or of a family that is not known here.

        One that names limits and no family is of the time when Qwen2.5-VL was the only one.
        """
        match = _REFERENCE.fullmatch(text)
        if match is None:
            return None
        family = family_named(match["family"]) if match["family"] else QWEN2_5_VL
        if family is None:
            return None
        path = unquote(match["path"], errors="surrogateescape")
        width, height = map(int, match["size"].split("x"))
        window, limits = None, None
        if match["window"]:
            left, top, right, bottom = map(int, match["window"].split(","))
            window = (left, top, right, bottom)
        if match["limits"]:
            fewest, most = map(int, match["limits"].split("-"))
            limits = PixelLimits(fewest, most, family)
        return cls(path, (width, height), window, limits)

    def __str__(self) -> str:
        pixels = f"&pixels={self.limits}&family={self.limits.family.name}" if self.limits else ""
        crop = f"&crop={','.join(map(str, self.window))}" if self.window else ""
        path = quote(self.path, errors="surrogateescape")
        return f"zoomin:{path}?size={self.size[0]}x{self.size[1]}{pixels}{crop}"

    def under(self, limits: PixelLimits) -> "ImageRef":
        """The same reference for a model with these limits. Raises LimitsError where it was made for another one."""
        if self.limits and self.limits.family != limits.family:
            raise LimitsError(
                f"{self.path}: prepared for a {self.limits.family.name}, which is shown images and writes boxes "
                f"otherwise; this model is a {limits.family.name}; give both the same model, or prepare the data again"
            )
        if self.limits not in (None, limits):
            raise LimitsError(
                f"{self.path}: prepared for a model that is shown {self.limits} pixels; this one is shown {limits}; "
                "give both the same MAX_PIXELS and MIN_PIXELS, or prepare the data again"
            )
        return replace(self, limits=limits)

    @property
    def size_model(self) -> Size:
        """What the model sees of the whole image. Raises ImageError for one that it cannot be shown."""
        return self._shown(self.size)

    @property
    def size_in_frame(self) -> Size:
        """The whole image's size in the frame that the model writes boxes in. Raises as `size_model`."""
        return self.limits_known.family.frame.size(self.size_model)

    @property
    def size_shown(self) -> Size:
        """What the model sees of what this refers to: the whole image shrunk, or the crop enlarged."""
        return self._shown(*self._part())

    @property
    def fault(self) -> str | None:
        """Why the model cannot be shown what this refers to; a crop of a thin image may be too thin for its limits."""
        try:
            self._shown(*self._part())
        except ImageError as error:
            return str(error)
        return None

    def _part(self) -> tuple[Size, int]:
        """The size of what this refers to in original pixels, and to how many pixels at least it is enlarged."""
        if not self.window:
            return self.size, 0
        left, top, right, bottom = self.window
        return (right - left, bottom - top), MIN_CROP_TOKENS * self.limits_known.family.patch_px**2

    @property
    def limits_known(self) -> PixelLimits:
        """The limits of the model that this is shown to. Raises ValueError where none is chosen yet."""
        if self.limits is None:
            raise ValueError(f"{self.path}: no model's pixel limits are known here; see ImageRef.under")
        return self.limits

    def _shown(self, size: Size, wanted_pixels: int = 0) -> Size:
        try:
            return model_size(size, self.limits_known, wanted_pixels)
        except ValueError as error:
            raise ImageError(f"{self.path}: {error}") from error

    def crop(self, box_px: Box) -> "ImageRef":
        """Refer to the window that shows a box of this image, with context where the box is small or thin."""
        return replace(self, window=crop_window(box_px, self.size, self.limits_known.family.patch_px))


def source_of(image: Any) -> Source:
    """An image as it stands in a sample; the dictionary of Hugging Face datasets becomes what is in it."""
    if isinstance(image, dict):
        return image.get("bytes") or image["path"]
    return image


def is_remote(image: Any) -> bool:
    """Whether an image of a sample is an address on the web: such a row is no record, whose images are files."""
    source = source_of(image)
    return isinstance(source, str) and source.lower().startswith(("http://", "https://"))


def load_references(references: Sequence[ImageRef], first: Image.Image | None = None) -> list[Image.Image]:
    """Decode references to RGB, each in one step at the size the model sees: whole images shrunk, crops enlarged.

    Each file is decoded once, however many crops of it are asked for, and what is asked for again soon (by query 2, by
    another generation, by the trainer) is kept. Crops without a path are cut from `first`, upright. Raises ImageError,
    also where a file has changed its size since it was referred to, because its boxes would then point elsewhere.
    """
    originals: dict[str, Image.Image] = {}
    if first:
        originals[""] = first

    def original(reference: ImageRef) -> Image.Image:
        if reference.path not in originals:
            key = _file(reference.path)
            originals[reference.path] = _kept(key, lambda: open_upright(reference.path))
        image = originals[reference.path]
        if image.size != reference.size:
            raise ImageError(f"{reference.path}: {image.size} pixels now; expected {reference.size}")
        return image

    def shrunken(reference: ImageRef) -> Image.Image:
        return shown_at(original(reference), reference.size_model)

    loaded = []
    for reference in references:
        if reference.window:
            crop = original(reference).crop(reference.window)
            loaded.append(crop.resize(reference.size_shown, Image.Resampling.BICUBIC))
        else:
            file = _file(reference.path)
            key = (*file, reference.size, reference.size_model) if file else None
            loaded.append(_kept(key, partial(shrunken, reference)))
    return loaded


def shown_at(image: Image.Image, size: Size) -> Image.Image:
    """A whole image as a model sees it at this size."""
    return image.resize(size, Image.Resampling.BICUBIC, reducing_gap=_REDUCING_GAP)


def _file(path: str) -> tuple[str, int, int] | None:
    """A file and the state it is in; None for one that no folder names any more, as an upload that is held in memory.

    Of that nothing may be left when it is closed, and its path is soon another's.
    """
    try:
        state = os.stat(path)
    except OSError:
        raise ImageError(f"{path}: no such image file") from None
    return (path, state.st_mtime_ns, state.st_size) if state.st_nlink else None


def _kept(key: Hashable | None, make: Callable[[], Image.Image]) -> Image.Image:
    """An image from among those used last, which are never changed; else made, outside the lock.

    Without a key it is made, and not kept.
    """
    if key is None:
        return make()
    with _lock:
        if key in _last_used:
            return _last_used[key]
    image = make()
    with _lock, suppress(ValueError):  # larger than all that may be kept
        _last_used[key] = image
    return image
