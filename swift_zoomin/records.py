"""Records: one annotated image each, in a JSON Lines or Parquet file.

    {"image": "images/000017.png", "label": "generated", "explanation": "The letters on the sign melt together.",
     "boxes": [[120, 88, 260, 190]], "box_labels": ["garbled letters on the sign"], "source": "gpt-image-1"}

`image` is relative to the file, or in Parquet also image bytes. `label` is real or generated. `boxes` are pixels of the
upright original; [] means annotated with none, absent means not annotated. Further fields are kept as they are.
Reading checks everything first and reports every fault at once, each with file, row and field.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from swift_zoomin.files import write_whole
from swift_zoomin.images import ImageError, ImageRef, open_upright
from swift_zoomin.replies import VERDICTS, surrogate_problem, text_problem

_SHOWN_FAULTS = 20
_KINDS: dict[type, str] = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list"}
_OWN_FIELDS = ("image", "label", "explanation", "boxes", "box_labels")


class RecordError(ValueError):
    """Faults of a records file, one a line: `records.jsonl:17: label "fake"; expected "real" or "generated"`."""


@dataclass(frozen=True)
class Record:
    """One annotated image. `name` is the image as the file names it; `boxes` (original pixels) may be None."""

    name: str
    image: ImageRef
    label: str
    explanation: str = ""
    boxes: list[list[float]] | None = None
    box_labels: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)


def read_records(path: Path | str, decode: bool = True) -> list[Record]:
    """Read and check a records file. Raises RecordError with all faults; `decode` also decodes every image."""
    path = Path(path)
    if not path.is_file():
        raise RecordError(f"{path}: no such records file")
    rows = list(_parquet_rows(path) if path.suffix == ".parquet" else json_rows(path))
    if not rows:
        raise RecordError(f"{path}: holds no record")

    def check(row: tuple[str, Any]) -> Record | list[str]:
        where, value = row
        faults: list[str] = []
        record = _check_row(value, path, lambda fault: faults.append(f"{where}: {fault}"), decode)
        return record if record and not faults else faults

    with ThreadPoolExecutor() as pool:  # Pillow decodes outside the interpreter lock
        checked = list(tqdm(pool.map(check, rows), f"checking {path.name}", len(rows), disable=len(rows) < 1000))
    faults = [fault for result in checked if isinstance(result, list) for fault in result] + list(_unequal_fields(rows))
    if faults:
        more = f"\n... and {len(faults) - _SHOWN_FAULTS} more" if len(faults) > _SHOWN_FAULTS else ""
        raise RecordError("\n".join(faults[:_SHOWN_FAULTS]) + more)
    return [record for record in checked if isinstance(record, Record)]


def _unequal_fields(rows: list[tuple[str, Any]]) -> Iterator[str]:
    """Faults of further fields, which become columns of a dataset: one kind of value each, and text that is Unicode."""
    kinds: dict[str, str] = {}
    for where, row in rows:
        for name, value in row.items() if isinstance(row, dict) else ():
            if name in _OWN_FIELDS or value is None:
                continue
            kind = _KINDS.get(type(value), type(value).__name__)
            if kind != kinds.setdefault(name, kind):
                yield f"{where}: {name} is {kind}; expected {kinds[name]}, as in the rows before"
            elif isinstance(value, str) and (problem := surrogate_problem(value)):
                yield f"{where}: {name} {problem}"


def json_line(row: dict[str, Any]) -> str:
    """One line of JSON Lines; only what UTF-8 cannot say (bytes of a file's name) is escaped."""
    line = json.dumps(row, ensure_ascii=False)
    return (json.dumps(row) if surrogate_problem(line) else line) + "\n"


def write_records(path: Path | str, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows of the record format as JSON Lines; the file appears whole or not at all."""
    write_whole(Path(path), "".join(map(json_line, rows)).encode())


def json_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """The values of a JSON Lines file, each with its `file:line`; a line that is no JSON comes as a ValueError."""
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield f"{path}:{number}", json.loads(line)
            except (ValueError, RecursionError) as error:
                yield f"{path}:{number}", ValueError(f"not JSON ({error})")


def _parquet_rows(path: Path) -> Iterator[tuple[str, Any]]:
    import pyarrow.parquet

    number = 0
    try:
        file = pyarrow.parquet.ParquetFile(path)
    except (pyarrow.ArrowException, OSError) as error:
        raise RecordError(f"{path}: not a Parquet file ({error})") from error
    for batch in file.iter_batches(batch_size=64):
        for row in batch.to_pylist():
            number += 1
            yield f"{path}:{number}", _spill_image({k: v for k, v in row.items() if v is not None}, path)


def _spill_image(row: dict[str, Any], path: Path) -> dict[str, Any]:
    """Put image bytes into a file beside the Parquet file, named by their content, so that a reference stays short."""
    image = row.get("image")
    if isinstance(image, dict):  # the layout of Hugging Face datasets
        image = image.get("bytes") or image.get("path")
    if isinstance(image, bytes):
        target = path.with_suffix(".images") / hashlib.sha256(image).hexdigest()[:32]
        if not target.exists():
            write_whole(target, image)
        image = str(target.relative_to(path.parent))
    return {**row, "image": image}


def _check_row(row: Any, path: Path, report: Callable[[str], None], decode: bool) -> Record | None:
    if not isinstance(row, dict):
        report(str(row) if isinstance(row, ValueError) else f"{type(row).__name__}; expected a JSON object")
        return None
    if (label := row.get("label")) not in VERDICTS:
        report(f'label {json.dumps(label, default=repr)}; expected "real" or "generated"')
    explanation = "" if row.get("explanation") is None else row["explanation"]
    boxes, box_labels = row.get("boxes"), row.get("box_labels")
    for name, value in (("boxes", boxes), ("box_labels", box_labels)):
        if value is not None and not isinstance(value, list):
            report(f"{name} {value!r}; expected a list")
            return None
    for name, text in [("explanation", explanation), *(("box_labels", text) for text in box_labels or [])]:
        if not isinstance(text, str):
            report(f"{name} {text!r}; expected text")
        elif problem := text_problem(text):
            report(f"{name} {problem}")
    image = _check_image(row.get("image"), path, report, decode)
    if boxes is not None and image:
        _check_boxes(boxes, image.size, report)
    if box_labels is None:
        box_labels = [""] * len(boxes or [])
    if len(box_labels) != len(boxes or []):
        report(f"box_labels has {len(box_labels)} entries; expected one for each of {len(boxes or [])} boxes")
    if not image or not isinstance(explanation, str):
        return None
    extra = {key: value for key, value in row.items() if key not in _OWN_FIELDS}
    return Record(row["image"], image, str(label), explanation, boxes, box_labels, extra)


def _check_image(name: Any, path: Path, report: Callable[[str], None], decode: bool) -> ImageRef | None:
    if not isinstance(name, str) or not name:
        report(f"image {name!r}; expected a path relative to the records file")
        return None
    try:
        reference = ImageRef.of(path.parent / name)
        if decode:
            open_upright(reference.path)
        return reference
    except ImageError as error:
        report(f"image {error}")
        return None


def _check_boxes(boxes: Any, size: tuple[int, int], report: Callable[[str], None]) -> None:
    width, height = size
    for box in boxes:
        if (
            not isinstance(box, list)
            or len(box) != 4
            or not all(isinstance(n, int | float) and not isinstance(n, bool) and abs(n) < math.inf for n in box)
            or not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height)
        ):
            report(f"boxes {box}; expected [x1, y1, x2, y2] in order inside the upright {width}x{height} image")
