"""The regions of a prediction, and the windows that were cut for its second look, as the model saw them.

They are worked out again from the first reply, by the very code that asked the model. Where the first reply is not
kept, or `made_by` does not say how the model was asked, boxes are known and windows are not.
"""

from dataclasses import dataclass, field, replace
from pathlib import Path

from swift_zoomin.episode import CHOOSERS, Episode
from swift_zoomin.images import ImageRef
from swift_zoomin.made_by import parse_made_by
from swift_zoomin.predictions import Prediction, rounded_box
from swift_zoomin.replies import as_box

Window = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True)
class Region:
    """A region, in pixels of the upright original, numbered from 1 as the reply names them.

    `crop` is what was cut for the second look: all of the box, with context where it is small or thin. It is None where
    the model did not look at this region again. One that `is_marked` by no reply was cut at random.
    """

    number: int
    box_px: list[float]
    label: str
    crop: ImageRef | None = None
    is_marked: bool = True

    @property
    def window(self) -> Window | None:
        """What was cut, in pixels of the upright original."""
        return self.crop.window if self.crop else None


def regions_of(prediction: Prediction, image: Path) -> list[Region]:
    """The regions of a prediction whose image lies at `image`; `images.load_references` decodes their crops.

    Raises ImageError where the image cannot be read. One that has another size than it had has no crops.
    """
    crops = _crops(prediction, image)
    regions = [replace(region, crop=crops.by_box.get(index)) for index, region in enumerate(listed_regions(prediction))]
    for number, crop in enumerate(crops.elsewhere, len(regions) + 1):
        if crop.window:
            regions.append(Region(number, list(map(float, crop.window)), "", crop, is_marked=False))
    return regions


def listed_regions(prediction: Prediction) -> list[Region]:
    """The regions as the row lists them, without crops: what is left of them where the image cannot be read."""
    boxes = prediction.get("boxes") or []
    labels = _labels(prediction, len(boxes))
    ordered = (as_box(box) or list(box) for box in boxes)  # a foreign detector may begin at any corner
    return [Region(number, box, label) for number, (box, label) in enumerate(zip(ordered, labels, strict=True), 1)]


def _labels(prediction: Prediction, number: int) -> list[str]:
    """A label for each box; a foreign detector may give none, or something else."""
    given = prediction.get("box_labels")
    labels = ["" if label is None else str(label) for label in given[:number]] if isinstance(given, list) else []
    return labels + [""] * (number - len(labels))


@dataclass
class _Crops:
    """What query 2 showed the model: by the index of the box that it was cut for, or cut somewhere else."""

    by_box: dict[int, ImageRef] = field(default_factory=dict)
    elsewhere: list[ImageRef] = field(default_factory=list)


def _crops(prediction: Prediction, image: Path) -> _Crops:
    """Raises ImageError."""
    reference = reference_of(prediction, image)
    made_by = parse_made_by(prediction.get("made_by"))
    replies = prediction.get("replies")
    if reference is None or made_by is None or made_by.chooser is None:
        return _Crops()
    if not isinstance(replies, list) or len(replies) < 2:
        return _Crops()
    episode = Episode(reference, [str(replies[0])], CHOOSERS[made_by.chooser])
    boxes_px = episode.boxes_px
    if list(map(rounded_box, boxes_px)) != prediction.get("boxes"):
        return _Crops()  # somebody has changed the boxes, or the reply
    crops = _Crops()
    for box, crop in episode.close_ups:
        # A model may name a region twice; then both were cut.
        named = (index for index, other in enumerate(boxes_px) if other == box and index not in crops.by_box)
        index = next(named, None)
        if index is None:
            crops.elsewhere.append(crop)
        else:
            crops.by_box[index] = crop
    return crops


def reference_of(prediction: Prediction, image: Path) -> ImageRef | None:
    """The image as the model was shown it; None where that is not known, or the file is of another size by now.

    Raises ImageError where the image cannot be read.
    """
    made_by = parse_made_by(prediction.get("made_by"))
    reference = ImageRef.of(image)
    if made_by is None or (prediction.get("width"), prediction.get("height")) != reference.size:
        return None
    shown = reference.under(made_by.limits)
    return None if shown.fault else shown
