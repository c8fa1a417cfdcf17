"""Which prediction belongs to which record, and what a table calls the method of a predictions file."""

import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TypeVar

from swift_zoomin.files import plain_path
from swift_zoomin.predictions import Prediction
from swift_zoomin.records import Record, RecordError

Pair = tuple[Record, Prediction | None]  # None where the record has no prediction

_T = TypeVar("_T")


def pair(records: Iterable[Record], predictions: dict[Path, Prediction]) -> list[Pair]:
    """Each record with its prediction: of the same path, or else of the same file behind links."""
    find = _finder(predictions)
    return [(record, find(plain_path(record.image.path))) for record in records]


def record_finder(records: Iterable[Record]) -> Callable[[Path], Record | None]:
    """The record of an image: of the same path, or else of the same file behind links."""
    return _finder({plain_path(record.image.path): record for record in records})


def _finder(known: Mapping[Path, _T]) -> Callable[[Path], _T | None]:
    """What is known of a path, or else of the same file behind links."""

    @cache
    def by_file() -> dict[str, _T]:
        return {os.path.realpath(path): thing for path, thing in known.items()}

    def find(path: Path) -> _T | None:
        if path in known or not known:
            return known.get(path)
        return by_file().get(os.path.realpath(path))

    return find


def extra_images(pairs: Sequence[Pair], predictions: dict[Path, Prediction]) -> int:
    """How many images have a prediction and no record."""
    used = {id(prediction) for _, prediction in pairs if prediction is not None}
    return len(predictions) - len(used)


def method_names(files: Sequence[Path]) -> list[str]:
    """A method is called as its file, without the suffix; where two files share that name, their folders come first.

    Raises RecordError where that does not tell them apart.
    """
    stems = Counter(file.stem for file in files)
    names = [file.stem if stems[file.stem] == 1 else f"{file.absolute().parent.name}/{file.stem}" for file in files]
    for index, name in enumerate(names):
        earlier = names.index(name)
        if earlier < index:
            raise RecordError(f"{files[earlier]} and {files[index]}: both are called {name} in a table; rename one")
    return names
