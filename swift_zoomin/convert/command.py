"""The command `zoomin convert`: published data sets to records, and records to squares."""

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from swift_zoomin import arguments
from swift_zoomin.convert import (
    coco,
    fakevlm,
    folders,
    genimage,
    mllm_defake,
    mmfr,
    square_records,
    synthscars,
)
from swift_zoomin.convert.rows import Notes, Row
from swift_zoomin.convert.training_images import TrainingImages
from swift_zoomin.convert.writing import Asked, check_target, write
from swift_zoomin.records import RecordError


class Layout(Protocol):
    """A module that reads one layout: what it is in a few words, the splits that it has, and its rows."""

    @property
    def ABOUT(self) -> str: ...  # noqa: N802 (a constant of the module)

    @property
    def SPLITS(self) -> tuple[str, ...]: ...  # noqa: N802

    def read_rows(self, source: Path, split: str | None, notes: Notes) -> Iterator[Row]: ...


LAYOUTS: dict[str, Layout] = {
    "genimage": genimage,
    "mmfr": mmfr,
    "synthscars": synthscars,
    "fakevlm": fakevlm,
    "mllm-defake": mllm_defake,
    "coco": coco,
    "folders": folders,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(required=True, metavar="KIND", dest="kind")
    squares = kinds.add_parser("square", help=square_records.ABOUT, description=square_records.ABOUT)
    square_records.add_arguments(squares)
    for name, layout in LAYOUTS.items():
        command = kinds.add_parser(name, help=layout.ABOUT, description=f"{layout.ABOUT}, to records.")
        command.add_argument("source", type=arguments.path, help="the folder of the data set")
        command.add_argument("--out", type=arguments.path, required=True, help="where records.jsonl is written")
        if layout.SPLITS:
            command.add_argument("--split", choices=layout.SPLITS, help="only this one; default: all that are there")
        _add_shared(command)


def _add_shared(command: argparse.ArgumentParser) -> None:
    command.add_argument("--sample", type=arguments.count, help="so many records, drawn uniformly; default: all")
    command.add_argument("--seed", type=int, default=0, help="of --sample")
    command.add_argument(
        "--exclude",
        nargs="+",
        type=arguments.path,
        metavar="RECORDS",
        default=[],
        help="leave out what a model was trained on: images of these records files, by file name, bytes or looks",
    )
    command.add_argument(
        "--copy",
        action="store_true",
        help="copy the images into images/ of --out; default: refer to them where they are",
    )


def run(options: argparse.Namespace) -> int:
    if options.kind == "square":
        return square_records.run(options)
    layout, notes = LAYOUTS[options.kind], Notes()
    _check_source(options.source, options.kind)
    check_target(Asked(options.out, copy=options.copy))  # before the training images are read, which takes a while
    training = TrainingImages(options.exclude) if options.exclude else None
    asked = Asked(options.out, options.sample, options.seed, options.copy, training)
    split = getattr(options, "split", None)
    rows = list(layout.read_rows(options.source, split, notes))
    if not rows and not notes.faults:
        of_split = f" of split {split}" if split else ""
        raise RecordError(f"{options.source}: no image{of_split} found; expected {layout.ABOUT}")
    print(*write(rows, notes, asked), sep="\n")
    return 0


def _check_source(source: Path, kind: str) -> None:
    """Raises RecordError for a source that is not there, or that is a file where it has to be a folder."""
    if not source.exists():
        raise RecordError(f"{source}: no such folder")
    if not source.is_dir() and kind != "mllm-defake":
        raise RecordError(f"{source}: a file; expected the folder of the data set")
