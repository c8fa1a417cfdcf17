"""The predictions of a method, from one source or several.

A file of ours names its images relative to itself. Those of another detector may come from another machine: where such
a path is no record's, the longest end that it shares with one decides (`path_tails.py`).
"""

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from swift_zoomin.arguments import counted
from swift_zoomin.evaluation.foreign.formats import FORMATS, TABLE, WITHOUT_VERDICTS
from swift_zoomin.evaluation.foreign.rows import Row, Stated
from swift_zoomin.evaluation.path_tails import match_tails
from swift_zoomin.evaluation.sources import Source, form_of
from swift_zoomin.files import plain_path
from swift_zoomin.folder_labels import nearest_label_folder
from swift_zoomin.predictions import Prediction, Predictions, collect_predictions, named_image
from swift_zoomin.predictions_parquet import read_any_predictions
from swift_zoomin.records import Record, RecordError, list_faults

_Found = dict[str, str]  # by a name as a file has it, the image of a record


def read_method(sources: Sequence[Source], records: Sequence[Record], stated: Stated) -> tuple[Predictions, list[str]]:
    """The predictions of a method, and what a reader should know of how they were read. Raises RecordError."""
    notes: list[str] = []
    parts = [_read(one, records, stated, notes) for one in sources]
    if all(one.format in WITHOUT_VERDICTS for one in sources):
        notes.append("has no verdicts, so all images count as wrong; join them: NAME=verdicts.csv and this as NAME=...")
    return _join(parts, sources), notes


def _read(one: Source, records: Sequence[Record], stated: Stated, notes: list[str]) -> Predictions:
    form = form_of(one)
    if form is None and one.path.is_dir():
        raise RecordError(f"{one.path}: a folder; say which detector wrote it, as legion:{one.path}")
    if form is None:
        return read_any_predictions(one.path)
    if not one.path.exists():
        raise RecordError(f"{one.path}: no such predictions")
    rows = list(FORMATS[form](one.path, stated))
    try:
        found = _found_elsewhere(one.path, rows, records)
    except RecordError as error:
        raise RecordError(f"{one.path}: {error}") from error
    if found:
        notes.append(_note(found, records))
    made_by = _made_by(form, stated)
    predictions = collect_predictions(one.path, [(where, _placed(row, found, made_by)) for where, row in rows])
    _check_sizes(one.path, predictions, records)
    return predictions


def _check_sizes(file: Path, predictions: Predictions, records: Sequence[Record]) -> None:
    """Raises RecordError where a mask is of another size than its image: its boxes would be other pixels."""
    faults = []
    for record in records:
        row = predictions.get(plain_path(record.image.path), {})
        if "width" in row and (row["width"], row["height"]) != record.image.size:
            width, height = record.image.size
            sizes = f"a mask of {row['width']}x{row['height']} for an image of {width}x{height}"
            faults.append(f"{file}: {sizes}, {record.name}; resize each mask to its image")
    if faults:
        raise RecordError(list_faults(faults))


def _placed(row: Prediction | ValueError, found: _Found, made_by: str) -> Prediction | ValueError:
    """The row with its image where a record has it."""
    if isinstance(row, ValueError):
        return row
    image = row["image"]
    if isinstance(image, str):
        image = found.get(image, image)
    return {**row, "image": image, "made_by": made_by}


def _found_elsewhere(file: Path, rows: Iterable[Row], records: Sequence[Record]) -> _Found:
    """The record's image for each name in `file` that is no record's path as it stands."""
    images = [str(plain_path(record.image.path)) for record in records]
    written = [row["image"] for _, row in rows if isinstance(row, dict)]
    names = [name for name in written if isinstance(name, str) and "\0" not in name]
    places = {name: named_image(file, name) for name in names}
    known = set(images)
    strange = [name for name, place in places.items() if str(place) not in known]
    if strange:  # or the same files behind links
        known = set(map(os.path.realpath, images))
        strange = [name for name in strange if os.path.realpath(places[name]) not in known]
    taken = {str(place) for place in places.values()}
    labels = {str(plain_path(record.image.path)): record.label for record in records}
    found = match_tails(strange, images)
    return {
        name: image for name, image in found.items() if image not in taken and _label_in(name) in (None, labels[image])
    }


def _label_in(name: str) -> str | None:
    """The label that the folders of a path tell: an image of `1_fake` is no record of a real one."""
    try:
        nearest = nearest_label_folder(re.split(r"[/\\\\]+", name)[:-1])
    except ValueError:  # folders of both
        return None
    return nearest.label if nearest else None


def _note(found: _Found, records: Sequence[Record]) -> str:
    """What a reader should know of paths that were found by their end: how many, and one of them to look at."""
    name, image = next(iter(found.items()))
    record = next(record.name for record in records if str(plain_path(record.image.path)) == image)
    return f"{counted(len(found), 'image')} found by the end of a path: {name} is taken for {record}"


def _made_by(form: str, stated: Stated) -> str:
    """How the answers were read, which stands beside the figures."""
    if form != TABLE or stated.positive is None:
        return f"read as {form}"
    above = "" if stated.threshold is None else f" above {stated.threshold:g}"
    return f"read as {form}, 1 and scores{above} are {stated.positive}"


def _join(parts: Sequence[Predictions], sources: Sequence[Source]) -> Predictions:
    """The rows of several sources, image by image. Raises RecordError where two say different things of an image."""
    joined, *others = parts
    faults = []
    for part, one in zip(others, sources[1:], strict=True):
        joined.doubled += part.doubled
        for image, row in part.items():
            if differing := _merge(joined.setdefault(image, row), row):
                faults.append(f"{one.path}: {', '.join(differing)} of {image} differ from an earlier source's")
    if faults:
        raise RecordError(list_faults(faults))
    return joined


def _merge(earlier: Prediction, row: Prediction) -> list[str]:
    """Add to a row what another source says of its image; the fields of which it says something else."""
    makers = dict.fromkeys(one["made_by"] for one in (earlier, row) if "made_by" in one)
    differing = []
    for name, value in row.items():
        if earlier.get(name) is None:
            earlier[name] = value
        elif value not in (None, earlier[name]) and name not in ("image", "made_by"):
            differing.append(name)
    if makers:
        earlier["made_by"] = "; ".join(makers)
    return differing
