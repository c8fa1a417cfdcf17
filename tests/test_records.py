"""Records files: what is read, what is written, and every fault reported at once with file, row and field."""

import contextlib
import hashlib
import io
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from swift_zoomin.images import ImageRef
from swift_zoomin.records import _SHOWN_FAULTS, Record, RecordError, read_records, write_records
from swift_zoomin.replies import text_problem

ROW = {"image": "images/a.png", "label": "real"}
BOX = "expected [x1, y1, x2, y2] in order inside the upright 40x20 image"


def encoded(kind: str, colour: str = "red", **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (40, 20), colour).save(file, kind, **options)
    return file.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images for records: a whole PNG, a JPEG that ends too soon, a text."""
    (tmp_path / "images").mkdir()
    for name, data in {"a.png": encoded("PNG"), "cut.jpg": encoded("JPEG")[:-9], "text.png": b"no image"}.items():
        (tmp_path / "images" / name).write_bytes(data)
    return tmp_path


HALVES = [("explanation", r"\ud83d"), ("box_labels", r"\udc00")]  # as a tool writes that cuts UTF-16


def write(folder: Path, *rows: dict[str, Any] | str) -> Path:
    """A records file of these rows, their image and label filled in; a text is a line as it stands."""
    lines = [row if isinstance(row, str) else json.dumps({**ROW, **row}) for row in rows]
    (folder / "records.jsonl").write_text("".join(line + "\n" for line in lines))
    return folder / "records.jsonl"


def write_parquet(folder: Path, *rows: dict[str, Any]) -> Path:
    pyarrow.parquet.write_table(pa.Table.from_pylist(list(rows)), folder / "records.parquet")
    return folder / "records.parquet"


def faults_of(path: Path) -> list[str]:
    """The faults of a file, each without the file's name."""
    with pytest.raises(RecordError) as caught:
        read_records(path)
    lines = str(caught.value).splitlines()
    assert all(line.startswith((f"{path}:", "... and ")) for line in lines)
    return [line.removeprefix(f"{path}:") for line in lines]


def test_what_was_written_is_read(folder: Path) -> None:
    row = {**ROW, "explanation": "“Melted”", "boxes": [[0, 0.5, 40, 20]], "box_labels": ["sign"], "source": "x"}
    write_records(folder / "records.jsonl", [row, ROW])
    image = ImageRef(str(folder / "images/a.png"), (40, 20))
    first = Record("images/a.png", image, "real", "“Melted”", [[0, 0.5, 40, 20]], ["sign"], {"source": "x"})
    assert read_records(folder / "records.jsonl") == [first, Record("images/a.png", image, "real")]


def test_images_are_found_beside_the_file_from_any_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, {}, {"image": str(folder / "images/a.png")})
    monkeypatch.chdir(folder.parent)
    paths = [record.image.path for record in read_records(f"{folder.name}/records.jsonl")]
    assert paths == [f"{folder}/images/a.png"] * 2


def test_no_boxes_and_no_annotation_are_different_things(folder: Path) -> None:
    path = write(folder, {}, {"boxes": []}, {"boxes": None}, {"boxes": [[1, 2, 3, 4]]})
    assert [record.boxes_px for record in read_records(path)] == [None, [], None, [[1, 2, 3, 4]]]
    assert [record.box_labels for record in read_records(path)] == [[], [], [], [""]]


def test_blank_lines_are_skipped_but_counted(folder: Path) -> None:
    assert len(read_records(write(folder, "", {}, " \t", {}))) == 2
    assert faults_of(write(folder, "", {}, " \t", "[]")) == ["4: list; expected a JSON object"]


def test_boxes_are_inside_the_upright_image(folder: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # 40 x 20 stored, 20 x 40 upright
    (folder / "images/a.png").write_bytes(encoded("PNG", exif=exif))
    assert len(read_records(write(folder, {"boxes": [[0, 0, 20, 40]]}))) == 1
    assert "inside the upright 20x40 image" in faults_of(write(folder, {"boxes": [[0, 0, 40, 20]]}))[0]


FAULTS: list[tuple[Any, str]] = [
    ({"label": "fake"}, 'label "fake"; expected "real" or "generated"'),
    ('{"image": "images/a.png"}', 'label null; expected "real" or "generated"'),
    ({"label": []}, 'label []; expected "real" or "generated"'),
    ({"label": {}}, 'label {}; expected "real" or "generated"'),
    ('{"label": "real"}', "image None; expected a path"),
    ({"boxes": [[0, 0, 41, 20]]}, f"boxes [0, 0, 41, 20]; {BOX}"),  # beyond the right edge
    ({"boxes": [[9, 9, 3, 3]]}, f"boxes [9, 9, 3, 3]; {BOX}"),  # swapped corners
    ({"boxes": [[3, 3, 3, 9]]}, f"boxes [3, 3, 3, 9]; {BOX}"),  # no width
    ({"boxes": [[0, 0, float("nan"), 5]]}, f"boxes [0, 0, nan, 5]; {BOX}"),
    ({"boxes": [[0, 0, 5]]}, f"boxes [0, 0, 5]; {BOX}"),
    ({"boxes": [[0, 0, True, 5]]}, f"boxes [0, 0, True, 5]; {BOX}"),
    ({"boxes": [5]}, f"boxes 5; {BOX}"),
    ({"boxes": [[0, 0, 5, 5]], "box_labels": []}, "box_labels has 0 entries; expected one for each of 1 boxes"),
    ({"explanation": "So <verdict>real</verdict>"}, "explanation holds the tag <verdict>; remove it"),
    ({"boxes": [[0, 0, 5, 5]], "box_labels": ["</regions>"]}, "box_labels holds the tag </regions>; remove it"),
    ({"image": "images/none.png"}, "image "),
    ({"image": "images/text.png"}, "image "),
    ({"image": "images/cut.jpg"}, "image "),
    ('{"image": "images/a.png", "label"', "not JSON ("),
    ("[" * 100_000, "not JSON ("),  # nested without end
    ("[1, 2]", "list; expected a JSON object"),  # from here on, wrong types
    ('"text"', "str; expected a JSON object"),
    ({"image": 3}, "image 3; expected a path"),
    ({"image": "a\0b.png"}, "image "),
    ({"explanation": 4}, "explanation 4; expected text"),
    ({"explanation": []}, "explanation []; expected text"),
    ({"boxes": [[0, 0, 5, 5]], "box_labels": [3]}, "box_labels 3; expected text"),
    ({"boxes": [[0, 0, 5, 5]], "box_labels": "a"}, "box_labels "),  # a text has one letter for each box
    ({"boxes": [[0, 0, 5, 5]], "box_labels": {"a": 1}}, "box_labels "),
    ({"box_labels": 7}, "box_labels "),
    ({"boxes": 5}, "boxes 5; "),
    ({"boxes": [[0, 0, 10**400, 5]]}, "boxes "),  # beyond every float
]


@pytest.mark.parametrize(("row", "fault"), FAULTS, ids=lambda value: str(value)[:40])
def test_a_fault_is_reported_with_row_and_field(folder: Path, row: Any, fault: str) -> None:
    [reported] = faults_of(write(folder, {}, row))
    assert reported.startswith(f"2: {fault}")


def test_all_faults_are_reported_at_once_in_order(folder: Path) -> None:
    reported = faults_of(write(folder, *(row for row, _ in FAULTS[:_SHOWN_FAULTS])))
    for number, (line, (_, fault)) in enumerate(zip(reported, FAULTS[:_SHOWN_FAULTS], strict=True), 1):
        assert line.startswith(f"{number}: {fault}")
    row = {"label": 0, "explanation": "<regions>", "boxes": [[0, 0, 9, 99], 1], "box_labels": ["a"]}
    fields = [fault.split()[1] for fault in faults_of(write(folder, row))]
    assert sorted(fields) == ["box_labels", "boxes", "boxes", "explanation", "label"]


def test_faults_beyond_those_shown_are_counted(folder: Path) -> None:
    reported = faults_of(write(folder, *[{"label": "fake"}] * (_SHOWN_FAULTS + 3)))
    assert [line.split(":")[0] for line in reported[:_SHOWN_FAULTS]] == [
        str(row) for row in range(1, _SHOWN_FAULTS + 1)
    ]
    assert reported[_SHOWN_FAULTS:] == ["... and 3 more"]


@pytest.mark.parametrize(
    ("values", "fault"),
    [
        (["gpt-image-1", 1], "2: source is a number; expected text, as in the rows before"),
        ([1, 2.5, None, True], "4: source is true or false; expected a number, as in the rows before"),
        ([None, ["a"], {"a": 1}], "3: source is dict; expected a list, as in the rows before"),
        (["a", "half \ud83d"], "2: source holds half a character ('\\ud83d'); remove it"),
    ],
)
def test_a_further_field_holds_one_kind_of_value(folder: Path, values: list[Any], fault: str) -> None:
    """It becomes a column of ms-swift's data set."""
    assert faults_of(write(folder, *({"source": value} for value in values))) == [fault]


def test_half_a_character_is_reported_with_its_field(folder: Path) -> None:
    faults = faults_of(write(folder, {"explanation": "\ud83d", "boxes": [[0, 0, 5, 5]], "box_labels": ["\udc00 sign"]}))
    assert faults == [f"1: {name} holds half a character ('{half}'); remove it" for name, half in HALVES]


def test_a_file_without_records_is_a_fault(folder: Path) -> None:
    empty = folder / "empty.parquet"
    pyarrow.parquet.write_table(pa.table({"image": pa.array([], pa.string())}), empty)
    absent = folder / "none.jsonl"
    for path, fault in [(write(folder), "holds no record"), (empty, "no record$"), (absent, "no such records file")]:
        with pytest.raises(RecordError, match=fault):
            read_records(path)
    (folder / "text.parquet").write_text("no Parquet")
    with pytest.raises(RecordError, match=r"text\.parquet"):
        read_records(folder / "text.parquet")


def test_what_is_no_file_is_refused_in_one_line(folder: Path) -> None:
    os.mkfifo(folder / "pipe.jsonl")  # reading it would wait for ever
    (folder / "loop.jsonl").symlink_to("loop.jsonl")
    for path, fault in [
        (folder / "images", "a folder; expected a records file"),
        (folder / "pipe.jsonl", "no regular file; expected a records file"),
        (folder / "loop.jsonl", "cannot be read (Too many levels of symbolic links)"),
        (folder / ("a" * 300), "cannot be read (File name too long)"),
        (folder / "a\0b", "cannot be read (embedded null byte)"),
        (folder / "images" / "a.png" / "records.jsonl", "no such records file"),
    ]:
        with pytest.raises(RecordError) as caught:
            read_records(path)
        assert str(caught.value) == f"{path}: {fault}"


@pytest.mark.parametrize("name", ["records.jsonl", "records.parquet"])
def test_a_file_that_may_not_be_read_is_refused_in_one_line(open_folder: Path, name: str) -> None:
    path = open_folder / "data" / name
    write_parquet(path.parent, ROW).rename(path)
    path.chmod(0)
    with read_only(path.parent), pytest.raises(RecordError) as caught:
        read_records(path)
    said = {"records.jsonl": "cannot be read (Permission denied)", "records.parquet": "cannot be read as Parquet ("}
    assert str(caught.value).startswith(f"{path}: {said[name]}")
    assert "\n" not in str(caught.value)


def test_an_empty_file_says_what_is_expected(folder: Path) -> None:
    for content in ("", "\n \n"):
        (folder / "records.jsonl").write_text(content)
        with pytest.raises(RecordError) as caught:
            read_records(folder / "records.jsonl")
        assert str(caught.value) == f"{folder}/records.jsonl: holds no record; expected one JSON object a line"


def test_only_decoding_finds_a_cut_image(folder: Path) -> None:
    path = write(folder, {"image": "images/cut.jpg"})
    assert read_records(path, decode=False)[0].image.size == (40, 20)
    assert "cut.jpg" in faults_of(path)[0]


def test_a_write_that_fails_leaves_the_old_file(folder: Path) -> None:
    path = write(folder, {})
    before = path.read_bytes()
    with pytest.raises(TypeError):
        write_records(path, [ROW, {"image": object()}])
    assert path.read_bytes() == before


def test_a_written_file_is_as_readable_as_any_other(folder: Path) -> None:
    write_records(folder / "new.jsonl", [ROW])
    assert (folder / "new.jsonl").stat().st_mode == (folder / "images/a.png").stat().st_mode


def test_parquet_images_are_put_into_files_named_by_content_once(folder: Path) -> None:
    red, blue = encoded("PNG"), encoded("PNG", "blue")
    path = write_parquet(folder, *({"image": data, "label": "real", "n": n} for n, data in enumerate([red, blue, red])))
    records = read_records(path)
    for record, data, n in zip(records, (red, blue, red), range(3), strict=True):
        assert record.name == f"records.images/{hashlib.sha256(data).hexdigest()[:32]}"
        assert (Path(record.image.path).read_bytes(), record.extra) == (data, {"n": n})
    files = {file: (os.stat(file).st_mtime_ns, os.stat(file).st_ino) for file in (folder / "records.images").iterdir()}
    assert len(files) == 2
    assert read_records(path) == records
    assert {file: (os.stat(file).st_mtime_ns, os.stat(file).st_ino) for file in files} == files


def test_a_null_in_parquet_is_a_field_that_is_absent(folder: Path) -> None:
    """Every row of a Parquet file has every column; JSON Lines would leave it out."""
    rows = [{**ROW, "source": "x", "n": None}, {**ROW, "source": None, "n": 1, "explanation": None, "boxes": None}]
    first, second = read_records(write_parquet(folder, *rows))
    assert (first.extra, second.extra) == ({"source": "x"}, {"n": 1})
    assert (second.explanation, second.boxes_px, second.box_labels) == ("", None, [])


def test_parquet_images_may_be_structs_or_paths(folder: Path) -> None:
    red = encoded("PNG")
    layouts = [{"bytes": red, "path": "b.png"}, {"bytes": red, "path": None}, {"bytes": None, "path": "images/a.png"}]
    rows = [{"image": image, "label": "generated", "boxes": [[1, 2, 3, 4]], "box_labels": None} for image in layouts]
    for record, _ in zip(read_records(write_parquet(folder, *rows)), rows, strict=True):
        assert Path(record.image.path).read_bytes() == red
        assert (record.boxes_px, record.box_labels) == ([[1, 2, 3, 4]], [""])
    assert read_records(write_parquet(folder, ROW))[0].name == "images/a.png"


@contextlib.contextmanager
def read_only(*folders: Path) -> Iterator[None]:
    """Nobody can write to these folders meanwhile; root, who always can, becomes the user nobody."""
    is_root = os.geteuid() == 0
    if is_root and not all(above.stat().st_mode & 0o001 for above in folders[0].parents):
        pytest.skip("temporary folders that only their user may enter")
    for folder in folders:
        folder.chmod(0o555)
    try:
        if is_root:
            os.seteuid(65534)
        yield
    finally:
        if is_root:
            os.seteuid(0)
        for folder in folders:
            folder.chmod(0o755)


@pytest.fixture
def open_folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that every user may enter, and in it a cache folder where every user may write."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        for inside in ("data", "cache"):
            (Path(name) / inside).mkdir()
        (Path(name) / "cache").chmod(0o777)
        monkeypatch.setenv("XDG_CACHE_HOME", f"{name}/cache")
        yield Path(name)


def test_parquet_images_of_a_read_only_folder_are_put_into_the_users_cache(open_folder: Path) -> None:
    red, blue = encoded("PNG"), encoded("PNG", "blue")
    path = write_parquet(open_folder / "data", *({"image": data, "label": "real"} for data in (red, blue, red)))
    images = open_folder / "cache" / "swift_zoomin" / "images"
    with read_only(path.parent):
        records = read_records(path)
        assert read_records(path) == records
    for record, data in zip(records, (red, blue, red), strict=True):
        name = hashlib.sha256(data).hexdigest()[:32]
        assert (record.name, Path(record.image.path)) == (f"records.images/{name}", images / name)
        assert Path(record.image.path).read_bytes() == data
    assert [file.name for file in path.parent.iterdir()] == ["records.parquet"]


def test_parquet_images_that_lie_beside_a_read_only_file_are_used(open_folder: Path) -> None:
    path = write_parquet(open_folder / "data", {"image": encoded("PNG"), "label": "real"})
    records = read_records(path)
    with read_only(path.parent):
        assert read_records(path) == records
    assert Path(records[0].image.path).parent == path.parent / "records.images"
    assert not (open_folder / "cache" / "swift_zoomin" / "images").exists()


def test_parquet_images_that_can_be_written_nowhere_are_one_line(open_folder: Path) -> None:
    path = write_parquet(open_folder / "data", {"image": encoded("PNG"), "label": "real"})
    images = open_folder / "cache" / "swift_zoomin" / "images"
    with read_only(path.parent, open_folder / "cache"), pytest.raises(RecordError) as caught:
        read_records(path)
    nowhere = f"its images cannot be written to {path.parent / 'records.images'} or {images}"
    assert str(caught.value) == f"{path}: {nowhere}; set XDG_CACHE_HOME to a folder that can be written"
    (path.parent / "records.images").write_text("a file where the folder should be")
    with pytest.raises(RecordError, match=r"records\.images/\w{32}: cannot be written \("):
        read_records(path)


def test_damage_inside_a_parquet_file_is_one_line(folder: Path) -> None:
    path = write_parquet(folder, *({"image": "images/a.png", "label": "real", "n": n} for n in range(2000)))
    content = bytearray(path.read_bytes())
    content[4:200] = bytes(196)
    path.write_bytes(content)
    with pytest.raises(RecordError) as caught:
        read_records(path)
    assert str(caught.value).startswith(f"{path}: cannot be read as Parquet (")


@pytest.mark.parametrize("bad", [b"no image", b"", encoded("PNG")[:60], None])
def test_damaged_parquet_images_are_reported_with_their_row(folder: Path, bad: bytes | None) -> None:
    rows = [{"image": data, "label": "real"} for data in [encoded("PNG")] * 69 + [bad]]  # not in the first batch
    [fault] = faults_of(write_parquet(folder, *rows))
    assert fault.startswith("70: image ")


def test_a_label_of_bytes_is_reported(folder: Path) -> None:
    [fault] = faults_of(write_parquet(folder, {**ROW, "label": b"real"}))
    assert fault.startswith("1: label ")


def read_rows(*rows: Any) -> list[Record]:
    with tempfile.TemporaryDirectory() as name:
        (Path(name) / "images").mkdir()
        (Path(name) / "images/a.png").write_bytes(encoded("PNG"))
        write_records(Path(name) / "records.jsonl", rows)
        return read_records(Path(name) / "records.jsonl")


texts = st.text().filter(lambda text: not text_problem(text))
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.just([0, 0, 5, 5]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=6,
)


@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=5))
@settings(max_examples=50, deadline=None)
def test_any_text_survives_writing_and_reading(rows: list[tuple[str, str, str]]) -> None:
    full = {**ROW, "boxes": [[0, 0, 40, 20]]}
    records = read_rows(*({**full, "explanation": a, "box_labels": [b], "source": c} for a, b, c in rows))
    assert [(record.explanation, *record.box_labels, record.extra["source"]) for record in records] == rows


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from([*ROW, "explanation", "boxes", "box_labels", "source"]), values))
@settings(max_examples=300, deadline=None)
def test_any_row_is_a_record_or_a_fault(row: dict[str, Any]) -> None:
    with contextlib.suppress(RecordError):  # no other error
        [record] = read_rows({**ROW, **row})
        assert record.label in ("real", "generated")
        assert isinstance(record.explanation, str)
        assert isinstance(record.box_labels, list)
        assert len(record.box_labels) == len(record.boxes_px or [])
