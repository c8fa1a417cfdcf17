"""Files given for JSON Lines that are something else: one line says what they are."""

import csv
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from swift_zoomin.file_kind import foreign_kind
from swift_zoomin.predictions import read_predictions
from swift_zoomin.records import RecordError, read_records

ROWS = [{"image": "a.png", "label": "real"}, {"image": "a.png", "label": "generated"}]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
COCO = {"info": {}, "images": [{"id": 1, "file_name": "a.png"}], "annotations": [{"image_id": 1, "bbox": [1, 2, 3, 4]}]}
OWN_LINE = "write each object on a line of its own"
SEVERAL_LINES = f"JSON over several lines; {OWN_LINE} (jq -c .)"
ARRAY = f"one JSON array of 2; {OWN_LINE} (jq -c '.[]')"
COCO_KIND = "COCO, all images in one object; write a line for each image, its boxes as [x1, y1, x2, y2]"
CSV_KIND = 'CSV; write each of its rows as an object: {"image": "images/a.png", ...}'
TABS = 'a table with tabs; write each of its rows as an object: {"image": "images/a.png", ...}'
UTF_16 = "text in UTF-16; save it as UTF-8"
NO_LABEL = '1: label null; expected "real" or "generated"'
NO_IMAGE = "1: image None; expected a path relative to the records file"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Image.new("RGB", (40, 20)).save(tmp_path / "a.png")
    return tmp_path / "records.jsonl"


def parquet() -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pa.Table.from_pylist(ROWS), sink)
    return sink.getvalue()


def table(delimiter: str, *more: list[str]) -> str:
    file = io.StringIO()
    csv.writer(file, delimiter=delimiter).writerows([["image", "label"], ["a.png", "real"], *more])
    return file.getvalue()


KINDS: list[tuple[str, Any, str]] = [
    ("pretty object", json.dumps(ROWS[0], indent=2), SEVERAL_LINES),
    ("pretty objects", "\n".join(json.dumps(row, indent=2) for row in ROWS), SEVERAL_LINES),
    ("broken pretty object", '{\n  "image": "a.png"\n  "label": "real"\n}', SEVERAL_LINES),
    ("array", json.dumps(ROWS), ARRAY),
    ("pretty array", json.dumps(ROWS, indent=4), ARRAY),
    ("array, an object a line", "[\n" + ",\n".join(LINES.splitlines()) + "\n]\n", ARRAY),
    ("pretty array with a mark", "\ufeff" + json.dumps(ROWS, indent=4), ARRAY),
    ("COCO", json.dumps(COCO), COCO_KIND),
    ("pretty COCO", json.dumps(COCO, indent=1), COCO_KIND),
    ("CSV", table(","), CSV_KIND),
    ("CSV with quotes", table(",", ["b, c.png", "real"]), CSV_KIND),
    ("CSV with semicolons", table(";"), CSV_KIND),
    ("tabs", table("\t"), TABS),
    ("UTF-16", LINES.encode("utf-16"), UTF_16),
    ("UTF-16 without mark", LINES.encode("utf-16-le"), UTF_16),
    ("big-endian UTF-16", b"\xfe\xff" + LINES.encode("utf-16-be"), UTF_16),
    ("Parquet", parquet(), "a Parquet file; end its name in .parquet"),
    ("gzip", gzip.compress(LINES.encode()), "a gzip archive; unpack it"),
    ("binary", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "a binary file"),
    ("prose", "Dear all, here they are.\nYours", "other text"),
]


@pytest.mark.parametrize(("content", "kind"), [case[1:] for case in KINDS], ids=[case[0] for case in KINDS])
def test_another_kind_of_file_is_told_in_one_line(path: Path, content: str | bytes, kind: str) -> None:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for read in (read_records, read_predictions):
        with pytest.raises(RecordError) as caught:
            read(path)
        assert str(caught.value) == f"{path}: JSON Lines expected, one object a line; this is {kind}"


@pytest.mark.parametrize(
    "content",
    [
        LINES.encode(),
        LINES.strip().encode(),  # no final newline
        LINES.replace("\n", "\r\n").encode(),
        b"\xef\xbb\xbf" + LINES.encode(),  # a byte order mark, as Windows writes it
        b"\n \n" + LINES.encode(),
    ],
    ids=["plain", "no final newline", "carriage returns", "byte order mark", "blank lines"],
)
def test_json_lines_may_be_written_by_any_editor(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert [record.label for record in read_records(path)] == ["real", "generated"]


@pytest.mark.parametrize(
    ("content", "faults"),
    [
        ('{"image": "a.png", "lab', ["1: not JSON (Unterminated string starting at: line 1 column 20 (char 19))"]),
        (f"# ours\n{LINES}", ["1: not JSON (Expecting value: line 1 column 1 (char 0))"]),
        ("[1]\n[2]\n", ["1: list; expected a JSON object", "2: list; expected a JSON object"]),
        ("{}\n", [NO_LABEL, NO_IMAGE]),
        ('{"messages": [], "images": ["a.png"]}\n', [NO_LABEL, NO_IMAGE]),  # ms-swift's own rows
    ],
)
def test_faulty_json_lines_are_reported_line_by_line(path: Path, content: str, faults: list[str]) -> None:
    path.write_text(content)
    with pytest.raises(RecordError) as caught:
        read_records(path)
    assert str(caught.value).splitlines() == [f"{path}:{fault}" for fault in faults]


def test_a_long_line_before_an_array_ends_is_no_trouble(path: Path) -> None:
    path.write_text(json.dumps([{**ROWS[0], "explanation": "x" * 300_000}] * 3, indent=1))
    assert foreign_kind(path) == f"one JSON array of 3; {OWN_LINE} (jq -c '.[]')"


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


further = {"label": values, "images": values, "annotations": values}


@pytest.mark.slow
@given(st.lists(st.fixed_dictionaries({"image": st.text()}, optional=further), min_size=1))
@settings(deadline=None)
def test_rows_that_name_an_image_are_json_lines(tmp_path_factory: pytest.TempPathFactory, rows: list[Any]) -> None:
    path = tmp_path_factory.mktemp("rows") / "records.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert foreign_kind(path) is None


@given(st.binary(max_size=60) | st.text(alphabet='[]{}",;:\n\t a1', max_size=30).map(str.encode))
@settings(max_examples=300, deadline=None)
def test_any_file_has_a_kind_or_none(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    path = tmp_path_factory.mktemp("any") / "records.jsonl"
    path.write_bytes(content)
    assert "\n" not in (foreign_kind(path) or "")
