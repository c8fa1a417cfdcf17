"""The images to annotate, each with its label: one for all, one from the folders they lie in, or a table of labels.

    image,label,source,group
    images/000017.png,generated,gpt-image-1,17

A table is CSV (with `,`, `;` or tabs) or, in a file that ends in .jsonl or .ndjson, JSON Lines. Paths in it are
relative to it. Further columns become fields of the record: text in CSV, where an empty cell means none. Only
`explanation`, `boxes` and `box_labels` are not taken over, because annotation makes them anew.
A table may have rows for images elsewhere, so that one table serves a whole collection; an image without a row stops
the run, as does a row for an image that ought to be there and is not.

Images are listed twice: first by name alone, so that every fault is said before anything is asked of a model, and
again while they are annotated. No list of them is kept; a table of labels is, in memory, at about 1 kB a row.
"""

import csv
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from swift_zoomin.fields import field_faults, further_fields
from swift_zoomin.files import plain_path
from swift_zoomin.folder_labels import nearest_label_folder
from swift_zoomin.listing import Listing, shown, walk_images
from swift_zoomin.records import RECORDS_SUFFIXES, RecordError, json_rows, list_faults, read_records
from swift_zoomin.replies import GENERATED, REAL, VERDICTS

FOLDER = "FOLDER"  # the word that takes labels from folders
_JSON_LINES = (".jsonl", ".ndjson")
_DELIMITERS = ",;\t"
_EXPECTED = f'expected "{REAL}" or "{GENERATED}"'


@dataclass(frozen=True)
class LabelledImage:
    """One image to annotate: its plain absolute path, its label, and further fields of its record."""

    path: Path
    label: str
    extra: dict[str, Any] = field(default_factory=dict)


class LabelledImages(Iterator[LabelledImage]):
    """The images one after the other. `count`: how many there are; `listing.left_out`: what is none, and why."""

    def __init__(self, sources: Sequence[Path], labels: "_Labels", besides: Path | None = None) -> None:
        self.count, self.listing = 0, Listing()
        faults = []
        for path in _besides(besides, walk_images(sources, self.listing.left_out)):
            self.count += 1
            found = labels.of(path)
            if isinstance(found, str):
                faults.append(f"{shown(str(path))}: {found}")
        faults += labels.left_over(self.listing)
        faults += _contradicted(sources, labels)
        if faults:
            raise RecordError(list_faults(faults))
        self._images = _labelled(_besides(besides, walk_images(sources, {})), labels)

    def __next__(self) -> LabelledImage:
        return next(self._images)


def _besides(left_out: Path | None, paths: Iterable[Path]) -> Iterator[Path]:
    return (path for path in paths if path != left_out)


def labelled_images(
    sources: Sequence[Path], label: str | None, labels_file: Path | None, besides: Path | None = None
) -> LabelledImages:
    """The images of files, folders and records files, each once, with their labels.

    `label` is real or generated for all of them, or the word FOLDER; with None, labels stand in `labels_file`.
    Raises RecordError with all images that have no label or, in a records file, another one, and all faults of the
    table; or where a source is not there, which is more likely mistyped than meant to be rejected.
    """
    absent = [f"{source}: no such file or folder" for source in sources if not os.path.lexists(source)]
    if absent:
        raise RecordError(list_faults(absent))
    if labels_file is not None:
        return LabelledImages(sources, _Table(labels_file, sources), besides)
    if label == FOLDER:
        return LabelledImages(sources, _FolderNames(sources), besides)
    if label not in VERDICTS:
        raise RecordError(f"label {json.dumps(label)}; {_EXPECTED}, or {FOLDER} to take labels from folders' names")
    return LabelledImages(sources, _OneForAll(label), besides)


class _Found(NamedTuple):
    label: str
    extra: dict[str, Any]


class _Labels(Protocol):
    """Where labels come from."""

    def of(self, path: Path) -> _Found | str:
        """The label of an image, or what keeps it from having one."""

    def left_over(self, listing: Listing) -> list[str]:
        """Faults that are known once all images were asked about."""


def _contradicted(sources: Sequence[Path], labels: _Labels) -> Iterator[str]:
    """Records among the sources whose own label is another one."""
    for source in sources:
        if os.path.isdir(source) or source.suffix not in RECORDS_SUFFIXES:
            continue
        for record in read_records(source, decode=False):
            found = labels.of(plain_path(record.image.path))
            if isinstance(found, _Found) and found.label != record.label:
                expected = f'expected "{found.label}", as given for this image'
                yield f'{record.where}: label "{record.label}"; {expected}; correct one of them'


def _labelled(paths: Iterable[Path], labels: _Labels) -> Iterator[LabelledImage]:
    for path in paths:
        found = labels.of(path)
        if isinstance(found, str):  # a file that came after the first pass
            raise RecordError(f"{shown(str(path))}: {found}")
        yield LabelledImage(path, found.label, dict(found.extra))


class _OneForAll:
    def __init__(self, label: str) -> None:
        self._label = label

    def of(self, path: Path) -> _Found | str:
        return _Found(self._label, {})

    def left_over(self, listing: Listing) -> list[str]:
        return []


class _FolderNames:
    """Labels from the names of folders, in either case: the named folder that is nearest to the image decides.

    So GenImage's `.../imagenet_ai_0419_sdv4/train/nature/x.png` is real, also where all of it lies in the folder `ai`
    of a user of that name. Folders of both kinds between the image and the folder that was given, that one included,
    are refused: `generated/nature/x.png` may be a generated picture of nature.
    """

    def __init__(self, sources: Sequence[Path]) -> None:
        self._given = {plain_path(source) if os.path.isdir(source) else plain_path(source).parent for source in sources}

    def of(self, path: Path) -> _Found | str:
        folders = path.parent.parts
        given = next((folder for folder in path.parents if folder in self._given), None)
        # A records file may name images outside the folder that it lies in: the nearest folder decides about them.
        first_index = len(given.parts) - 1 if given else len(folders)
        try:
            return _Found(nearest_label_folder(folders, first_index).label, {})
        except ValueError as error:
            return f"{error}; rename one, or give --labels"

    def left_over(self, listing: Listing) -> list[str]:
        return []


@dataclass
class _Row:
    """A row of a table: where it stands, the image as named there, and whether that was listed."""

    where: str
    name: str
    path: Path
    found: _Found
    is_listed: bool = False


class _Table:
    """Labels and further fields from a file. Raises RecordError with all its faults."""

    def __init__(self, file: Path, sources: Sequence[Path]) -> None:
        self._file = file
        self._folders = {Path(os.path.realpath(source)) for source in sources if os.path.isdir(source)}
        self._rows: dict[Path, _Row] = {}
        faults = []
        for where, value in _table_rows(file):
            row = _checked_row(where, value, file)
            if isinstance(row, _Row) and (earlier := self._rows.setdefault(_place(row.path), row)) is not row:
                row = f"{where}: image {row.name!r} stands in {earlier.where} already; expected one row an image"
            if isinstance(row, str):
                faults.append(row)
        faults += field_faults((row.where, row.found.extra) for row in self._rows.values())
        if faults:
            raise RecordError(list_faults(faults))

    def of(self, path: Path) -> _Found | str:
        row = self._rows.get(_place(path))
        if row is None:
            return f"no row in {self._file}; add one, or leave the image out"
        row.is_listed = True
        return row.found

    def left_over(self, listing: Listing) -> list[str]:
        """Rows for images that ought to have been among those listed: in a folder that was given, and not found."""
        faults = []
        for place, row in self._rows.items():
            if not row.is_listed and not self._folders.isdisjoint(place.parents):
                faults.append(f"{row.where}: image {row.name!r}; {_why_not_listed(row.path, listing)}")
        return faults


def _place(path: Path) -> Path:
    """A file's place, whichever links lead to its folder. Two links to one file are two images, as everywhere."""
    return Path(os.path.realpath(path.parent), path.name)


def _why_not_listed(path: Path, listing: Listing) -> str:
    if not os.path.lexists(path):
        return "no such file; correct the path, which is relative to the table, or remove the row"
    reasons = [listing.left_out[place] for place in (path, *path.parents) if place in listing.left_out]
    return f"not looked at: {reasons[0] if reasons else 'no file in the folders given'}; remove the row"


def _checked_row(where: str, value: Any, file: Path) -> _Row | str:
    """A row of a table, or its fault."""
    if isinstance(value, ValueError):
        return f"{where}: {value}"
    if not isinstance(value, dict):
        return f"{where}: {type(value).__name__}; expected a JSON object"
    name, label = value.get("image"), value.get("label")
    if not isinstance(name, str) or not name:
        return f"{where}: image {name!r}; expected a path relative to {file.name}"
    if label not in VERDICTS:
        return f"{where}: label {json.dumps(label, default=repr)}; {_EXPECTED}"
    extra = further_fields(value)
    for field_name, field_value in extra.items():
        if not _is_json(field_value):
            return f"{where}: {field_name} holds NaN or Infinity, which a records file cannot say; leave it out"
    return _Row(where, name, plain_path(file.parent / name), _Found(str(label), extra))


def _is_json(value: Any) -> bool:
    """Whether JSON can say a value; Python reads and writes NaN and Infinity too, which others do not read."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def _table_rows(file: Path) -> Iterator[tuple[str, Any]]:
    """The rows of a table, each with its `file:line`; a line that is none comes as a ValueError. Raises RecordError."""
    if file.suffix.lower() in _JSON_LINES:
        yield from json_rows(file)
        return
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            yield from _csv_rows(file, lines)
    except UnicodeDecodeError:
        raise RecordError(f"{file}: no text in UTF-8; expected CSV in UTF-8, or JSON Lines") from None
    except OSError as error:
        raise RecordError(f"{file}: cannot be read ({error.strerror})") from error


def _csv_rows(file: Path, lines: Iterable[str]) -> Iterator[tuple[str, Any]]:
    lines = iter(lines)
    header = next(lines, "")
    delimiter = max(_DELIMITERS, key=header.count)
    names = [name.strip() for name in next(csv.reader([header], delimiter=delimiter, skipinitialspace=True), [])]
    if not {"image", "label"} <= set(names) or len(set(names)) < len(names):
        raise RecordError(f"{file}:1: columns {', '.join(names)}; expected image, label and others, each with its name")
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True)
    try:
        for cells in reader:
            if cells:
                yield f"{file}:{1 + reader.line_num}", _csv_row(names, cells)
    except csv.Error as error:
        raise RecordError(f"{file}:{1 + reader.line_num}: {error}") from None


def _csv_row(names: list[str], cells: list[str]) -> dict[str, str] | ValueError:
    if len(cells) != len(names):
        return ValueError(f"{len(cells)} cells; expected {len(names)}, one for each column")
    stripped = (cell.strip() for cell in cells)
    return {name: cell for name, cell in zip(names, stripped, strict=True) if cell}
