"""Rows of any layout -> a records file, and what to say about it: samples, exclusions, images checked and copied."""

import os
import random
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path, PurePath
from typing import Any

from tqdm import tqdm

from swift_zoomin.arguments import counted, first_few
from swift_zoomin.boxes import Size
from swift_zoomin.checked_images import CheckedImages
from swift_zoomin.convert.frames import upright_box
from swift_zoomin.convert.rows import WITHOUT_AREA, Notes, Row
from swift_zoomin.convert.training_images import BY_NAME, ORIGINAL, TrainingImages
from swift_zoomin.listing import shown
from swift_zoomin.outputs import make_folder, naming
from swift_zoomin.pictures import ImageError, stored_orientation
from swift_zoomin.records import RECORDS_SUFFIXES, RecordError, list_faults, write_records
from swift_zoomin.replies import VERDICTS, text_problem

MISSING, UNREADABLE, AGAIN = "missing", "unreadable", "named again"
UNWRITABLE_TEXT = "holding the tags of a reply"
_AT_ONCE = 256  # images looked at before it is asked whether there are enough
_LONGEST_STEM = 100  # file systems take names of 255 bytes


@dataclass(frozen=True)
class Asked:
    """What a conversion is asked for. `sample`: how many records, drawn by `seed`; None: all."""

    folder: Path
    sample: int | None = None
    seed: int = 0
    copy: bool = False
    training: TrainingImages | None = None


@dataclass(frozen=True)
class _Written:
    """A row that became a record."""

    record: dict[str, Any]
    boxes_lost: list[str]


def write(rows: Iterable[Row], notes: Notes, asked: Asked) -> list[str]:
    """Write `records.jsonl`, and with `copy` the images, into a folder; the lines to say about it.

    Nothing is written before all rows are read without a fault. Raises RecordError with all faults.
    """
    check_target(asked)
    listed = _each_file_once(rows, notes)
    if notes.faults:
        raise RecordError(list_faults(notes.faults))
    make_folder(asked.folder / "images" if asked.copy else asked.folder)
    records = _records(listed, drawing_order(len(listed), asked), notes, asked)
    if not records:
        raise RecordError("\n".join([f"none of {counted(len(listed), 'image')} can be used", *_left_out(notes)]))
    path = asked.folder / "records.jsonl"
    with naming(path):
        write_records(path, records)
    return [*_summary(records, asked), *_left_out(notes)]


def check_target(asked: Asked) -> None:
    """Raises RecordError where a data set lies in the folder already."""
    in_the_way = [path for path in asked.folder.glob("*") if path.suffix in RECORDS_SUFFIXES]
    if asked.copy:
        in_the_way += list((asked.folder / "images").glob("*"))[:1]
    if in_the_way:
        advice = "choose another folder, or empty this one where an earlier convert was stopped"
        raise RecordError(f"{asked.folder}: holds records or their images already; {advice} ({in_the_way[0]})")


def _each_file_once(rows: Iterable[Row], notes: Notes) -> list[Row]:
    """The rows but those whose file an earlier row has: real images that several generators' folders link to."""
    first: dict[str, Row] = {}
    for row in rows:
        earlier = first.setdefault(os.path.realpath(row.path), row)
        if earlier.label != row.label:
            notes.faults.append(f"{row.original}: {row.label}; {earlier.original}, the same file, is {earlier.label}")
        elif earlier is not row:
            notes.leave_out(AGAIN, row.original)
    return list(first.values())


def drawing_order(number: int, asked: Asked) -> list[int]:
    """In which order that many images are taken until there are enough: as they come, or at random for a sample."""
    order = list(range(number))
    if asked.sample is not None:
        random.Random(asked.seed).shuffle(order)
    return order


def _records(rows: Sequence[Row], order: Sequence[int], notes: Notes, asked: Asked) -> list[dict[str, Any]]:
    """Records of the first rows in `order` that can be used, as many as are asked for, in the order of `rows`."""
    wanted = len(order) if asked.sample is None else asked.sample
    found: dict[int, _Written] = {}
    names = _Names(asked)
    images = CheckedImages(asked.folder / "records.jsonl")
    progress = tqdm(total=min(wanted, len(order)), desc="converting", disable=len(order) < 1000)
    rest = iter(order)
    convert = partial(_convert, images, asked)
    with ThreadPoolExecutor() as pool, progress:
        try:
            while batch := list(islice(rest, min(_AT_ONCE, wanted - len(found)))):
                of_batch = [rows[index] for index in batch]
                results = list(pool.map(convert, of_batch, map(names.of, of_batch)))
                _exclude(results, asked)
                for index, result in zip(batch, results, strict=True):
                    if isinstance(result, str):
                        notes.leave_out(result, rows[index].original)
                    else:
                        found[index] = result
                        progress.update()
        finally:
            images.remember()
    in_order = [found[index] for index in sorted(found)]
    for written in in_order:
        for label in written.boxes_lost:
            notes.leave_out(WITHOUT_AREA, label)
    return [written.record for written in in_order]


def _convert(images: CheckedImages, asked: Asked, row: Row, name: str) -> _Written | str:
    """The record of a row under this name, or why there is none."""
    if any(map(text_problem, (row.explanation, *row.box_labels))):
        return UNWRITABLE_TEXT
    if not os.path.isfile(row.path):
        return MISSING
    if not os.access(row.path, os.R_OK):
        return UNREADABLE
    if asked.training and asked.training.has_name(row.original):
        return BY_NAME
    target = asked.folder / name
    if asked.copy:
        with naming(target):
            shutil.copyfile(row.path, target)
    try:
        size = images.refer(name, target).size
        orientation = stored_orientation(target) if row.boxes_stored else 1
    except ImageError:
        if asked.copy:
            target.unlink()
        return UNREADABLE
    return _written(row, name, size, orientation)


def _exclude(results: list[_Written | str], asked: Asked) -> None:
    """Put the reason in the place of each record whose image is a training image, and remove its copy."""
    if asked.training is None:
        return
    paths = {
        place: asked.folder / result.record["image"]
        for place, result in enumerate(results)
        if isinstance(result, _Written)
    }
    for (place, path), reason in zip(paths.items(), asked.training.find(list(paths.values())), strict=True):
        if reason:
            results[place] = reason
            if asked.copy:
                path.unlink()


def _written(row: Row, name: str, size: Size, orientation: int) -> _Written:
    record: dict[str, Any] = {"image": name, "label": row.label}
    if row.explanation:
        record["explanation"] = row.explanation
    lost = []
    if row.boxes_stored is not None:
        record["boxes"], record["box_labels"] = [], []
        for box_stored, label in zip(row.boxes_stored, row.box_labels, strict=True):
            box = [round(number, 2) for number in upright_box(box_stored, size, orientation)]
            if box[0] < box[2] and box[1] < box[3]:
                record["boxes"].append(box)
                record["box_labels"].append(label)
            else:
                lost.append(label)
    further = {"source": _as_text(row.source), ORIGINAL: _as_text(row.original), **row.extra}
    return _Written({**record, **further}, lost)


def _as_text(name: str) -> str:
    """A file's name, whose bytes may be no UTF-8, as text that a column can hold."""
    return os.fsencode(name).decode(errors="backslashreplace")


class _Names:
    """Names of images in records: a copy's, each only once whatever folder it comes from, or the path that leads there.

    A copy keeps its stem, by which it can be recognised, in letters that every file system takes.
    """

    def __init__(self, asked: Asked) -> None:
        self._copies = asked.copy
        self._folder = os.path.realpath(asked.folder)
        self._taken: Counter[str] = Counter()

    def of(self, row: Row) -> str:
        if not self._copies:
            return os.path.relpath(os.path.abspath(row.path), self._folder)
        file = PurePath(row.path)
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", file.stem)[:_LONGEST_STEM].lstrip(".") or "image"
        suffix = re.sub(r"[^a-z0-9.]", "", file.suffix.lower())
        name = f"{stem}{suffix}"
        while self._taken[name.lower()]:  # some file systems do not tell A from a
            self._taken[name.lower()] += 1
            name = f"{stem}-{self._taken[name.lower()]}{suffix}"
        self._taken[name.lower()] += 1
        return f"images/{name}"


def _summary(records: Sequence[dict[str, Any]], asked: Asked) -> Iterator[str]:
    by_label = Counter(record["label"] for record in records)
    labels = ", ".join(f"{by_label[label]} {label}" for label in VERDICTS)
    boxes = sum(len(record.get("boxes", [])) for record in records)
    held = f"{labels}, {counted(boxes, 'box', 'boxes')}"
    yield f"wrote {counted(len(records), 'record')} ({held}) to {asked.folder / 'records.jsonl'}"
    if asked.sample is not None and len(records) < asked.sample:
        yield f"{asked.sample} were asked for; there are no more"
    if len(by_label) == 1:
        (label,) = by_label
        yield f"all {label}: accuracy is recall, and who always says {label} scores 1.0"


def _left_out(notes: Notes) -> Iterator[str]:
    for reason, names in notes.left_out.items():
        yield f"left out as {reason}: {len(names)} ({first_few(names, shown)})"
