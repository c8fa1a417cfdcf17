"""Names a file that is no JSON Lines at all (CSV, Parquet, one JSON array): one line instead of a fault a row."""

import csv
import json
from itertools import islice
from pathlib import Path
from typing import Any

_HEAD_BYTES = 1 << 16
_HEAD_LINES = 100
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # of UTF-8, as editors on Windows write it; json reads it
_BEGINNINGS = {
    b"PAR1": "a Parquet file; end its name in .parquet",
    b"\x1f\x8b": "a gzip archive; unpack it",
    b"\xff\xfe": "text in UTF-16; save it as UTF-8",
    b"\xfe\xff": "text in UTF-16; save it as UTF-8",
}
_LINES_OF_ITS_OWN = "write each object on a line of its own"


def foreign_kind(path: Path) -> str | None:
    """What the file is and what to do: "CSV; write ..."; None for one that may be JSON Lines. Raises OSError."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    for beginning, kind in _BEGINNINGS.items():
        if head.startswith(beginning):
            return kind
    if b"\0" in head:
        # Every other byte of UTF-16 is zero where the text is English.
        is_utf_16 = head.count(b"\0") > len(head) * 0.4
        return _BEGINNINGS[b"\xff\xfe"] if is_utf_16 else "a binary file"
    return _foreign_text(path)


def _foreign_text(path: Path) -> str | None:
    with path.open("rb") as file:
        lines = [line.removeprefix(_BYTE_ORDER_MARK).strip() for line in islice(file, _HEAD_LINES)]
    lines = [line for line in lines if line]
    if not lines:
        return None
    if (first := parsed_json(lines[0])) is not None:
        return _foreign_line(first, is_only=len(lines) == 1)
    if lines[0][:1] in (b"{", b"["):
        return _foreign_json(path)
    if any(line.startswith(b"{") for line in lines):
        return None  # records with other lines between them, which are reported one by one
    return _foreign_table(lines)


def parsed_json(text: bytes | str) -> Any:
    """A JSON value; None where the text is none, or null."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _foreign_line(value: Any, is_only: bool) -> str | None:
    """What a first line that is JSON by itself tells about the file."""
    if isinstance(value, list) and is_only:
        return _array_kind(value)
    return _object_kind(value) if isinstance(value, dict) and "image" not in value else None


def _foreign_json(path: Path) -> str | None:
    """What JSON is that does not end with its first line; None where its first line is merely broken."""
    text = path.read_text("utf-8-sig", errors="replace").lstrip()
    several_lines = f"JSON over several lines; {_LINES_OF_ITS_OWN} (jq -c .)"
    try:
        value, end = json.JSONDecoder().raw_decode(text)
    except (ValueError, RecursionError):
        return several_lines if text.partition("\n")[0].strip() in ("{", "[") else None
    if "\n" not in text[:end]:
        return None
    if isinstance(value, list):
        return _array_kind(value)
    return _object_kind(value) or several_lines


def _array_kind(value: list[Any]) -> str:
    return f"one JSON array of {len(value)}; {_LINES_OF_ITS_OWN} (jq -c '.[]')"


def _object_kind(value: dict[str, Any]) -> str | None:
    """What one object is that holds a whole data set; None for any other."""
    if "images" in value and "annotations" in value:
        return "COCO, all images in one object; write a line for each image, its boxes as [x1, y1, x2, y2]"
    return None


def _foreign_table(lines: list[bytes]) -> str:
    texts = [line.decode("utf-8", errors="replace") for line in lines]
    for delimiter, name in ((",", "CSV"), (";", "CSV"), ("\t", "a table with tabs")):
        try:
            widths = {len(row) for row in csv.reader(texts, delimiter=delimiter)}
        except csv.Error:  # a field of more than 128 KiB
            continue
        if len(widths) == 1 and widths != {1}:
            return f'{name}; write each of its rows as an object: {{"image": "images/a.png", ...}}'
    return "other text"
