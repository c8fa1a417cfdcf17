"""The command `zoomin convert`."""

import argparse
import json
import os
from pathlib import Path

from tqdm import tqdm

from swift_zoomin import arguments
from swift_zoomin.arguments import counted
from swift_zoomin.convert.square import square
from swift_zoomin.outputs import make_folder, naming
from swift_zoomin.pictures import open_upright
from swift_zoomin.records import RECORDS_SUFFIXES, Record, RecordError, read_records, write_records

_MOST_SIDE_PX = 10_000  # a square of 100 megapixels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("records", type=arguments.path)
    parser.add_argument("folder", type=arguments.path, help="where records.jsonl and images/ are written")
    parser.add_argument("--side-px", type=_side_px, default=512, help="side of the square images in pixels")


def _side_px(given: str) -> int:
    return arguments.count(given, _MOST_SIDE_PX)


def run(options: argparse.Namespace) -> int:
    rows, lost = [], 0
    records = read_records(options.records)
    _check_target(Path(os.path.realpath(options.folder)), records)
    make_folder(options.folder / "images")
    for number, record in enumerate(tqdm(records, "converting")):
        image, boxes = square(open_upright(record.image.path), record.boxes_px or [], options.side_px)
        boxes = [[round(number, 2) for number in box] for box in boxes]
        inside = [at for at, box in enumerate(boxes) if box[0] < box[2] and box[1] < box[3]]
        name = f"images/{_converted_name(number)}"
        with naming(options.folder / name):
            image.save(options.folder / name)
        row = {**record.extra, "image": name, "label": record.label, "explanation": record.explanation}
        if record.boxes_px is not None:
            row["boxes"] = [boxes[at] for at in inside]
            row["box_labels"] = [record.box_labels[at] for at in inside]
        lost += len(boxes) - len(inside)
        rows.append(row)
    write_records(options.folder / "records.jsonl", rows)
    left_out = f"; {counted(lost, 'box', 'boxes')} left out: outside the square, or too small to be seen in it"
    written = f"{counted(len(rows), 'record')} to {options.folder / 'records.jsonl'}"
    print(f"wrote {written}{left_out if lost else ''}")
    return 0


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
