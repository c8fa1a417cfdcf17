"""SynthScars (LEGION): generated images alone, with artefacts outlined by people.

    train/images/*.jpg    train/annoations/train.json (sic; also `annotations`)    test/... likewise

    [{"1172": {"img_file_name": "ef11643f.png", "caption": "Upon examining the image. I have found: ...",
               "refs": [{"sentence": "man's eyes", "explanation": "The inner pupil ... is not the same size.",
                         "bbox": null, "segmentation": [[243.4, 132.3, 314.2, 130.8, 315.0, 142.0]]}]}}]

(https://github.com/opendatalab/LEGION, README.md and dataset/gcg_datasets/GranDf_gcg_ds.py). The explanation is the
caption, as it is. `bbox` is null throughout and not read; each polygon gives the box of its corners, labelled with its
sentence. One without an area is dropped. LEGION draws them on the pixels that Pillow reads, which are the stored ones.
In train, 54 images have several entries: these become one record, with the boxes and captions of all. An absolute name,
of its makers' machines, means the file of that name in `images`.
"""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from swift_zoomin.boxes import Box
from swift_zoomin.convert.rows import WITHOUT_AREA, Notes, Row, name_problem, read_json, shown_value
from swift_zoomin.records import RecordError
from swift_zoomin.replies import GENERATED, as_box

ABOUT = "SynthScars of LEGION: {train,test}/images and annotations (or annoations)"
SPLITS = ("train", "test")
_SPELLINGS = ("annotations", "annoations")
_ENTRY = 'expected {"<id>": {"img_file_name": ..., "caption": ..., "refs": [...]}}'


@dataclass
class _Image:
    """What all entries of one image say."""

    captions: list[str] = field(default_factory=list)
    boxes_stored: list[Box] = field(default_factory=list)
    box_labels: list[str] = field(default_factory=list)


def read_rows(source: Path, split: str | None, notes: Notes) -> Iterator[Row]:
    files = [
        file
        for name in SPLITS
        for spelling in _SPELLINGS
        if (file := source / name / spelling / f"{name}.json").is_file() and split in (None, name)
    ]
    if not files:
        asked = split or "{train,test}"
        raise RecordError(f"{source}: no {asked}/annotations/{asked}.json (or annoations); expected SynthScars' folder")
    for file in files:
        yield from _rows_of(file, source, notes)


def _rows_of(file: Path, source: Path, notes: Notes) -> Iterator[Row]:
    images: dict[str, _Image] = {}
    for index, entry in enumerate(read_json(file, list, f"a list; each entry {_ENTRY.removeprefix('expected ')}")):
        where = f"{file}: entry {index}"
        content = next(iter(entry.values()), None) if isinstance(entry, dict) and len(entry) == 1 else None
        if not isinstance(content, dict):
            notes.faults.append(f"{where}: {shown_value(entry)}; {_ENTRY}")
            continue
        name, caption, refs = content.get("img_file_name"), content.get("caption"), content.get("refs")
        where = f"{where} ({shown_value(next(iter(entry)))})"
        if isinstance(name, str) and os.path.isabs(name):
            name = os.path.basename(name)
        if problem := name_problem(name):
            notes.faults.append(f"{where}: img_file_name {shown_value(name)}; {problem}")
        elif not isinstance(caption, str):
            notes.faults.append(f"{where}: caption {shown_value(caption)}; expected text")
        elif not isinstance(refs, list):
            notes.faults.append(f"{where}: refs {shown_value(refs)}; expected a list")
        else:
            image = images.setdefault(str(name), _Image())
            image.captions.append(caption.strip('"').strip())
            _add_refs(refs, image, where, notes)
    folder = file.parent.parent / "images"
    for name, image in images.items():
        original = str((folder / name).relative_to(source))
        explanation = "\n".join(dict.fromkeys(image.captions))
        yield Row(
            str(folder / name), original, GENERATED, "SynthScars", explanation, image.boxes_stored, image.box_labels
        )


def _add_refs(refs: list[Any], image: _Image, where: str, notes: Notes) -> None:
    for number, ref in enumerate(refs):
        here = f"{where}, ref {number}"
        if not isinstance(ref, dict) or not isinstance(ref.get("sentence"), str):
            notes.faults.append(f"{here}: {shown_value(ref)}; expected an object with sentence and segmentation")
            continue
        polygons = ref.get("segmentation") or []  # several where an artefact lies in pieces
        if not isinstance(polygons, list) or not all(map(_is_polygon, polygons)):
            notes.faults.append(f"{here}: segmentation {shown_value(polygons)}; expected lists of numbers x, y, x, y")
            continue
        for polygon in polygons:
            if _is_on_one_line(polygon):
                notes.leave_out(WITHOUT_AREA, ref["sentence"])
                continue
            image.boxes_stored.append(_bounds(polygon))
            image.box_labels.append(ref["sentence"])


def _is_polygon(value: Any) -> bool:
    if not isinstance(value, list) or len(value) % 2:
        return False
    pairs = zip(value[::2], value[1::2], strict=True)
    return all(as_box([x, y, x, y]) for x, y in pairs)


def _is_on_one_line(polygon: Sequence[float]) -> bool:
    """Whether a polygon has no inside: fewer than three corners, or all of them on one line."""
    corners = list(zip(polygon[::2], polygon[1::2], strict=True))
    if len(corners) < 3:
        return True
    x0, y0 = corners[0]
    # The corner farthest from the first gives the line its direction.
    dx, dy = max(((x - x0, y - y0) for x, y in corners), key=lambda step: step[0] ** 2 + step[1] ** 2)
    length = (dx**2 + dy**2) ** 0.5
    return all(abs(dx * (y - y0) - dy * (x - x0)) <= 1e-6 * length for x, y in corners)


def _bounds(polygon: Sequence[float]) -> list[float]:
    xs, ys = polygon[::2], polygon[1::2]
    return [min(xs), min(ys), max(xs), max(ys)]
