"""What readers share: the shape of a row, what a user states about a table, and files of JSON."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from swift_zoomin.predictions import Prediction
from swift_zoomin.records import RecordError
from swift_zoomin.replies import GENERATED, REAL

Row = tuple[str, Prediction | ValueError]  # its `file:line`, and the prediction or what is wrong with it


class Stated(NamedTuple):
    """What a user states about a table, where the format does not: `positive` is the class of a 1 and a high score."""

    positive: str | None = None
    threshold: float | None = None  # a score above it is the positive class


Reader = Callable[[Path, Stated], Iterator[Row]]


def opposite(label: str) -> str:
    return REAL if label == GENERATED else GENERATED


def above(score: float, threshold: float, positive: str = GENERATED) -> str:
    """The verdict of a score; one that equals the threshold is not above it, as in the detectors' own code."""
    return positive if score > threshold else opposite(positive)


def read_json(path: Path) -> Any:
    """A whole JSON file. Raises RecordError."""
    try:
        return json.loads(path.read_bytes())
    except OSError as error:
        raise RecordError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise RecordError(f"{path}: not JSON ({error})") from error


def text_of(row: Any, *names: str) -> str:
    """The text under the first of `names` that an object has. Raises ValueError where it has none."""
    if not isinstance(row, dict):
        raise ValueError(f"{type(row).__name__}; expected a JSON object with {' or '.join(names)}")
    for name in names:
        if name in row:
            if not isinstance(row[name], str):
                raise ValueError(f"{name} {row[name]!r}; expected text")
            return row[name]
    raise ValueError(f"has {', '.join(row) or 'no field'}; expected {' or '.join(names)}")
