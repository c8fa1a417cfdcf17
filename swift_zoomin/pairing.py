"""Which prediction belongs to which record, and what a table calls the method of a predictions file."""

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from swift_zoomin.files import plain_path
from swift_zoomin.predictions import Prediction
from swift_zoomin.records import Record, RecordError

Pair = tuple[Record, Prediction | None]  # None where the record has no prediction


def pair(records: Iterable[Record], predictions: dict[Path, Prediction]) -> list[Pair]:
    """Each record with its prediction: of the same path, or else of the same file behind links."""
    pairs = [(record, predictions.get(plain_path(record.image.path))) for record in records]
    if all(prediction is not None for _, prediction in pairs):
        return pairs
    by_file = {os.path.realpath(path): prediction for path, prediction in predictions.items()}
    return [
        (record, by_file.get(os.path.realpath(record.image.path)) if prediction is None else prediction)
        for record, prediction in pairs
    ]


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
