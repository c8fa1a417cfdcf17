"""Boxes of a file as it is stored lie on the same pixels once EXIF has turned it upright."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_data_sets import defake_row
from PIL import Image, ImageChops
from zoomin_command import zoomin_command

from swift_zoomin.convert.frames import upright_box
from swift_zoomin.pictures import open_upright, stored_orientation
from swift_zoomin.records import read_records

SIZE, BOX = (60, 40), [8, 4, 30, 14]  # a box nearer to the left and to the top, so that no turn looks like another
ORIENTATIONS = range(1, 9)


def save_turned(path: Path, orientation: int) -> Path:
    """A red box on blue, stored with this orientation."""
    image = Image.new("RGB", SIZE, (0, 0, 255))
    image.paste((255, 0, 0), tuple(BOX))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"compression": "raw"} if path.suffix == ".tif" else {}
    image.save(path, exif=exif, quality=95, **options)
    return path


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_a_converted_box_lies_on_what_it_lay_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path, orientation: int, suffix: str
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    path = save_turned(data / f"turned{suffix}", orientation)
    assert stored_orientation(path) == orientation
    (data / "rows.jsonl").write_text(json.dumps(defake_row(path.name, "Red.", ["red"], [BOX])))
    run: Callable[..., tuple[int, str, str]] = zoomin_command(monkeypatch, capsys)
    assert run("convert", "mllm-defake", data, "--out", tmp_path / "out")[0] == 0
    (record,) = read_records(tmp_path / "out" / "records.jsonl")
    assert record.boxes_px is not None
    (box,) = record.boxes_px
    upright = open_upright(path)
    painted = Image.new("RGB", upright.size, (0, 0, 255))
    painted.paste((255, 0, 0), tuple(map(round, box)))
    difference = ImageChops.difference(upright, painted).convert("L").point(lambda level: 255 * (level > 60))
    assert difference.histogram()[255] <= (0 if suffix in (".png", ".tif") else 60)  # lossy codecs blur the edges


@given(st.sampled_from(ORIENTATIONS), st.lists(st.floats(-20, 80), min_size=4, max_size=4))
def test_an_upright_box_stays_inside_and_keeps_its_sides(orientation: int, numbers: list[float]) -> None:
    stored = (60, 40)
    size = stored if orientation < 5 else stored[::-1]
    x1, y1, x2, y2 = upright_box(numbers, size, orientation)
    assert 0 <= x1 <= x2 <= size[0]
    assert 0 <= y1 <= y2 <= size[1]
    inside = upright_box(numbers, stored, 1)
    sides = (inside[2] - inside[0], inside[3] - inside[1])
    assert (x2 - x1, y2 - y1) == pytest.approx(sides if orientation < 5 else sides[::-1])


@pytest.mark.parametrize("orientation", [0, 9, 255])
def test_an_orientation_that_means_nothing_turns_nothing(tmp_path: Path, orientation: int) -> None:
    assert stored_orientation(save_turned(tmp_path / "a.jpg", orientation)) == 1
