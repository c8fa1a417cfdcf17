"""What `zoomin check` says of records that have no fault: what they hold, and what is probably not meant.

    4 records: 2 real, 2 generated, 1 box; no fault, 1 warning
    warning: 1 image has both labels: images/a.png (records.jsonl:1, records.jsonl:3)

Several files are those of one run: what is repeated or skewed over all of them counts.

A warning stops nothing. Each is one line that counts what it is about and names the first.
"""

import argparse
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from swift_zoomin import arguments
from swift_zoomin.arguments import counted, first_few
from swift_zoomin.fields import column_name, is_reserved
from swift_zoomin.records import RECORDS_SUFFIXES, Record, RecordError, read_records
from swift_zoomin.replies import VERDICTS
from swift_zoomin.shortcuts import find_shortcuts


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("records", nargs="+", type=arguments.path, help="the files of one run")


def run(options: argparse.Namespace) -> int:
    print(*check(options.records), sep="\n")
    return 0


def check(paths: list[Path]) -> list[str]:
    """The lines about the records files of one run, taken together; every image is decoded. Raises RecordError."""
    by_file = _read_all(paths)
    records = [record for of_file in by_file.values() for record in of_file]
    by_label = Counter(record.label for record in records)
    labels = ", ".join(f"{by_label[label]} {label}" for label in VERDICTS)
    boxes = sum(len(record.boxes_px or []) for record in records)
    held = f"{labels}, {counted(boxes, 'box', 'boxes')}"
    found = f"{counted(len(records), 'record')}: {held}"
    warnings = [_printable(f"warning: {warning}") for warning in _warnings(records, by_file)]
    if not warnings:
        return [f"{found}; no fault"]
    return [f"{found}; no fault, {counted(len(warnings), 'warning')}", *warnings]


def _read_all(paths: list[Path]) -> dict[Path, list[Record]]:
    by_file, faults = {}, []
    for path in paths:
        try:
            by_file[path] = read_records(path, afresh=True)
        except RecordError as error:
            faults.append(str(error))
    if faults:
        raise RecordError("\n".join(faults))
    return by_file


def _warnings(records: list[Record], by_file: dict[Path, list[Record]]) -> Iterator[str]:
    for of_file in by_file.values():
        yield from _scaled_boxes(of_file)
    yield from _repeated_images(records)
    for path, of_file in by_file.items():
        yield from _images_elsewhere(of_file, path)
    yield from _renamed_fields(records)
    yield from map(str, find_shortcuts(records))
    for path in by_file:
        yield from _name_for_training(path)


def _scaled_boxes(records: list[Record]) -> Iterator[str]:
    boxed = [record for record in records if record.boxes_px]
    boxes = [box for record in boxed for box in record.boxes_px or []]
    if not boxes or any(number > 1 for box in boxes for number in box):
        return
    first = boxes[0]
    width, height = boxed[0].image.size
    in_pixels = [first[0] * width, first[1] * height, first[2] * width, first[3] * height]
    would_be = f"{first} would be {[round(number, 1) for number in in_pixels]} in its {width}x{height} image"
    yield (
        f"no box exceeds 1 ({counted(len(boxes), 'box', 'boxes')}), so they are probably shares of the image; "
        f"expected pixels: {would_be} ({_places(boxed)})"
    )


def _repeated_images(records: list[Record]) -> Iterator[str]:
    by_file: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        by_file[os.path.realpath(record.image.path)].append(record)
    contradicted, again = [], []
    for group in by_file.values():
        if len({record.label for record in group}) > 1:
            contradicted.append(group)
        elif len(group) > 1:
            again.append(group)
    if contradicted:
        verb = "has" if len(contradicted) == 1 else "have"
        yield f"{counted(len(contradicted), 'image')} {verb} both labels: {_groups(contradicted)}"
    if again:
        verb = "stands" if len(again) == 1 else "stand"
        yield f"{counted(len(again), 'image')} {verb} in several records: {_groups(again)}"


def _images_elsewhere(records: list[Record], path: Path) -> Iterator[str]:
    """A data set that somebody else made may so name any file of this machine."""
    home = Path(os.path.realpath(path.parent))

    def is_elsewhere(record: Record) -> bool:
        return os.path.isabs(record.name) or home not in Path(os.path.realpath(home / record.name)).parents

    elsewhere = [record for record in records if is_elsewhere(record)]
    if elsewhere:
        verb = "is" if len(elsewhere) == 1 else "are"
        yield (
            f"{counted(len(elsewhere), 'image')} {verb} named by an absolute path or outside the file's folder: "
            f"{elsewhere[0].name} ({_places(elsewhere)})"
        )


def _renamed_fields(records: list[Record]) -> Iterator[str]:
    by_field: dict[str, list[Record]] = defaultdict(list)
    for record in records:
        for name in filter(is_reserved, record.extra):
            by_field[name].append(record)
    for name, holders in by_field.items():
        yield (
            f"{name} is a name of ms-swift's own: in training the column of this field is {column_name(name)} "
            f"({counted(len(holders), 'record')}: {_places(holders)})"
        )


def _name_for_training(path: Path) -> Iterator[str]:
    if path.suffix not in RECORDS_SUFFIXES:
        yield f"training finds records by the end of the file's name: expected {' or '.join(RECORDS_SUFFIXES)} ({path})"


def _printable(line: str) -> str:
    """The line, with what cannot be printed escaped: a file's name may hold line breaks, or bytes that are no text."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in line)


def _groups(groups: list[list[Record]]) -> str:
    """The first of several images, each with the records that hold it."""
    return first_few(groups, lambda group: f"{group[0].name} ({_places(group)})")


def _places(records: Sequence[Record]) -> str:
    return first_few(records, lambda record: record.where)
