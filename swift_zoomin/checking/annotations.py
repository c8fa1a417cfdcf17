"""What in annotations is probably not meant. Each class is told one record after the other, and then says its lines."""

import hashlib
import os
import re
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np

from swift_zoomin.arguments import Found, counted
from swift_zoomin.boxes import box_area
from swift_zoomin.checking.places import Places
from swift_zoomin.fields import column_name, is_reserved
from swift_zoomin.records import Record
from swift_zoomin.replies import REAL

_LARGE = 0.5  # of the image: a region that large points at nothing
_SAYS_GENERATED = r"(?:ai|computer|artificially|synthetically)?[- ]?generated|synthetic|artificial|fake|ai[- ]made"
_NAMES_LABEL = re.compile(
    r"\b(?:image|picture|photo|photograph|scene|it|this) (?:is|was|must be|appears|looks|seems)(?: to be)?"
    rf"(?: (?!not\b|never\b)\w+)?(?: an?)? (?:(?P<wrong>{_SAYS_GENERATED})|real|authentic|genuine)\b",
    re.IGNORECASE,
)


class Warner(Protocol):
    """Something that has seen all records."""

    def warnings(self, places: Places) -> Iterator[str]: ...


class Watch(Warner, Protocol):
    """Something that is told of one record after the other."""

    def add(self, record: Record) -> None: ...


class ScaledBoxes:
    """Boxes of one file that are probably shares of the image."""

    def __init__(self) -> None:
        self._are_pixels = False
        self._boxes = 0
        self._boxed = Found()
        self._example = ""

    def add(self, record: Record) -> None:
        if self._are_pixels or not record.boxes_px:
            return
        self._are_pixels = any(number > 1 for box in record.boxes_px for number in box)
        self._boxes += len(record.boxes_px)
        self._boxed.add(record.where)
        if not self._example:
            self._example = self._in_pixels(record, record.boxes_px[0])

    def _in_pixels(self, record: Record, box: list[float]) -> str:
        width, height = record.image.size
        in_pixels = [box[0] * width, box[1] * height, box[2] * width, box[3] * height]
        return f"{box} would be {[round(number, 1) for number in in_pixels]} in its {width}x{height} image"

    def warnings(self, places: Places) -> Iterator[str]:
        if self._boxes and not self._are_pixels:
            yield (
                f"no box exceeds 1 ({counted(self._boxes, 'box', 'boxes')}), so they are probably shares of the image; "
                f"expected pixels: {self._example} ({self._boxed})"
            )


class LargeBoxes:
    """Boxes over half of the image."""

    def __init__(self) -> None:
        self._boxes = 0
        self._found = Found()

    def add(self, record: Record) -> None:
        width, height = record.image.size
        large = sum(box_area(box) > _LARGE * width * height for box in record.boxes_px or [])
        if large:
            self._boxes += large
            self._found.add(record.where)

    def warnings(self, places: Places) -> Iterator[str]:
        if self._boxes:
            cover = "covers" if self._boxes == 1 else "cover"
            what = f"{counted(self._boxes, 'box', 'boxes')} {cover} more than half of the image"
            yield f"{what}, and a close-up of that shows little more: {self._found}"


class ImagesElsewhere:
    """Images of one file that lie outside its folder. A data set that somebody else made may so name any file."""

    def __init__(self, path: Path) -> None:
        self._home = Path(os.path.realpath(path.parent))
        self._first = ""
        self._found = Found()

    def add(self, record: Record) -> None:
        if os.path.isabs(record.name) or self._home not in Path(os.path.realpath(self._home / record.name)).parents:
            self._first = self._first or record.name
            self._found.add(record.where)

    def warnings(self, places: Places) -> Iterator[str]:
        if self._found.number:
            verb = "is" if self._found.number == 1 else "are"
            yield (
                f"{counted(self._found.number, 'image')} {verb} named by an absolute path or outside the file's "
                f"folder: {self._first} ({self._found})"
            )


class RenamedFields:
    """Fields that ms-swift would take for something of its own."""

    def __init__(self) -> None:
        self._holders: dict[str, Found] = {}

    def add(self, record: Record) -> None:
        for name in filter(is_reserved, record.extra):
            self._holders.setdefault(name, Found()).add(record.where)

    def warnings(self, places: Places) -> Iterator[str]:
        for name, holders in self._holders.items():
            yield (
                f"{name} is a name of ms-swift's own: in training the column of this field is {column_name(name)} "
                f"({counted(holders.number, 'record')}: {holders})"
            )


class RepeatedExplanations:
    """Explanations that stand word for word in records of several images, which give no reason for either."""

    def __init__(self) -> None:
        self._texts = array("Q")  # a hash of each record's explanation, 0 where it has none
        self._images = array("Q")

    def add(self, record: Record) -> None:
        words = " ".join(record.explanation.split())
        self._texts.append(_hash(words) if words else 0)
        self._images.append(_hash(record.image.path))

    def warnings(self, places: Places) -> Iterator[str]:
        texts, images = np.frombuffer(self._texts, np.uint64), np.frombuffer(self._images, np.uint64)
        explained = np.flatnonzero(texts)
        _, firsts = np.unique(np.stack([texts[explained], images[explained]]), axis=1, return_index=True)
        once = explained[np.sort(firsts)]  # one record of each image with this explanation
        _, first, which, counts = np.unique(texts[once], return_index=True, return_inverse=True, return_counts=True)
        repeated = np.flatnonzero(counts > 1)
        if not len(repeated):
            return
        shared = int(counts[repeated].sum())
        earliest = repeated[np.argmin(first[repeated])]
        found = Found()
        for number in once[which == earliest].tolist():
            found.add(places.where(number))
        yield (
            f"{counted(shared, 'record')} of {len(explained)} with an explanation share it word for word with another "
            f"image's, of {counted(len(repeated), 'such explanation')} the first: {found}"
        )


class NamedLabels:
    """Explanations of real images that say what the image is, instead of why."""

    def __init__(self) -> None:
        self._found = Found()
        self._generated = 0

    def add(self, record: Record) -> None:
        if record.label != REAL:
            return
        names = [match["wrong"] for match in _NAMES_LABEL.finditer(record.explanation)]
        if names:
            self._found.add(record.where)
            self._generated += any(names)

    def warnings(self, places: Places) -> Iterator[str]:
        if self._found.number:
            verb = "names" if self._found.number == 1 else "name"
            yield (
                f"{counted(self._found.number, 'explanation')} of real images {verb} the label, {self._generated} of "
                f"them the wrong one: {self._found}"
            )


def _hash(text: str) -> int:
    """Above 0."""
    content = text.encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest()) or 1
