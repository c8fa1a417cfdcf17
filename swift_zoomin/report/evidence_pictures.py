"""The pictures of an evidence page: the whole image with boxes over it, and the close-ups that the model was shown."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from string import ascii_uppercase

from PIL import Image

from swift_zoomin.boxes import Box, Size, clip_box
from swift_zoomin.drawing import BOX_COLOURS
from swift_zoomin.images import ImageRef, load_references
from swift_zoomin.predictions import Prediction
from swift_zoomin.probes import Probe
from swift_zoomin.records import Record
from swift_zoomin.report.crops import Region
from swift_zoomin.report.page_texts import page_text
from swift_zoomin.report.thumbnails import Mark, marks, shown_size, webp_address
from swift_zoomin.report.words import regions_in_words

MOST_REGIONS = len(ascii_uppercase)  # shown of an image, marked or annotated; annotated ones have letters
MOST_LABEL = 300  # characters
_PICTURE_PX, _CROP_PX = 1600, 1024  # longer sides at most: what a sheet of paper and a screen still show
_QUALITY = 90  # of WebP: a picture that people judge keeps its texture; crops lose nothing at all
_NUMBERED_AT_PX = 720  # side of the picture that numbers are placed for; they keep their size where it is shown smaller


@dataclass(frozen=True)
class PictureShown:
    """The whole image. Marks lie in a picture of `width` x `height`, whatever size it is shown with."""

    address: str
    width: int
    height: int
    marked: Sequence[Mark]
    annotated: Sequence[tuple[str, Mark]]  # with their letters


@dataclass(frozen=True)
class CropShown:
    """A close-up, pixel for pixel as the model was shown it, or shrunk where `note` says so."""

    address: str
    width: int
    height: int
    note: str


@dataclass(frozen=True)
class RegionShown:
    """A region in words, with its close-up where one was cut."""

    number: int
    colour: str
    label: str
    place: str
    is_marked: bool
    crop: CropShown | None = None
    probed: str = ""


def size_fault(prediction: Prediction, size: Size) -> str:
    """What to say of a file that is another one than the model was shown; its boxes would lie elsewhere."""
    then = prediction.get("width"), prediction.get("height")
    if None in then or then == size:
        return ""
    words = " × ".join(page_text(side, 10) for side in then)
    now = f"{size[0]} × {size[1]}"
    return f"The file has {now} pixels now, and had {words} when the model was shown it. No box is drawn."


def compared(prediction: Prediction) -> str:
    """What was compared to tell whether a file is the one that the model was shown."""
    if None in (prediction.get("width"), prediction.get("height")):
        return "Whether it is the file that was looked at is not known: nothing of that is recorded to compare it with."
    return "Of the file that the model was shown only its size in pixels is recorded; nothing else was compared."


def picture_of(image: Image.Image, boxes_px: Sequence[Box], record: Record | None) -> PictureShown:
    """The image shrunk, with the boxes of regions and of a record over it."""
    annotated = (record.boxes_px or [])[:MOST_REGIONS] if record else []
    boxes = [clip_box(box, image.size) for box in [*boxes_px, *annotated]]
    width, height = shown_size(image.size, _NUMBERED_AT_PX)
    placed = marks(boxes, image.size, (width, height))
    marked = placed[: len(placed) - len(annotated)]
    lettered = list(zip(ascii_uppercase, placed[len(marked) :], strict=False))
    shrunk = image.copy()
    shrunk.thumbnail((_PICTURE_PX, _PICTURE_PX), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return PictureShown(webp_address(shrunk, quality=_QUALITY), width, height, marked, lettered)


def regions_shown(
    regions: Sequence[Region], image: Image.Image, probe: Probe | None, verdict: str | None
) -> list[RegionShown]:
    """Regions of `image`, with the close-ups that were cut from it."""
    probed = regions_in_words(probe, verdict)
    return [
        replace(
            region_in_place(region),
            crop=_crop_shown(region.crop, image) if region.crop else None,
            probed=probed.get(tuple(region.box_px), ""),
        )
        for region in regions
    ]


def region_in_place(region: Region) -> RegionShown:
    """A region without its close-up."""
    x1, y1, x2, y2 = (f"{corner:.0f}" for corner in region.box_px)
    return RegionShown(
        number=region.number,
        colour=BOX_COLOURS[(region.number - 1) % len(BOX_COLOURS)],
        label=page_text(region.label, MOST_LABEL),
        place=f"{x1},{y1} to {x2},{y2}",
        is_marked=region.is_marked,
    )


def _crop_shown(crop: ImageRef, image: Image.Image) -> CropShown:
    (shown,) = load_references([replace(crop, path="")], image)  # a crop without a path is cut from the image given
    left, top, right, bottom = crop.window or (0, 0, *crop.size)
    cut, seen = f"{right - left} × {bottom - top}", f"{shown.width} × {shown.height}"
    note = f"cut at {left},{top} to {right},{bottom}: {cut} pixels, shown to the model with {seen}"
    if max(shown.size) > _CROP_PX:
        shown.thumbnail((_CROP_PX, _CROP_PX), Image.Resampling.LANCZOS)
        note += "; smaller here"
    return CropShown(webp_address(shown, lossless=True), *shown.size, note)
