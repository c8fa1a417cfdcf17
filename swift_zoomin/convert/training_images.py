"""Images that a model was trained on, so that none of them is in the data that it is tested on.

An image is one of them by the stem of its file's name, or else by its bytes. A stem counts from 8 signs:
`n01440764_10026` is one image everywhere, `000017` is not. Records that were converted keep the name that an image had
as `original`, which counts as well: `zoomin convert square` numbers its files.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePath

from tqdm import tqdm

from swift_zoomin.records import Record, read_records

ORIGINAL = "original"  # the field of a record that holds the name before it was converted
BY_NAME, BY_CONTENT = "a training image by its name", "a training image by its content"
_SHORTEST_STEM = 8


class TrainingImages:
    """What is known of the images of records files. Threads may share it."""

    def __init__(self, files: Iterable[Path]) -> None:
        """Raises RecordError for a file that is no records file."""
        records = [record for file in files for record in read_records(file, decode=False)]
        self._stems = {stem for record in records for stem in _stems(_names(record))}
        paths = [record.image.path for record in records]
        self._contents = {_content(path) for path in tqdm(paths, "hashing training images", disable=len(paths) < 1000)}

    def match(self, path: str, original: str) -> str | None:
        """How an image is known to be one of them; None where it is none. Raises OSError."""
        if self._stems.intersection(_stems([original])):
            return BY_NAME
        if _content(path) in self._contents:
            return BY_CONTENT
        return None


def _names(record: Record) -> Iterator[str]:
    yield record.name
    if isinstance(original := record.extra.get(ORIGINAL), str):
        yield original


def _stems(names: Iterable[str]) -> Iterator[str]:
    for name in names:
        stem = PurePath(name).stem
        if len(stem) >= _SHORTEST_STEM:
            yield stem


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
