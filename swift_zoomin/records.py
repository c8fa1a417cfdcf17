"""Records: one annotated image each, in a file that ends in .jsonl (JSON Lines) or .parquet.

    {"image": "images/000017.png", "label": "generated", "explanation": "The letters on the sign melt together.",
     "boxes": [[120, 88, 260, 190]], "box_labels": ["garbled letters on the sign"], "source": "gpt-image-1"}

`image` is relative to the file, or in Parquet also image bytes. `label` is real or generated. `explanation` says why.
`boxes` are [x1, y1, x2, y2] in pixels of the upright original, x2 and y2 exclusive; real images may have some too; []
means annotated with none, absent means not annotated. `box_labels` say what is in each. Further fields, as `source`,
are kept as they are. ms-swift is given a records file as `--dataset FILE:PURPOSE` (`rows.py`).
Reading checks everything first and reports every fault at once, each with file, row and field.
"""

import errno
import hashlib
import json
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from tqdm import tqdm

from swift_zoomin.boxes import Size
from swift_zoomin.checked_images import CheckedImages, Look
from swift_zoomin.fields import FieldKinds, further_fields
from swift_zoomin.file_kind import foreign_kind
from swift_zoomin.files import cache_folder, open_whole, write_whole
from swift_zoomin.images import ImageError, ImageRef
from swift_zoomin.replies import GENERATED, REAL, VERDICTS, as_box, surrogate_problem, text_problem

RECORDS_SUFFIXES = (".jsonl", ".parquet")
_SHOWN_FAULTS = 20
_ROWS_AHEAD = 256  # given to the threads before the first of them is waited for
_NOT_WRITABLE = (errno.EACCES, errno.EPERM, errno.EROFS)

Report = Callable[[str], None]  # takes a fault of the row at hand
Refer = Callable[[str, Path], ImageRef]  # of an image by its name and place; raises ImageError


class RecordError(ValueError):
    """Faults of a records file, one a line: `records.jsonl:17: label "fake"; expected "real" or "generated"`."""


@dataclass(frozen=True)
class Record:
    """One annotated image. `name` is the image as the file names it; `boxes_px` (of the original) may be None."""

    name: str
    image: ImageRef
    label: str
    explanation: str = ""
    boxes_px: list[list[float]] | None = None
    box_labels: list[str] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)
    where: str = field(default="", compare=False)  # its `file:line`, for messages


class Row(NamedTuple):
    """One row of a records file as it stands there: any JSON value, or a ValueError for a line that is no JSON."""

    where: str
    value: Any
    spilled: Path | None = None  # the file that the row's image bytes were put into


def read_records(path: Path | str, decode: bool = True, afresh: bool = False) -> list[Record]:
    """Read and check a records file. Raises RecordError with all faults.

    `decode` also decodes each image that no earlier reading has decoded since it was changed; with `afresh`, every one.
    """
    return [record for record, _ in stream_records(Path(path), decode, afresh)]


def read_rows(path: Path) -> Iterator[Row]:
    """The rows of a records file, one at a time and unchecked. Raises RecordError where it cannot be read."""
    _check_regular(path)
    yield from _parquet_rows(path) if _is_parquet(path) else _json_lines_rows(path)


def check_rows(path: Path, rows: Sequence[Row], decode: bool = True, afresh: bool = False) -> list[Record]:
    """The records of rows of a file, checked as `read_records` does. Raises RecordError with all faults."""
    images = CheckedImages(path, decode, afresh)
    return [record for record, _ in _checked_records(path, rows, len(rows), images)]


def stream_records(
    path: Path, decode: bool = True, afresh: bool = False, look: Look | None = None
) -> Iterator[tuple[Record, Any]]:
    """The records without a fault, one after the other, each with what `look` finds in its image where it is decoded.

    What is read is not kept, but for a remembered line about each image decoded. Raises RecordError with all faults,
    at the end: what is made of the records before must not be used then.
    """
    _check_regular(path)
    images = CheckedImages(path, decode, afresh, look)
    number = 0
    for checked in _checked_records(path, read_rows(path), _about_how_many(path), images):
        number += 1
        yield checked
    if not number:
        expected = "" if _is_parquet(path) else "; expected one JSON object a line"
        raise RecordError(f"{path}: holds no record{expected}")


def _checked_records(
    path: Path, rows: Iterable[Row], total: int, images: CheckedImages
) -> Iterator[tuple[Record, Any]]:
    """The records of rows without a fault, with what was seen in their images. Raises RecordError at the end."""
    row_faults, field_faults, fields = _Faults(), _Faults(), FieldKinds()
    try:
        for row, checked in _checked_rows(path, rows, total, images):
            field_faults.add(fields.faults(row.where, row.value))
            if isinstance(checked, list):
                row_faults.add(checked)
            else:
                yield checked
    finally:
        images.remember()  # also when the user stops a reading that takes long
    row_faults.add(field_faults.first, field_faults.number - len(field_faults.first))
    if row_faults.number:
        raise RecordError(list_faults(row_faults.first, row_faults.number))


class _Faults:
    """The first faults, as many as are shown, and how many there are: a million may be alike."""

    def __init__(self) -> None:
        self.first: list[str] = []
        self.number = 0

    def add(self, faults: Iterable[str], more: int = 0) -> None:
        """Take in faults, and count `more` that are shown nowhere."""
        for fault in faults:
            self.number += 1
            if len(self.first) < _SHOWN_FAULTS:
                self.first.append(fault)
        self.number += more


def _is_parquet(path: Path) -> bool:
    return path.suffix == ".parquet"


def _checked_rows(
    path: Path, rows: Iterable[Row], total: int, images: CheckedImages
) -> Iterator[tuple[Row, tuple[Record, Any] | list[str]]]:
    """The rows of a file in order, each with its record and what was seen in the image, or with its faults."""

    def check(row: Row) -> tuple[Record, Any] | list[str]:
        faults: list[str] = []
        seen: list[Any] = []

        def refer(name: str, image: Path) -> ImageRef:
            reference, found = images.look_at(name, image)
            seen.append(found)
            return reference

        record = _check_row(row, path, refer, lambda fault: faults.append(f"{row.where}: {fault}"))
        if record is None or faults:
            return faults
        return record, seen[0]

    waiting: deque[tuple[Row, Future[tuple[Record, Any] | list[str]]]] = deque()
    with ThreadPoolExecutor() as pool, tqdm(total=total, desc=f"checking {path.name}", disable=total < 1000) as bar:
        for row in rows:
            waiting.append((row, pool.submit(check, row)))  # Pillow decodes outside the interpreter lock
            if len(waiting) == _ROWS_AHEAD:
                earliest, checked = waiting.popleft()
                bar.update()
                yield earliest, checked.result()
        while waiting:
            earliest, checked = waiting.popleft()
            bar.update()
            yield earliest, checked.result()


def _about_how_many(path: Path) -> int:
    """The rows of a file, for a bar of progress: empty lines count, and what cannot be read has none."""
    if _is_parquet(path):
        import pyarrow.parquet

        try:
            return int(pyarrow.parquet.read_metadata(path).num_rows)
        except (pyarrow.ArrowException, OSError):
            return 0  # reading it says what is wrong
    try:
        with path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(partial(file.read, 1 << 20), b""))
    except OSError:
        return 0


def list_faults(faults: Sequence[str], number: int | None = None) -> str:
    """The first faults, a line each, and how many more there are; `number` counts those that are not at hand too."""
    more = (number or len(faults)) - _SHOWN_FAULTS
    lines = list(faults[:_SHOWN_FAULTS])
    if more > 0:
        lines.append(f"... and {more} more")
    return "\n".join(lines)


def _check_regular(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise RecordError(f"{path}: no such records file") from None
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from error
    if not stat.S_ISREG(mode):  # a named pipe would never end
        kind = "a folder" if stat.S_ISDIR(mode) else "no regular file"
        raise RecordError(f"{path}: {kind}; expected a records file")


def _unreadable(path: Path, error: OSError | ValueError) -> RecordError:
    reason = error.strerror if isinstance(error, OSError) else error
    return RecordError(f"{path}: cannot be read ({reason})")


def json_line(row: dict[str, Any]) -> str:
    """One line of JSON Lines; only what UTF-8 cannot say (bytes of a file's name) is escaped."""
    line = json.dumps(row, ensure_ascii=False)
    if surrogate_problem(line):
        line = json.dumps(row)
    return line + "\n"


def write_records(path: Path | str, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows of the record format as JSON Lines; the file appears whole or not at all."""
    with open_whole(Path(path)) as file:
        file.writelines(json_line(row).encode() for row in rows)


def json_rows(path: Path) -> Iterator[tuple[str, Any]]:
    """The values of a JSON Lines file, each with its `file:line`; a line that is no JSON comes as a ValueError.

    Raises RecordError for a file that is something else, or that cannot be read.
    """
    try:
        if kind := foreign_kind(path):
            raise RecordError(f"{path}: JSON Lines expected, one object a line; this is {kind}")
        with path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield f"{path}:{number}", _json_value(line)
    except OSError as error:
        raise _unreadable(path, error) from error


def _json_value(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        return ValueError(f"not JSON ({error})")


def _json_lines_rows(path: Path) -> Iterator[Row]:
    for where, value in json_rows(path):
        yield Row(where, value)


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow.parquet

    number = 0
    try:
        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(batch_size=8):  # of images, each in memory twice
            for row in batch.to_pylist():
                number += 1
                known = {name: value for name, value in row.items() if value is not None}
                yield _parquet_row(f"{path}:{number}", known, path)
    except (pyarrow.ArrowException, OSError) as error:
        raise RecordError(f"{path}: cannot be read as Parquet ({error})") from error


def _parquet_row(where: str, row: dict[str, Any], path: Path) -> Row:
    """A row whose image is a path, as in JSON Lines: image bytes are put into a file, so a reference stays short."""
    image = row.get("image")
    if isinstance(image, dict):  # the layout of Hugging Face datasets
        image = image.get("bytes") or image.get("path")
    if not isinstance(image, bytes):
        return Row(where, {**row, "image": image})
    file = _spill(image, path)
    return Row(where, {**row, "image": f"{_spill_folder(path).name}/{file.name}"}, file)


def _spill_folder(path: Path) -> Path:
    return path.with_suffix(".images")


def _spill(image: bytes, path: Path) -> Path:
    """Put image bytes into a file named by their content, unless one is there: beside the Parquet file, where every
    machine that sees the one sees the other; where nothing can be written there, in the user's cache folder.
    """
    name = hashlib.sha256(image).hexdigest()[:32]
    beside, cached = _spill_folder(path) / name, cache_folder() / "images" / name
    try:
        return _written(beside, image)
    except OSError as error:
        if error.errno not in _NOT_WRITABLE:
            raise RecordError(f"{beside}: cannot be written ({error.strerror})") from error
    try:
        return _written(cached, image)
    except OSError as error:
        asked = "set XDG_CACHE_HOME to a folder that can be written"
        raise RecordError(
            f"{path}: its images cannot be written to {beside.parent} or {cached.parent}; {asked}"
        ) from error


def _written(file: Path, content: bytes) -> Path:
    if not file.exists():
        write_whole(file, content)
    return file


def _check_row(row: Row, path: Path, refer: Refer, report: Report) -> Record | None:
    """The record in a row; None where so much is wrong that there is none. Every fault found is reported."""
    value = row.value
    if isinstance(value, ValueError):  # the line is no JSON
        report(str(value))
        return None
    if not isinstance(value, dict):
        report(f"{type(value).__name__}; expected a JSON object")
        return None
    label = value.get("label")
    if label not in VERDICTS:
        report(f'label {json.dumps(label, default=repr)}; expected "{REAL}" or "{GENERATED}"')
    if not _are_lists(value, report):
        return None
    explanation = value.get("explanation")
    if explanation is None:
        explanation = ""
    boxes, box_labels = value.get("boxes"), value.get("box_labels")
    _check_text("explanation", explanation, report)
    for text in box_labels or []:
        _check_text("box_labels", text, report)
    image = _check_image(row, path, refer, report)
    if boxes is not None and image:
        _check_boxes(boxes, image.size, report)
    expected_labels = len(boxes or [])
    if box_labels is None:
        box_labels = [""] * expected_labels
    if len(box_labels) != expected_labels:
        report(f"box_labels has {len(box_labels)} entries; expected one for each of {expected_labels} boxes")
    if not image or not isinstance(explanation, str):
        return None
    extra = further_fields(value)
    return Record(value["image"], image, str(label), explanation, boxes, box_labels, extra, row.where)


def _are_lists(value: dict[str, Any], report: Report) -> bool:
    """Whether boxes and their labels are lists, where they are given; the first that is none is reported."""
    for name in ("boxes", "box_labels"):
        content = value.get(name)
        if content is not None and not isinstance(content, list):
            report(f"{name} {content!r}; expected a list")
            return False
    return True


def _check_text(name: str, text: Any, report: Report) -> None:
    if not isinstance(text, str):
        report(f"{name} {text!r}; expected text")
    elif problem := text_problem(text):
        report(f"{name} {problem}")


def _check_image(row: Row, path: Path, refer: Refer, report: Report) -> ImageRef | None:
    name = row.value.get("image")
    if not isinstance(name, str) or not name:
        report(f"image {name!r}; expected a path relative to the records file")
        return None
    try:
        return refer(name, row.spilled or path.parent / name)
    except ImageError as error:
        report(f"image {error}")
        return None


def _check_boxes(boxes: list[Any], size: Size, report: Report) -> None:
    width, height = size
    for box in boxes:
        if not _is_inside(box, size):
            report(f"boxes {box}; expected [x1, y1, x2, y2] in order inside the upright {width}x{height} image")


def _is_inside(box: Any, size: Size) -> bool:
    """Whether this is a box with corners in order and an area, inside an image of `size`."""
    if as_box(box) is None:
        return False
    x1, y1, x2, y2 = box
    width, height = size
    return 0 <= x1 < x2 <= width and 0 <= y1 < y2 <= height
