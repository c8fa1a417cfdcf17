"""COCO (2014, 2017): photographs, as real images without explanations.

    annotations/instances_val2017.json    {"images": [{"id": 139, "file_name": "000000000139.jpg", ...}], ...}
    val2017/000000000139.jpg              or images/val2017/...

(https://cocodataset.org/#format-data). Only the names of the images are read. Their captions say what is to be seen and
not why it is real; their boxes are objects and not what looks suspicious: neither is taken over.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from swift_zoomin.convert.rows import Notes, Row, name_problem, read_json, shown_value
from swift_zoomin.records import RecordError
from swift_zoomin.replies import REAL

ABOUT = "COCO: annotations/instances_val2017.json (or captions, image_info) and val2017; real images"
SPLITS = ("train", "val", "test")
# The same images stand in several files: the first of these kinds is read, and others only where it is missing.
_KINDS = ("instances", "captions", "person_keypoints", "image_info", "stuff", "panoptic")
_FILE = re.compile(rf"(?P<kind>{'|'.join(_KINDS)})_(?P<images>(?P<split>train|val|test)(?:-dev)?\d{{4}})\.json")


def read_rows(source: Path, split: str | None, notes: Notes) -> Iterator[Row]:
    files: dict[str, tuple[int, Path]] = {}
    for file in sorted((source / "annotations").glob("*.json")):
        if (match := _FILE.fullmatch(file.name)) and split in (None, match["split"]):
            rank = _KINDS.index(match["kind"])
            files[match["images"]] = min(files.get(match["images"], (rank, file)), (rank, file))
    if not files:
        raise RecordError(
            f"{source}: no annotations/instances_{split or 'val'}2017.json, nor another file of COCO's; "
            "expected the folder that holds annotations and the folders of images"
        )
    for images, (_, file) in sorted(files.items()):
        yield from _rows_of(file, _images_folder(source, images.replace("-dev", "")), notes)


def _images_folder(source: Path, name: str) -> Path:
    inside = source / "images" / name
    return inside if inside.is_dir() else source / name


def _rows_of(file: Path, folder: Path, notes: Notes) -> Iterator[Row]:
    images = read_json(file, dict, 'an object with "images"').get("images")
    if not isinstance(images, list):
        raise RecordError(f"{file}: images {shown_value(images)}; expected a list of objects with a file_name")
    for index, image in enumerate(images):
        name = image.get("file_name") if isinstance(image, dict) else None
        if problem := name_problem(name):
            notes.faults.append(f"{file}: images[{index}]: file_name {shown_value(name)}; {problem}")
        else:
            yield Row(str(folder / str(name)), f"{folder.name}/{name}", REAL, "COCO")
