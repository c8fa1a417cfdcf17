"""The contact sheet: which records it shows, where their boxes are drawn, and files that it cannot draw."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_images import encoded, exif
from PIL import Image, ImageColor

from swift_zoomin.annotation.sheet import contact_sheet
from swift_zoomin.drawing import BOX_COLOURS, MARGIN_PX, PANEL_PX, TITLE_PX
from swift_zoomin.records import RecordError

TOP_PX = MARGIN_PX + 2 * TITLE_PX  # where the pictures of a first row begin


def write(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "records.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def drawn(path: Path) -> np.ndarray:
    contact_sheet(path, path.parent / "sheet.png")
    with Image.open(path.parent / "sheet.png") as sheet:
        assert sheet.format == "PNG"
        return np.asarray(sheet.convert("RGB"))


def colours_of(sheet: np.ndarray, row_top: int, columns: int) -> list[tuple[int, ...]]:
    """The colour in the middle of each picture of a row."""
    middles = [MARGIN_PX + index * (PANEL_PX + MARGIN_PX) + PANEL_PX // 2 for index in range(columns)]
    return [tuple(map(int, sheet[row_top + PANEL_PX // 2, middle])) for middle in middles]


def test_generated_records_come_first_and_each_is_shown_once(tmp_path: Path) -> None:
    rows = []
    for number in range(4):
        Image.new("RGB", (40, 40), (50 * number, 100, 200)).save(tmp_path / f"{number}.png")
        rows.append({"image": f"{number}.png", "label": ("real", "generated")[number % 2]})
    sheet = drawn(write(tmp_path, rows))
    assert sheet.shape[1] == MARGIN_PX + 4 * (PANEL_PX + MARGIN_PX)
    assert [colour[0] for colour in colours_of(sheet, TOP_PX, 4)] == [50, 150, 0, 100]


def test_twelve_records_are_shown_in_rows_of_four(tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), "blue").save(tmp_path / "a.png")
    path = write(tmp_path, [{"image": "a.png", "label": ("real", "generated")[number % 2]} for number in range(40)])
    sheet = drawn(path)
    blue = (sheet == (0, 0, 255)).all(-1)
    assert blue.sum() == 12 * PANEL_PX * PANEL_PX
    middle = blue[:, MARGIN_PX + PANEL_PX // 2]
    assert (np.diff(middle.astype(int)) == 1).sum() == 3


def test_boxes_are_drawn_where_they_lie_in_the_upright_image(tmp_path: Path) -> None:
    """800 x 400 on its side is 400 x 800 upright: half as large, 200 x 400, in the middle of its panel."""
    (tmp_path / "a.jpg").write_bytes(encoded(Image.new("RGB", (800, 400)), "JPEG", exif=exif(b"\x06\0\0\0")))
    boxes = [[100, 200, 300, 400], [0, 600, 400, 800]]
    path = write(tmp_path, [{"image": "a.jpg", "label": "real", "boxes": boxes, "box_labels": ["sign", "floor"]}])
    sheet = drawn(path)
    left = MARGIN_PX + 100
    # [100, 200, 300, 400] / 2 is [50, 100, 150, 200]; the last pixels are one less.
    for colour, (x1, y1, x2, y2) in zip(BOX_COLOURS, ([50, 100, 149, 199], [0, 300, 199, 399]), strict=False):
        outline = ImageColor.getrgb(colour)
        for x, y in ((x1, y1), (x2, y1), (x1, y2), (x2, y2), ((x1 + x2) // 2, y2)):
            assert tuple(sheet[TOP_PX + y, left + x]) == outline
        assert tuple(sheet[TOP_PX + (y1 + y2) // 2 + 5, left + (x1 + x2) // 2]) == (0, 0, 0)


def test_the_same_records_make_the_same_sheet_drawn_from_all_of_them(tmp_path: Path) -> None:
    for number in range(30):
        Image.new("RGB", (40, 40), (8 * number, 0, 0)).save(tmp_path / f"{number}.png")
    path = write(tmp_path, [{"image": f"{number}.png", "label": "real"} for number in range(30)])
    sheet = drawn(path)
    assert (drawn(path) == sheet).all()
    assert {colour[0] // 8 for colour in colours_of(sheet, TOP_PX, 4)} != {0, 1, 2, 3}, "the first of the file"


def test_any_text_can_be_drawn(tmp_path: Path) -> None:
    """Too long for a line, in other scripts, with line ends and marks of direction; more boxes than are named."""
    Image.new("RGB", (4, 400)).save(tmp_path / "a.png")
    texts = [
        "",
        "x" * 3000,
        "屋顶的瓦片" * 50,
        "a\n\nb\t\u202ec\u200b",
        "— “writing” …",
        "\u0416\u05d0\u0e01\U0001f600",
    ]
    rows = [
        {
            "image": "a.png",
            "label": "generated",
            "explanation": text,
            "boxes": [[0, 0, 1, 1]] * 30,
            "box_labels": [text] * 30,
            "source": text,
        }
        for text in texts
    ]
    sheet = drawn(write(tmp_path, rows))
    assert sheet.shape[0] < 2 * 1200  # pixels: a long text does not take the sheet


def test_a_file_without_records_makes_a_sheet_that_says_so(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").touch()
    sheet = drawn(tmp_path / "records.jsonl")
    assert sheet.shape[1] == MARGIN_PX + PANEL_PX + MARGIN_PX
    assert (sheet[:TOP_PX] < 100).any()  # a title


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    path = write(tmp_path, [{"image": "gone.png", "label": "real"}])
    with pytest.raises(RecordError, match=r"records\.jsonl:1: image .*gone\.png: no such image file"):
        contact_sheet(path, tmp_path / "sheet.png")
    assert not (tmp_path / "sheet.png").exists()


def test_a_sheet_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").touch()
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file/sheet\.png"):
        contact_sheet(tmp_path / "records.jsonl", tmp_path / "file" / "sheet.png")
