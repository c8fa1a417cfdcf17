"""`zoomin check`: what it warns of, each by its exact line, with status 0; and that it decodes every image."""

import json
import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from swift_zoomin.checking.command import survey
from swift_zoomin.cli import main
from swift_zoomin.records import RecordError, read_records

Check = Callable[..., list[str]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder for records, with two images, beside another with a third."""
    (tmp_path / "data").mkdir()
    for name in ("data/a.png", "data/b.png", "c.png"):
        save_picture(tmp_path / name)
    return tmp_path / "data"


def save_picture(path: Path) -> None:
    """40 x 20 pixels that are like no other name's."""
    Image.frombytes("RGB", (40, 20), random.Random(path.name).randbytes(2400)).save(path)


def write(folder: Path, *rows: dict[str, Any], name: str = "records.jsonl") -> Path:
    """A records file of these rows; a real image where they do not say."""
    lines = [json.dumps({"image": "a.png", "label": "real", **row}) for row in rows]
    (folder / name).write_text("\n".join(lines))  # no final newline
    return folder / name


@pytest.fixture
def warnings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    """Run `zoomin check` in the folder of a records file, which finds no fault; the lines after its first."""

    def run(path: Path) -> list[str]:
        monkeypatch.chdir(path.parent)
        monkeypatch.setattr("sys.argv", ["zoomin", "check", path.name])
        assert main() == 0
        out, err = capsys.readouterr()
        first, boxes, files, *rest = out.splitlines()
        assert (boxes[:7], files[:7]) == ("boxes: ", "files: ")
        said = {0: "; no fault", 1: "; no fault, 1 warning"}.get(len(rest), f"; no fault, {len(rest)} warnings")
        assert err == ""
        assert first.endswith(said)
        assert all(line.startswith("warning: ") for line in rest)
        return [line.removeprefix("warning: ") for line in rest]

    return run


def test_nothing_is_said_of_records_as_they_should_be(folder: Path, warnings: Check) -> None:
    rows = [{"boxes": [[0, 0, 1, 2]]}, {"image": "b.png", "label": "generated", "boxes": [], "source": "x"}]
    assert warnings(write(folder, *rows)) == []


def test_boxes_that_are_shares_of_the_image(folder: Path, warnings: Check) -> None:
    rows = [{}, {"boxes": [[0.1, 0.2, 0.5, 0.6], [0, 0, 1, 1]]}, {"image": "b.png", "boxes": [[0, 0, 0.5, 1]]}]
    assert warnings(write(folder, {"image": "b.png", "boxes": []}, rows[1])) == [
        # [0.1 * 40, 0.2 * 20, 0.5 * 40, 0.6 * 20]
        "no box exceeds 1 (2 boxes), so they are probably shares of the image; expected pixels: "
        "[0.1, 0.2, 0.5, 0.6] would be [4.0, 4.0, 20.0, 12.0] in its 40x20 image (records.jsonl:2)"
    ]
    [scaled, _] = warnings(write(folder, *rows))
    assert "(3 boxes)" in scaled
    assert scaled.endswith("(records.jsonl:2, records.jsonl:3)")


def test_one_box_of_pixels_shows_that_all_are(folder: Path, warnings: Check) -> None:
    rows = [{"boxes": [[0.1, 0.2, 0.5, 0.6]]}, {"image": "b.png", "boxes": [[0, 0, 1, 1.5]]}]
    assert warnings(write(folder, *rows)) == []


def test_an_image_with_both_labels_however_it_is_named(folder: Path, warnings: Check) -> None:
    (folder / "link.png").symlink_to("b.png")
    rows = [{}, {"image": "b.png"}, {"image": "./a.png", "label": "generated"}]
    assert warnings(write(folder, *rows)) == ["1 image has both labels: a.png (records.jsonl:1, records.jsonl:3)"]
    assert warnings(write(folder, *rows, {"image": "link.png", "label": "generated"})) == [
        "2 images have both labels: a.png (records.jsonl:1, records.jsonl:3), b.png (records.jsonl:2, records.jsonl:4)"
    ]


def test_an_image_in_several_records(folder: Path, warnings: Check) -> None:
    assert warnings(write(folder, {}, {"image": "b.png"}, {})) == [
        "1 image stands in several records: a.png (records.jsonl:1, records.jsonl:3)"
    ]
    more = [{"image": "b.png"}] * 2
    assert warnings(write(folder, *[{}] * 4, *more)) == [
        "2 images stand in several records: a.png (records.jsonl:1, records.jsonl:2, records.jsonl:3, ...), "
        "b.png (records.jsonl:5, records.jsonl:6)"
    ]


def test_images_outside_the_folder_of_the_file(folder: Path, warnings: Check) -> None:
    absolute = str(folder / "a.png")
    assert warnings(write(folder, {"image": "b.png"}, {"image": "../c.png"})) == [
        "1 image is named by an absolute path or outside the file's folder: ../c.png (records.jsonl:2)"
    ]
    assert warnings(write(folder, {"image": absolute}, {"image": "../data/../c.png"})) == [
        "2 images are named by an absolute path or outside the file's folder: "
        f"{absolute} (records.jsonl:1, records.jsonl:2)"
    ]
    (folder / "link.png").symlink_to("../c.png")
    assert warnings(write(folder, {"image": "link.png"})) == [
        "1 image is named by an absolute path or outside the file's folder: link.png (records.jsonl:1)"
    ]
    assert warnings(write(folder, {"image": "../data/a.png"})) == []  # a way round, and back


def test_a_folder_reached_through_a_link_is_its_own_place(folder: Path) -> None:
    write(folder, {})
    (folder.parent / "link").symlink_to("data")
    [found, _, _], _ = survey([folder.parent / "link" / "records.jsonl"])
    assert found == "1 record: 1 real, 0 generated, 0 boxes; no fault"


def test_fields_that_ms_swift_means_something_by(folder: Path, warnings: Check) -> None:
    rows = [{"objects": ["car"], "source": "x"}, {"image": "b.png", "tools": "pen", "objects": ["sign"]}]
    assert warnings(write(folder, *rows)) == [
        "objects is a name of ms-swift's own: in training the column of this field is zoomin_objects "
        "(2 records: records.jsonl:1, records.jsonl:2)",
        "tools is a name of ms-swift's own: in training the column of this field is zoomin_tools "
        "(1 record: records.jsonl:2)",
    ]


def test_a_file_that_training_would_not_find(folder: Path, warnings: Check) -> None:
    for name, warned in [("train.json", True), ("train.jsonl", False)]:
        line = f"training finds records by the end of the file's name: expected .jsonl or .parquet ({name})"
        assert warnings(write(folder, {}, name=name)) == [line] * warned
    rows = [{"image": (folder / "a.png").read_bytes(), "label": "real"}]
    pyarrow.parquet.write_table(pa.Table.from_pylist(rows), folder / "train.parquet")
    assert warnings(folder / "train.parquet") == []


def test_a_name_that_cannot_be_printed_is_escaped(folder: Path, warnings: Check) -> None:
    for name in ("caf\udce9.png", "a\nb.png"):  # bytes that are no UTF-8; a line break
        os.replace(folder / "a.png", folder / name)
        [line] = warnings(write(folder, {"image": name}, {"image": name, "label": "generated"}))
        os.replace(folder / name, folder / "a.png")
        shown = name.encode("unicode_escape").decode()
        assert line == f"1 image has both labels: {shown} (records.jsonl:1, records.jsonl:2)"


def test_faults_are_still_the_end(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    path = write(folder, {"boxes": [[0, 0, 1, 1]]}, {"label": "fake"})
    monkeypatch.setattr("sys.argv", ["zoomin", "check", str(path)])
    assert main() == 1
    assert capsys.readouterr() == ("", f'zoomin: {path}:2: label "fake"; expected "real" or "generated"\n')


def test_damage_that_leaves_time_and_size_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    """An earlier reading has decoded the image, and is not asked."""
    path, image = write(folder, {}), folder / "a.png"
    read_records(path)
    before = image.stat()
    image.write_bytes(image.read_bytes()[:40].ljust(before.st_size, b"\0"))
    os.utime(image, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert len(read_records(path)) == 1
    monkeypatch.setattr("sys.argv", ["zoomin", "check", str(path)])
    assert main() == 1
    assert f"zoomin: {path}:1: image {image}: " in capsys.readouterr().err
    with pytest.raises(RecordError):  # training does not trust it any longer either
        read_records(path)


rows = st.fixed_dictionaries(
    {"image": st.sampled_from(["a.png", "./b.png", "../c.png"]), "label": st.sampled_from(["real", "generated"])},
    optional={"boxes": st.just([[0, 0, 0.5, 1]]), "objects": st.just("car"), "source": st.just("x")},
)


@pytest.mark.slow
@given(st.lists(rows, min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_each_warning_is_one_line_and_counted(tmp_path_factory: pytest.TempPathFactory, rows: list[dict]) -> None:
    folder = tmp_path_factory.mktemp("any") / "data"
    folder.mkdir()
    for name in ("a.png", "b.png", "../c.png"):
        save_picture(folder / name)
    (first, _, _, *rest), _ = survey([write(folder, *rows)])
    named = [row["image"] for row in rows]
    labels = {name: {row["label"] for row in rows if row["image"] == name} for name in named}
    expected = {
        "no box exceeds 1": any("boxes" in row for row in rows),
        "both labels": any(len(of_image) == 2 for of_image in labels.values()),
        "in several records": any(named.count(name) > 1 for name in named if len(labels[name]) == 1),
        "an absolute path": "../c.png" in named,
        "objects is a name": any("objects" in row for row in rows),
    }
    assert [any(words in line for line in rest) for words in expected] == list(expected.values())
    assert len(rest) == sum(expected.values())
    boxes = sum("boxes" in row for row in rows)
    assert first.startswith("1 record: " if len(rows) == 1 else f"{len(rows)} records: ")
    assert f"generated, {'1 box' if boxes == 1 else f'{boxes} boxes'}; no fault" in first
    assert not any("\n" in line for line in rest)
