"""What summary.json says about the annotations: the paper's statistics, counted while they are written.

    statistics = Statistics()
    statistics.add(label, annotation)   # for each image, in any order
    statistics.summary()                # {"images": 20000, "share_with_boxes": 0.995, "boxes_per_image": 3.24, ...}

The paper has 99.5% of the images with a box and 3.24 boxes an image, counted over all images, those without a box too.
Its Fig. 7 counts keywords: `keywords.py` says what is one, and its number is that of the explanations it occurs in.
"""

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from swift_zoomin.annotation.answers import WAS_CUT
from swift_zoomin.annotation.steps import Annotation, Step
from swift_zoomin.keywords import keywords

SHOWN_KEYWORDS = 50
_PARTICULARS = re.compile(r" \([^()]*\)")  # of a reason for rejecting

_WRONG_FRAME_SHARE = 0.5
_FEWEST_BOXES = 20  # below, a share says little
_ONE_CAUSE_SHARE = 0.5
_FEWEST_IMAGES = 20


@dataclass
class _Counts:
    images: int = 0
    with_boxes: int = 0
    boxes: int = 0

    def row(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "share_with_boxes": _share(self.with_boxes, self.images),
            "boxes_per_image": _share(self.boxes, self.images),
        }


@dataclass
class Statistics:
    """Running counts over annotations; memory grows with the number of different words alone."""

    all: _Counts = field(default_factory=_Counts)
    by_label: dict[str, _Counts] = field(default_factory=dict)
    rejected: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    boxes_read: int = 0
    boxes_beyond: int = 0

    def add(self, label: str, annotation: Annotation) -> None:
        """Count one image: a record, or a rejection."""
        self.boxes_read += annotation.boxes_read
        self.boxes_beyond += annotation.boxes_beyond
        if annotation.rejected is not None:
            self.rejected[_PARTICULARS.sub("", annotation.rejected)] += 1
            return
        self.dropped.update(dropped.cause for dropped in annotation.dropped)
        for counts in (self.all, self.by_label.setdefault(label, _Counts())):
            counts.images += 1
            counts.with_boxes += bool(annotation.boxes_px)
            counts.boxes += len(annotation.boxes_px)
        self.words.update(keywords(annotation.explanation))

    def summary(self) -> dict[str, Any]:
        """What a JSON file can hold; shares are of 1, None where there is nothing to share."""
        by_count = sorted(self.words.items(), key=lambda item: (-item[1], item[0]))
        return {
            **self.all.row(),
            "by_label": {label: self.by_label[label].row() for label in sorted(self.by_label)},
            "rejected": dict(self.rejected.most_common()),
            "dropped_boxes": dict(self.dropped.most_common()),
            "keywords": dict(by_count[:SHOWN_KEYWORDS]),
            "boxes_read": self.boxes_read,
            "share_beyond_frame": _share(self.boxes_beyond, self.boxes_read),
        }

    def warnings(self, frame: str) -> list[str]:
        """Lines for the user about what is probably wrong with a model, and what to do."""
        return [warning for warning in (self.frame_warning(frame), self.rejection_warning()) if warning]

    def frame_warning(self, frame: str) -> str | None:
        """A line for the user where most boxes reach beyond the frame they were asked for in.

        Pixels of an image of less than 1000 a side, read as thousandths, stay inside and are not seen: look at the
        sheet.
        """
        if self.boxes_read < _FEWEST_BOXES or self.boxes_beyond <= _WRONG_FRAME_SHARE * self.boxes_read:
            return None
        return (
            f"{self.boxes_beyond} of {self.boxes_read} boxes reach beyond the image; "
            f"--ground-frame {frame} is probably wrong for this model, try the other one"
        )

    def rejection_warning(self) -> str | None:
        """A line for the user where most images were rejected for one cause."""
        images = self.all.images + self.rejected.total()
        cause, number = max(self.rejected.items(), key=lambda item: item[1], default=("", 0))
        if images < _FEWEST_IMAGES or number <= _ONE_CAUSE_SHARE * images:
            return None
        return f"{number} of {images} images were rejected for one cause: {cause}; {_advice(cause)}"


def _advice(cause: str) -> str:
    """What to do where most images were rejected for this."""
    step = cause.partition(":")[0]
    if step not in list(Step):
        return "rejected.jsonl names the files"
    if WAS_CUT in cause:
        return f"turn the model's reasoning off at its server, or take another --{step}-model"
    return f"read its answers in audit.jsonl, and take another --{step}-model"


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
