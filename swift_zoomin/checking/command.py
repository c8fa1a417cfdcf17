"""What `zoomin check` says of records that have no fault: what they hold, and what is probably not meant.

    4 records: 2 real, 2 generated, 1 box; no fault, 1 warning
    boxes: 25.0% of records have one, 0.25 a record (the paper: 99.5%, 3.24)
    files: 2 real and 2 generated images are too few to tell whether they give labels away (50 of each are enough)
    warning: 1 image has both labels: images/a.png (records.jsonl:1, records.jsonl:3)

Several files are those of one run: what is repeated or skewed over all of them counts.

A warning stops nothing. Each is one line that counts what it is about and names the first. Records are read one after
the other, and of each some 400 bytes are kept; what gives labels away is measured on a sample of them (`sample`).
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from swift_zoomin import arguments
from swift_zoomin.arguments import counted
from swift_zoomin.checking import gate
from swift_zoomin.checking.annotations import (
    ImagesElsewhere,
    LargeBoxes,
    NamedLabels,
    RenamedFields,
    RepeatedExplanations,
    ScaledBoxes,
    Warner,
    Watch,
)
from swift_zoomin.checking.copies import Copies
from swift_zoomin.checking.file_traces import traces_of
from swift_zoomin.checking.gate import Gate
from swift_zoomin.checking.places import Places
from swift_zoomin.checking.sample import MOST, Sample
from swift_zoomin.near_duplicates import Fingerprint, fingerprint
from swift_zoomin.records import RECORDS_SUFFIXES, Record, RecordError, stream_records
from swift_zoomin.replies import VERDICTS
from swift_zoomin.sampling import draw_balanced
from swift_zoomin.shortcuts import IMAGE_SIZE, find_shortcuts

_GATE_CLOSED = 2  # exit status
_PAPER_BOXED, _PAPER_BOXES = 0.995, 3.24  # of MagniFake: section 4.1 of the ZoomIn paper


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "status: 0; with --strict 2 where files give labels away, but not where they are too few to tell; 1 one line "
        "a fault"
    )
    parser.add_argument("records", nargs="+", type=arguments.path, help="the files of one run")
    strict = "end with status 2 where codec, size, metadata or names of files give labels away"
    parser.add_argument("--strict", action="store_true", help=strict)
    only = "decode no image, and say only in one line what files give away; of many, the heads of a sample are read"
    parser.add_argument("--gate", action="store_true", help=only)


def run(options: argparse.Namespace) -> int:
    if options.gate:
        found = _measure(_drawn(options.records))
        print(_printable(found.summary))
    else:
        lines, found = survey(options.records)
        print(*lines, sep="\n")
    return _GATE_CLOSED if options.strict and found.is_closed else 0


def survey(paths: Sequence[Path]) -> tuple[list[str], Gate]:
    """The lines about the records files of one run, taken together; every image is decoded. Raises RecordError."""
    places, copies, sample, held = Places(), Copies(), Sample(), Held()
    scaled: list[ScaledBoxes] = []
    elsewhere: list[ImagesElsewhere] = []
    of_all: list[Watch] = [RenamedFields(), LargeBoxes(), RepeatedExplanations(), NamedLabels()]
    for path, records in _each_file(paths):
        places.open(path)
        scaled.append(ScaledBoxes())
        elsewhere.append(ImagesElsewhere(path))
        for record, print_ in records:
            places.add(record)
            held.add(record)
            copies.add(record, print_)
            sample.add(_without_texts(record))
            watches: list[Watch] = [scaled[-1], elsewhere[-1], *of_all]
            for watch in watches:
                watch.add(record)
    found = _measure(sample)
    warnings: list[str] = []
    watched: list[Warner] = [*scaled, copies, *elsewhere, *of_all]
    for warner in watched:
        warnings += warner.warnings(places)
    warnings += gate.describe(found)
    warnings += map(str, find_shortcuts(sample.records(), without=(IMAGE_SIZE,)))  # the gate has measured sizes
    warnings += _names_for_training(paths)
    ending = f"no fault, {counted(len(warnings), 'warning')}" if warnings else "no fault"
    lines = [f"{held.summary}; {ending}", held.boxes, found.summary]
    return [_printable(line) for line in [*lines, *(f"warning: {warning}" for warning in warnings)]], found


class Held:
    """How many records, and boxes, there are."""

    def __init__(self) -> None:
        self._labels: Counter[str] = Counter()
        self._boxes = self._boxed = 0

    def add(self, record: Record) -> None:
        self._labels[record.label] += 1
        self._boxes += len(record.boxes_px or [])
        self._boxed += bool(record.boxes_px)

    @property
    def summary(self) -> str:
        labels = ", ".join(f"{self._labels[label]} {label}" for label in VERDICTS)
        return f"{counted(self._labels.total(), 'record')}: {labels}, {counted(self._boxes, 'box', 'boxes')}"

    @property
    def boxes(self) -> str:
        records = self._labels.total()
        ours = f"{self._boxed / records:.1%} of records have one, {self._boxes / records:.2f} a record"
        return f"boxes: {ours} (the paper: {_PAPER_BOXED:.1%}, {_PAPER_BOXES:.2f})"


def _drawn(paths: Sequence[Path]) -> Sample:
    """A sample of the records of all files; only those drawn are checked. Raises RecordError."""
    sample = Sample()
    for path in paths:
        drawn = draw_balanced(path, 2 * MOST)
        sample.add_drawn(drawn.records, drawn.total)
    return sample


def _each_file(paths: Sequence[Path]) -> Iterator[tuple[Path, Iterator[tuple[Record, Fingerprint]]]]:
    """Each file with its records, which are to be taken before the next one, and their images' fingerprints.

    Raises RecordError with all files' faults.
    """
    faults: list[str] = []

    def records(path: Path) -> Iterator[tuple[Record, Fingerprint]]:
        try:
            yield from stream_records(path, afresh=True, look=fingerprint)
        except RecordError as error:
            faults.append(str(error))

    for path in paths:
        yield path, records(path)
    if faults:
        raise RecordError("\n".join(faults))


def _without_texts(record: Record) -> Record:
    """What is measured of a record: the sample is kept until the end."""
    return replace(record, explanation="", extra={})


def _measure(sample: Sample) -> Gate:
    drawn = sample.records()
    return gate.measure([traces_of(record) for record in drawn], [record.label for record in drawn], sample.of)


def _names_for_training(paths: Sequence[Path]) -> Iterator[str]:
    for path in paths:
        if path.suffix not in RECORDS_SUFFIXES:
            expected = " or ".join(RECORDS_SUFFIXES)
            yield f"training finds records by the end of the file's name: expected {expected} ({path})"


def _printable(line: str) -> str:
    """The line, with what cannot be printed escaped: a file's name may hold line breaks, or bytes that are no text."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in line)
