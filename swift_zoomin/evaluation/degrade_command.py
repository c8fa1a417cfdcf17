"""The command `zoomin degrade`."""

import argparse
import json
import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import PIL
from tqdm import tqdm

from swift_zoomin import __version__, arguments
from swift_zoomin.arguments import counted
from swift_zoomin.boxes import box_area
from swift_zoomin.evaluation.degradations import (
    BLUR_RADIUS_PX,
    CROPPED_SHARE,
    LEAST_LEFT,
    NOISE_LEVELS,
    Picture,
    Region,
    Step,
    degrade,
    parse_chain,
)
from swift_zoomin.outputs import make_folder, naming, write_output
from swift_zoomin.pictures import open_upright
from swift_zoomin.records import RECORDS_SUFFIXES, Record, RecordError, json_line, stream_records, write_records

_HELP = f"""\
degrade the images of a records file, and carry their boxes along

  jpegQ, webpQ  saved with quality Q (1 to 100) and opened again
  crop          {CROPPED_SHARE:.0%} of the width and of the height, at a random place
  half          half the width and half the height
  blur          Gaussian, {BLUR_RADIUS_PX:g} pixel
  noise         Gaussian, {NOISE_LEVELS:g} of 255 levels
  screenshot    shown at half to full size, drawn at random

Chains as half+jpeg30 do one after the other. The paper's Table 3 has jpeg80, jpeg30, crop and half. All images are
stored as PNG without metadata, also after a codec, so that no file tells its label; what the codec did stays in the
pixels. Boxes are cut at the edges of a crop; one of which less than {LEAST_LEFT:.0%} is left is left out.
"""
_FILES = ("records.jsonl", "degrade.json")
_MOST_SEED = 2**32
_AHEAD = 64  # images given to the threads before the first of them is waited for


class _Asked(NamedTuple):
    folder: Path
    steps: Sequence[Step]
    seed: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = _HELP
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("records", type=arguments.path)
    parser.add_argument("--out", required=True, type=arguments.path, help="where records.jsonl and images/ are written")
    parser.add_argument("--as", required=True, dest="steps", type=_chain, metavar="STEP[+STEP...]", help="see above")
    parser.add_argument("--seed", type=_seed, default=0, help="of what is drawn at random, for each image (0)")


def _chain(value: str) -> list[Step]:
    try:
        return parse_chain(value)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _seed(value: str) -> int:
    return 0 if value.strip() == "0" else arguments.count(value, _MOST_SEED)


def run(options: argparse.Namespace) -> int:
    asked = _Asked(options.out, options.steps, options.seed)
    _check_target(options.out)
    number = _check_records(options.records)
    make_folder(options.out / "images")
    dropped: list[int] = []
    rows = _degraded_rows(options.records, number, asked, dropped)
    with naming(options.out / "records.jsonl"):
        write_records(options.out / "records.jsonl", rows)
    chain = "+".join(step.name for step in options.steps)
    made_by = {"as": chain, "seed": options.seed, "records": str(options.records)}
    made_by |= {"swift_zoomin": __version__, "pillow": PIL.__version__}
    write_output(options.out / "degrade.json", json.dumps(made_by, indent=1) + "\n")
    print(*_summary(number, sum(dropped), chain, asked), sep="\n")
    return 0


def _summary(number: int, dropped: int, chain: str, asked: _Asked) -> Iterator[str]:
    yield f"wrote {counted(number, 'record')} to {asked.folder / 'records.jsonl'}: {chain}, seed {asked.seed}"
    if dropped:
        yield f"{counted(dropped, 'box', 'boxes')} left out: cut to less than {LEAST_LEFT:.0%}, or too thin to be seen"
    if asked.steps[-1].is_codec:
        yield f"stored as PNG: what {asked.steps[-1].name} did stays in the pixels, and no file's codec tells its label"


def _check_target(folder: Path) -> None:
    """Raises RecordError where degrading would overwrite a data set."""
    in_the_way = [path for path in folder.glob("*") if path.suffix in RECORDS_SUFFIXES or path.name in _FILES]
    in_the_way += list((folder / "images").glob("*"))[:1]
    if in_the_way:
        advice = "choose another folder, or empty this one where an earlier degrade was stopped"
        raise RecordError(f"{folder}: holds records or their images already; {advice} ({in_the_way[0]})")


def _check_records(path: Path) -> int:
    """How many records there are, which are looked at before anything is written. Raises RecordError."""
    number = 0
    for record, _ in stream_records(path, decode=False):
        number += 1
        try:
            json_line(record.extra)
        except TypeError as error:
            raise RecordError(f"{record.where}: cannot stand in records.jsonl ({error}); remove that field") from None
    return number


def _degraded_rows(path: Path, number: int, asked: _Asked, dropped: list[int]) -> Iterator[dict[str, Any]]:
    """The rows in the order of the records, whose images are written meanwhile; adds how many boxes each has lost."""
    waiting: deque[Future[tuple[dict[str, Any], int]]] = deque()
    with ThreadPoolExecutor(os.cpu_count()) as pool, tqdm(total=number, desc="degrading") as progress:

        def finished() -> dict[str, Any]:
            row, lost = waiting.popleft().result()
            dropped.append(lost)
            progress.update()
            return row

        for index, (record, _) in enumerate(stream_records(path, decode=False)):
            waiting.append(pool.submit(_write_degraded, record, index, asked))
            if len(waiting) == _AHEAD:
                yield finished()
        while waiting:
            yield finished()


def _write_degraded(record: Record, index: int, asked: _Asked) -> tuple[dict[str, Any], int]:
    """Write a record's image; its row, and how many of its boxes are left out."""
    name = f"images/{index:06d}.png"
    boxes_px = record.boxes_px or []
    regions = [Region(box, label) for box, label in zip(boxes_px, record.box_labels, strict=True)]
    picture = Picture(open_upright(record.image.path), regions)
    after = degrade(picture, asked.steps, f"{asked.seed} {record.name}")
    with naming(asked.folder / name):
        after.image.save(asked.folder / name)
    row = {**record.extra, "image": name, "label": record.label, "explanation": record.explanation}
    if record.boxes_px is None:
        return row, 0
    row["boxes"], row["box_labels"] = [], []
    for box, label in after.regions:
        rounded = [round(number, 2) for number in box]
        if box_area(rounded):  # thinner than a hundredth of a pixel, it would be no box
            row["boxes"].append(rounded)
            row["box_labels"].append(label)
    return row, len(boxes_px) - len(row["boxes"])
