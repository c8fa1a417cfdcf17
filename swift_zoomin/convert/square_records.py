"""The command `zoomin convert square`: records of images of any size -> records of squares, as the paper trains on."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

from tqdm import tqdm

from swift_zoomin import arguments
from swift_zoomin.arguments import counted
from swift_zoomin.convert.square import square
from swift_zoomin.convert.training_images import ORIGINAL
from swift_zoomin.decisions import without_rejected
from swift_zoomin.outputs import make_folder, naming
from swift_zoomin.pictures import open_upright
from swift_zoomin.records import RECORDS_SUFFIXES, Record, RecordError, read_records, write_records

ABOUT = "centre-crop and resize the images of a records file, as the paper does for training"
_MOST_SIDE_PX = 10_000  # a square of 100 megapixels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("records", type=arguments.path)
    parser.add_argument("folder", type=arguments.path, help="where records.jsonl and images/ are written")
    parser.add_argument("--side-px", type=_side_px, default=512, help="side of the square images in pixels")


def _side_px(value: str) -> int:
    return arguments.count(value, _MOST_SIDE_PX)


def run(options: argparse.Namespace) -> int:
    records, left_out = without_rejected(read_records(options.records), options.records)
    _check_target(Path(os.path.realpath(options.folder)), records)
    make_folder(options.folder / "images")
    rows, lost = [], 0
    for number, record in enumerate(tqdm(records, "converting")):
        row, boxes_lost = _convert(record, options.folder, f"images/{_converted_name(number)}", options.side_px)
        rows.append(row)
        lost += boxes_lost
    write_records(options.folder / "records.jsonl", rows)
    written = f"wrote {counted(len(rows), 'record')} to {options.folder / 'records.jsonl'}"
    if lost:
        written += f"; {counted(lost, 'box', 'boxes')} left out: outside the square, or too small to be seen in it"
    if left_out:
        written += f"; {left_out}"
    print(written)
    return 0


def _convert(record: Record, folder: Path, name: str, side_px: int) -> tuple[dict[str, Any], int]:
    """Write a record's image as a square; its row, and how many of its boxes are left out."""
    image, boxes = square(open_upright(record.image.path), record.boxes_px or [], side_px)
    with naming(folder / name):
        image.save(folder / name)
    row = {ORIGINAL: record.name, **record.extra, "image": name, "label": record.label}
    row["explanation"] = record.explanation
    if record.boxes_px is None:
        return row, 0
    row["boxes"], row["box_labels"] = [], []
    for box, label in zip(boxes, record.box_labels, strict=True):
        x1, y1, x2, y2 = (round(number, 2) for number in box)
        if x1 < x2 and y1 < y2:
            row["boxes"].append([x1, y1, x2, y2])
            row["box_labels"].append(label)
    return row, len(boxes) - len(row["boxes"])


def _converted_name(number: int) -> str:
    return f"{number:06d}.png"  # one lossless format for both classes: no codec tells them apart


def _check_target(folder: Path, records: list[Record]) -> None:
    """Raises RecordError where converting would overwrite a data set, or could not write what it has read."""
    images = Path(os.path.realpath(folder / "images"))  # the folder may hold a link to images elsewhere
    written = [images / _converted_name(number) for number in range(len(records))]
    in_the_way = [path for path in folder.glob("*") if path.suffix in RECORDS_SUFFIXES]
    in_the_way += [path for path in written if os.path.lexists(path)]  # a link would be written through
    in_the_way += [Path(record.image.path) for record in records if images in Path(record.image.path).resolve().parents]
    if in_the_way:
        advice = "choose another folder, or empty this one where an earlier convert was stopped"
        raise RecordError(f"{folder}: holds records or their images already; {advice} ({in_the_way[0]})")
    for record in records:
        for name, value in record.extra.items():
            try:
                json.dumps(value)
            except TypeError as error:
                raise RecordError(f"{record.name}: {name} cannot stand in records.jsonl ({error}); remove it") from None
