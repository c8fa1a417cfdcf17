"""One image on the page of a run: its prediction, annotation and probe as text, and its picture with numbered boxes.

Whatever a prediction holds can be shown: a foreign detector's may lack every field but image and verdict, and may have
anything in those that nobody checks. An image that cannot be opened leaves an entry that says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from swift_zoomin.boxes import Box, clip_box
from swift_zoomin.listing import shown
from swift_zoomin.pictures import ImageError, open_upright
from swift_zoomin.predictions import Prediction
from swift_zoomin.probes import Probe
from swift_zoomin.records import Record
from swift_zoomin.report.crops import Region, listed_regions, regions_of
from swift_zoomin.report.evidence_pictures import RegionShown, region_in_place, size_fault
from swift_zoomin.report.page_texts import page_text, without_folders
from swift_zoomin.report.run_summary import change_of
from swift_zoomin.report.thumbnails import Mark, Thumbnail, marks, shown_size, thumbnail
from swift_zoomin.report.words import depends_of_row, probe_in_words, regions_in_words

_PICTURE_PX, _CROP_PX = 384, 144  # longer sides: a page of 500 photographs stays near 25 MB
_MOST_REGIONS = 12  # shown of an image; more than six are never cut
_MOST_NAME, _MOST_LABEL, _MOST_TEXT = 300, 200, 2000  # characters
RIGHT, WRONG = "right", "wrong"


@dataclass(frozen=True)
class AnnotationShown:
    """What the record says of the image."""

    label: str
    outcome: str  # RIGHT or WRONG: a missing verdict is wrong
    explanation: str
    box_labels: Sequence[str]
    is_boxed: bool


@dataclass(frozen=True)
class SmallPicture:
    """The picture with the boxes that were marked, and those that were annotated."""

    thumbnail: Thumbnail
    marks: Sequence[Mark]
    annotated: Sequence[Mark]


@dataclass
class Entry:
    """What the template shows of an image; texts of other hands are as `page_text` gives them."""

    number: int
    name: str
    verdict: str | None
    initial_verdict: str | None
    has_two_looks: bool
    change: str
    score: float | None
    decision: str
    decision_reason: str
    explanation: str
    initial_explanation: str
    has_error: bool
    error: str
    more_regions: int
    annotation: AnnotationShown | None
    probed: str
    depends: str
    regions: list[RegionShown] = field(default_factory=list)
    crops: dict[int, Thumbnail] = field(default_factory=dict)  # by the region's number
    picture: SmallPicture | None = None
    picture_fault: str = ""

    @property
    def description(self) -> str:
        """The picture in words, for somebody who does not see it."""
        verdict = self.verdict or "no verdict"
        first = f", at first {self.initial_verdict or 'none'}" if self.has_two_looks else ""
        named = [f"{region.number} {region.label or 'without a label'}" for region in self.regions]
        regions = f"regions: {'; '.join(named)}" if named else "no region"
        return f"{self.name}: {verdict}{first}; {regions}"


def entry_of(number: int, prediction: Prediction, path: Path, record: Record | None, probe: Probe | None) -> Entry:
    """The entry of an image, `number` in the run, whose file is `path`."""
    entry = Entry(
        number=number,
        name=page_text(shown(prediction["image"]), _MOST_NAME),
        verdict=prediction["verdict"],
        initial_verdict=prediction.get("initial_verdict"),
        has_two_looks="initial_verdict" in prediction and bool(prediction.get("replies")),
        change=change_of(prediction),
        score=prediction.get("score"),
        decision=prediction.get("decision") or "",
        decision_reason=_told(prediction.get("decision_reason"), prediction),
        explanation=page_text(prediction.get("explanation"), _MOST_TEXT),
        initial_explanation=page_text(prediction.get("initial_explanation"), _MOST_TEXT),
        has_error=prediction.get("error") is not None,
        error=_told(prediction.get("error"), prediction),
        more_regions=max(0, len(prediction.get("boxes") or []) - _MOST_REGIONS),
        annotation=_annotation(prediction, record),
        probed=_told(" ".join(probe_in_words(probe, prediction["verdict"])), prediction) if probe else "",
        depends=depends_of_row(probe, prediction["verdict"]),
    )
    try:
        _add_pictures(entry, prediction, path, record, probe)
    except ImageError as error:
        entry.picture_fault = _told(str(error).removeprefix(f"{path}: "), prediction)
        _add_regions(entry, listed_regions(prediction), probe)
    return entry


def _told(value: Any, prediction: Prediction) -> str:
    """Any JSON value as a text of the page, which names the image and not where it lies."""
    return page_text(without_folders(value, prediction["image"]), _MOST_TEXT)


def _annotation(prediction: Prediction, record: Record | None) -> AnnotationShown | None:
    if record is None:
        return None
    return AnnotationShown(
        label=record.label,
        outcome=RIGHT if prediction["verdict"] == record.label else WRONG,
        explanation=page_text(record.explanation, _MOST_TEXT),
        box_labels=[page_text(label, _MOST_LABEL) for label in record.box_labels[:_MOST_REGIONS] if label],
        is_boxed=bool(record.boxes_px),
    )


def _add_pictures(entry: Entry, prediction: Prediction, path: Path, record: Record | None, probe: Probe | None) -> None:
    """Put the picture, the regions and their crops into an entry. Raises ImageError for a file that cannot be read."""
    image = open_upright(path)
    size = image.size
    regions = [region for region in regions_of(prediction, path) if region.number <= _MOST_REGIONS]
    entry.crops = {region.number: thumbnail(image.crop(region.window), _CROP_PX) for region in regions if region.window}
    entry.picture_fault = size_fault(prediction, size)
    marked: list[Box] = [] if entry.picture_fault else [region.box_px for region in regions]
    annotated = (record.boxes_px or [])[:_MOST_REGIONS] if record else []
    drawn = shown_size(size, _PICTURE_PX)
    entry.picture = SmallPicture(
        thumbnail=thumbnail(image, _PICTURE_PX),
        marks=marks([clip_box(box, size) for box in marked], size, drawn),
        annotated=marks(annotated, size, drawn),
    )
    _add_regions(entry, regions, probe)


def _add_regions(entry: Entry, regions: Sequence[Region], probe: Probe | None) -> None:
    probed = regions_in_words(probe, entry.verdict)
    for region in regions[:_MOST_REGIONS]:
        in_place = region_in_place(region)
        label = page_text(region.label, _MOST_LABEL)
        entry.regions.append(replace(in_place, label=label, probed=probed.get(tuple(region.box_px), "")))
