"""Images that a model was trained on, so that none of them is in the data that it is tested on.

An image is one of them by the stem of its file's name, by its bytes, or by its looks (`near_duplicates`: saved again,
scaled, made lighter). A stem counts from 8 signs: `n01440764_10026` is one image everywhere, `000017` is not. Records
that were converted keep the name that an image had as `original`, which counts as well: `zoomin convert square` numbers
its files, and what it cuts off an image changes its looks.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePath

import numpy as np

from swift_zoomin.near_duplicates import copies_of, fingerprints
from swift_zoomin.records import Record, read_records

ORIGINAL = "original"  # the field of a record that holds the name before it was converted
BY_NAME, BY_CONTENT, BY_LOOKS = (f"a training image by its {what}" for what in ("name", "content", "looks"))
_SHORTEST_STEM = 8
_NUMBERED = re.compile(r"[A-Za-z]*[ _-]?\d{1,8}")  # image_0001 and 00000017 are in any data set; COCO's have 12 digits


class TrainingImages:
    """What is known of the images of records files."""

    def __init__(self, files: Iterable[Path]) -> None:
        """Decodes all of them. Raises RecordError for a file that is no records file, and ImageError."""
        records = [record for file in files for record in read_records(file, decode=False)]
        self._stems = {stem for record in records for stem in _stems(_names(record))}
        self._prints = fingerprints([record.image.path for record in records])

    def has_name(self, name: str) -> bool:
        """Whether an image of this name is one of them, whichever folders it lies in."""
        return not self._stems.isdisjoint(_stems([name]))

    def find(self, paths: Sequence[Path]) -> list[str | None]:
        """How each image is known to be one of them, or None. Raises ImageError for one that cannot be read."""
        prints = fingerprints(paths)
        has_content = np.isin(prints.contents, self._prints.contents)
        has_looks = copies_of(prints, self._prints)
        return [
            BY_CONTENT if same else BY_LOOKS if alike else None
            for same, alike in zip(has_content, has_looks, strict=True)
        ]


def _names(record: Record) -> Iterator[str]:
    yield record.name
    if isinstance(original := record.extra.get(ORIGINAL), str):
        yield original


def _stems(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        stem = PurePath(name).stem
        if len(stem) >= _SHORTEST_STEM and not _NUMBERED.fullmatch(stem):
            yield stem
