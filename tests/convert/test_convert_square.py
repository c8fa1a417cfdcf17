"""`zoomin convert square`, run as a user runs it: squares that pass the check, and nothing overwritten."""

import datetime
from pathlib import Path

import pyarrow.parquet
import pytest
from conftest import ROOT
from PIL import Image
from zoomin_command import BOXED, make_data

from swift_zoomin.images import open_upright
from swift_zoomin.records import read_records, write_records


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_data(tmp_path / "data")


def test_convert_writes_squares_that_pass_the_check(zoomin, data: Path) -> None:
    code, out, _ = zoomin("convert", "square", data / "records.jsonl", data.parent / "square")
    assert code == 0
    assert f"wrote 3 records to {data.parent / 'square' / 'records.jsonl'}" in out
    assert zoomin("check", data.parent / "square" / "records.jsonl")[0] == 0
    records = read_records(data.parent / "square" / "records.jsonl")
    for number, record in enumerate(records):
        with Image.open(record.image.path) as image:
            assert (image.size, image.format) == ((512, 512), "PNG")
            assert image.getpixel((256, 256)) == (200, 40 * number, 0)
    # 60 x 40 keeps columns 10 to 50: [10, 10, 30, 30] is [0, 10, 20, 30] there, times 512 / 40 = 12.8
    assert [record.boxes_px for record in records] == [[[0.0, 128.0, 256.0, 384.0]], None, []]
    assert records[0].box_labels == ["sign"]
    assert records[0].extra == {"source": "gpt-image-1", "original": "images/0.png"}
    assert [record.label for record in records] == ["generated", "real", "real"]
    assert [record.explanation for record in records] == ["The sign melts.", "", "Sharp."]


def test_convert_writes_what_a_person_sees_and_no_profile(zoomin, data: Path) -> None:
    red = ROOT / "tests" / "cases" / "p3_red.png"  # in Display P3
    write_records(data / "records.jsonl", [{"image": str(red), "label": "real"}])
    assert zoomin("convert", "square", data / "records.jsonl", data.parent / "square")[0] == 0
    with Image.open(data.parent / "square" / "images" / "000000.png") as image:
        assert image.getpixel((256, 256)) == open_upright(red).getpixel((16, 16))
        assert not image.info


@pytest.mark.parametrize("records", ["records.jsonl", "others.jsonl"])
def test_convert_overwrites_no_data_set(zoomin, data: Path, records: str) -> None:
    """Its images have the very names that converted ones get."""
    if records == "others.jsonl":
        (data / "records.jsonl").rename(data / records)
    before = {file: file.read_bytes() for file in data.rglob("*.*")}
    code, _, err = zoomin("convert", "square", data / records, data)
    assert (code, "holds records or their images already; choose another folder" in err) == (1, True)
    assert err.endswith(f" where an earlier convert was stopped ({data / records})\n")
    assert {file: file.read_bytes() for file in data.rglob("*.*")} == before
    square = data.parent / "square"
    assert [zoomin("convert", "square", data / records, square)[0] for _ in range(2)] == [0, 1]


def test_convert_overwrites_no_images_of_another_data_set(zoomin, data: Path) -> None:
    others = data.parent / "others"
    (others / "images").mkdir(parents=True)
    (others / "images" / "000000.png").write_bytes(b"theirs")
    (others / "train.jsonl").touch()
    assert zoomin("convert", "square", data / "records.jsonl", others)[0] == 1
    assert (others / "images" / "000000.png").read_bytes() == b"theirs"


@pytest.mark.parametrize("kind", ["a link to images", "pictures alone", "a link to a picture", "a broken link"])
def test_convert_overwrites_no_picture_wherever_it_lies(zoomin, data: Path, kind: str) -> None:
    """Photos that have the very names that converted ones get, in a folder without records."""
    photos, square = data.parent / "photos", data.parent / "square"
    photos.mkdir()
    square.mkdir()
    Image.new("RGB", (30, 30)).save(photos / "000002.png")
    if kind == "a link to images":
        (square / "images").symlink_to(photos)
    elif kind == "pictures alone":
        photos = photos.rename(square / "images")
    else:
        (square / "images").mkdir()
        (square / "images" / "000002.png").symlink_to(photos / ("gone.png" if "broken" in kind else "000002.png"))
    before = {file: file.read_bytes() for file in data.parent.rglob("*") if file.is_file()}
    code, _, err = zoomin("convert", "square", data / "records.jsonl", square)
    named = photos if kind == "a link to images" else square / "images"
    assert (code, err.count("\n"), err.endswith(f"({named / '000002.png'})\n")) == (1, 1, True)
    assert {file: file.read_bytes() for file in data.parent.rglob("*") if file.is_file()} == before


def test_convert_overwrites_no_image_that_it_reads_through_a_link_of_folders(zoomin, data: Path) -> None:
    """Their names are others, but what is converted would lie among what it is made from."""
    (data.parent / "square").mkdir()
    (data.parent / "square" / "images").symlink_to(data / "images")
    code, _, err = zoomin("convert", "square", data / "records.jsonl", data.parent / "square")
    assert (code, err.endswith(f"({data / 'images' / '0.png'})\n")) == (1, True)
    assert sorted(path.name for path in (data / "images").iterdir()) == ["0.png", "1.png", "2.png"]


def test_a_convert_that_was_stopped_is_begun_again_in_an_empty_folder(zoomin, data: Path) -> None:
    square = data.parent / "square"
    assert zoomin("convert", "square", data / "records.jsonl", square)[0] == 0
    (square / "records.jsonl").unlink()  # it is written last
    code, _, err = zoomin("convert", "square", data / "records.jsonl", square)
    assert (code, "empty this one where an earlier convert was stopped" in err) == (1, True)
    for image in (square / "images").iterdir():
        image.unlink()
    assert zoomin("convert", "square", data / "records.jsonl", square)[0] == 0


def test_convert_says_of_boxes_that_vanish_in_a_tiny_square_what_is_true(zoomin, data: Path) -> None:
    # Columns 10..50 of 60 x 40 at 1 pixel: a side of 0.1 is 0.1 / 40 = 0.0025, which rounds to nothing.
    boxes = [[10, 10, 10.1, 10.1], [20, 20, 20.1, 20.1]]
    write_records(data / "records.jsonl", [{**BOXED, "boxes": boxes, "box_labels": ["speck", "dot"]}])
    code, out, _ = zoomin("convert", "square", data / "records.jsonl", data.parent / "square", "--side-px", 1)
    assert (code, "; 2 boxes left out: outside the square, or too small to be seen in it\n" in out) == (0, True)


def test_convert_names_a_field_that_no_json_can_hold_before_it_begins(zoomin, data: Path) -> None:
    row = {"image": "images/1.png", "label": "real", "taken": datetime.date(2026, 1, 2)}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), data / "records.parquet")
    code, _, err = zoomin("convert", "square", data / "records.parquet", data.parent / "square")
    assert code == 1
    assert "images/1.png: taken cannot stand in records.jsonl" in err
    assert not (data.parent / "square").exists()


def test_convert_takes_the_side_in_pixels(zoomin, data: Path) -> None:
    assert zoomin("convert", "square", data / "records.jsonl", data.parent / "square", "--side-px", 64)[0] == 0
    records = read_records(data.parent / "square" / "records.jsonl")
    assert [record.image.size for record in records] == [(64, 64)] * 3


def test_convert_drops_a_box_that_rounds_to_nothing(zoomin, data: Path) -> None:
    # Columns 20..60 show two of three boxes: of the first 0.0003 * 12.8 = 0.004 pixels
    boxes = [[0, 0, 20.0003, 40], [30, 0, 60, 40], [40, 0, 60, 40]]
    write_records(data / "records.jsonl", [{**BOXED, "boxes": boxes, "box_labels": ["sliver", "whole", "half"]}])
    code, out, _ = zoomin("convert", "square", data / "records.jsonl", data.parent / "square")
    assert code == 0
    assert "wrote 1 record to " in out
    assert out.endswith("; 1 box left out: outside the square, or too small to be seen in it\n")
    (record,) = read_records(data.parent / "square" / "records.jsonl")
    assert record.boxes_px == [[128.0, 0.0, 512.0, 512.0], [256.0, 0.0, 512.0, 512.0]]  # 30 - 20 = 10, times 12.8
    assert record.box_labels == ["whole", "half"]
