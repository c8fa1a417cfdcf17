"""`zoomin degrade`: pixels as Pillow makes them, boxes where their pixels are, seeds, and files that tell no label."""

import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from checked_sets import data_set, jpeg, told
from hypothesis import given, settings
from hypothesis import strategies as st
from made_images import noise
from PIL import Image, ImageFilter
from zoomin_command import zoomin_command

from swift_zoomin.evaluation.degradations import Picture, Region, degrade, parse_chain
from swift_zoomin.records import read_records, write_records

zoomin = pytest.fixture(zoomin_command)
ORANGE = (230, 120, 10)


def photograph() -> Image.Image:
    """Large smooth shapes, which recompression and scaling change a little and noise does not."""
    image = Image.linear_gradient("L").resize((201, 150)).convert("RGB")
    image.paste(noise(40, 30), (20, 20))
    return image


def after(chain: str, image: Image.Image, regions: list[Region] | None = None, seed: str = "0 a.png") -> Picture:
    return degrade(Picture(image, regions or []), parse_chain(chain), seed)


def resaved(image: Image.Image, kind: str, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, kind, quality=quality)
    return Image.open(file).convert("RGB")


def test_every_degradation_is_pillows_own_to_the_pixel() -> None:
    image = photograph()
    expected = {
        "jpeg80": resaved(image, "JPEG", 80),
        "jpeg30": resaved(image, "JPEG", 30),
        "webp50": resaved(image, "WEBP", 50),
        "half": image.resize((100, 75), Image.Resampling.BICUBIC),
        "blur": image.filter(ImageFilter.GaussianBlur(1)),
        "half+jpeg30": resaved(image.resize((100, 75), Image.Resampling.BICUBIC), "JPEG", 30),
        "jpeg30+half": resaved(image, "JPEG", 30).resize((100, 75), Image.Resampling.BICUBIC),
    }
    for chain, wanted in expected.items():
        assert after(chain, image).image.tobytes() == wanted.tobytes(), chain
    assert len({picture.tobytes() for picture in expected.values()}) == len(expected)


def test_a_crop_is_a_window_of_the_image_with_three_quarters_of_each_side() -> None:
    image = noise(201, 150)
    rng = random.Random("0 a.png 0 crop")
    left, top = rng.randint(0, 50), rng.randint(0, 38)  # 201 - 151 and 150 - 112
    cropped = after("crop", image).image
    assert cropped.size == (151, 112)  # 0.75 * 201 = 150.75, 0.75 * 150 = 112.5, to even
    assert cropped.tobytes() == image.crop((left, top, left + 151, top + 112)).tobytes()


def test_a_screenshot_is_the_image_at_half_to_full_size() -> None:
    image = photograph()
    sides = set()
    for seed in range(40):
        shot = after("screenshot", image, seed=str(seed)).image
        scale = random.Random(f"{seed} 0 screenshot").uniform(0.5, 1)
        assert shot.size == (round(scale * 201), round(scale * 150))
        assert shot.tobytes() == image.resize(shot.size, Image.Resampling.BILINEAR).tobytes()
        sides.add(shot.width)
    assert min(sides) < 120
    assert max(sides) > 180


def test_noise_has_the_stated_deviation_and_no_bias() -> None:
    grey = Image.new("RGB", (200, 200), (128, 128, 128))
    added = np.asarray(after("noise", grey).image, int) - 128
    assert abs(added.std() - 10) < 0.1  # of 120,000 values: 0.02 is one deviation of it
    assert abs(added.mean()) < 0.15
    white = np.asarray(after("noise", Image.new("RGB", (50, 50), (255, 255, 255))).image)
    assert white.max() == 255
    assert 240 < white.mean() < 255


boxes = st.tuples(st.integers(0, 90), st.integers(0, 60), st.integers(8, 60), st.integers(8, 50))


@given(boxes, st.sampled_from(["crop", "half", "screenshot", "crop+half", "crop+crop"]), st.integers(0, 999))
@settings(max_examples=150, deadline=None)
def test_a_box_still_holds_what_was_painted_in_it(box: tuple[int, int, int, int], chain: str, seed: int) -> None:
    """A rectangle is painted orange in a black image: where it is now, there the box is, to within a pixel."""
    left, top, width, height = box
    rectangle = [left, top, min(left + width, 120), min(top + height, 90)]
    image = Image.new("RGB", (120, 90))
    image.paste(ORANGE, tuple(rectangle))
    found = after(chain, image, [Region([float(side) for side in rectangle], "x")], str(seed))
    red = np.asarray(found.image)[..., 0] > ORANGE[0] / 2
    ys, xs = np.nonzero(red)
    if not found.regions:
        scale = found.image.width * found.image.height / (120 * 90 * (9 / 16) ** chain.count("crop"))
        whole = (rectangle[2] - rectangle[0]) * (rectangle[3] - rectangle[1]) * scale
        assert red.sum() <= 0.35 * whole + 30  # a quarter, of few pixels that scaling has mixed
        return
    [region] = found.regions
    painted = [xs.min(), ys.min(), xs.max() + 1, ys.max() + 1]
    assert np.abs(np.array(region.box_px) - painted).max() <= 1.01
    assert region.label == "x"


@pytest.mark.parametrize(("share", "is_kept"), [(0.24, False), (0.25, True), (0.26, True)])
def test_a_box_of_which_less_than_a_quarter_is_left_is_dropped(share: float, is_kept: bool) -> None:
    """200 x 100 pixels, cut to 150 x 75: a box across the left edge keeps that share of its 100 pixels of width."""
    left = random.Random("0 a.png 0 crop").randint(0, 50)
    top = (lambda rng: (rng.randint(0, 50), rng.randint(0, 25))[1])(random.Random("0 a.png 0 crop"))
    assert left > 0
    start = left - 100 * (1 - share)
    found = after("crop", Image.new("RGB", (200, 100)), [Region([start, top, start + 100, top + 10], "x")])
    assert len(found.regions) == is_kept
    if is_kept:
        assert found.regions[0].box_px == pytest.approx([0, 0, 100 * share, 10])


def test_the_same_seed_gives_the_same_bytes_whatever_stands_beside(tmp_path: Path, zoomin: Callable[..., Any]) -> None:
    source = data_set(tmp_path / "source", each=4)
    lines = source.read_text().splitlines()
    (tmp_path / "source" / "turned.jsonl").write_text("\n".join(reversed(lines)))

    def files(name: str, seed: int, records: Path = source) -> dict[str, bytes]:
        assert zoomin("degrade", records, "--out", tmp_path / name, "--as", "crop+noise", "--seed", seed)[0] == 0
        return {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*") if path.is_file()}

    one = files("one", 7)
    assert one == files("again", 7)
    other = files("other", 8)
    assert all(other[name] != one[name] for name in one if name.endswith(".png"))
    turned = files("turned", 7, tmp_path / "source" / "turned.jsonl")
    assert [turned[f"{7 - number:06}.png"] for number in range(8)] == [one[f"{number:06}.png"] for number in range(8)]


def test_a_record_keeps_its_fields_and_gets_its_new_boxes(tmp_path: Path, zoomin: Callable[..., Any]) -> None:
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg")
    kept = {"label": "real", "explanation": "Sharp.", "source": "coco", "group": 3}
    written = {"boxes": [[10, 5, 21, 9], [0, 0, 0.008, 20]], "box_labels": ["cup", "edge"]}
    rows = [{"image": "a.jpg", **kept, **written}, {"image": "a.jpg", "label": "generated"}]
    rows.append({"image": "a.jpg", "label": "real", "boxes": []})
    write_records(tmp_path / "records.jsonl", [{"source": "x", "group": 1, **row} for row in rows])
    status, out, _ = zoomin("degrade", tmp_path / "records.jsonl", "--out", tmp_path / "out", "--as", "half")
    assert (status, out) == (
        0,
        f"wrote 3 records to {tmp_path}/out/records.jsonl: half, seed 0\n"
        "1 box left out: cut to less than 25%, or too thin to be seen\n",
    )
    first, second, third = map(json.loads, (tmp_path / "out" / "records.jsonl").read_text().splitlines())
    moved = {"boxes": [[5.0, 2.5, 10.5, 4.5]], "box_labels": ["cup"]}
    assert first == {**kept, "image": "images/000000.png", **moved}
    assert "boxes" not in second
    assert (third["boxes"], third["box_labels"]) == ([], [])
    assert [record.image.size for record in read_records(tmp_path / "out" / "records.jsonl")] == [(20, 10)] * 3
    assert json.loads((tmp_path / "out" / "degrade.json").read_text())["as"] == "half"


@pytest.mark.slow
@pytest.mark.parametrize("chain", ["jpeg80", "half"])
def test_no_codec_is_a_label_afterwards(chain: str, tmp_path: Path, zoomin: Callable[..., Any]) -> None:
    unfair = data_set(tmp_path / "unfair", generated=jpeg)
    assert "guessed right from codec" in told(unfair)[0]
    status, out, _ = zoomin("degrade", unfair, "--out", tmp_path / "out", "--as", chain)
    assert status == 0
    line = f"stored as PNG: what {chain} did stays in the pixels, and no file's codec tells its label\n"
    assert (line in out) == (chain == "jpeg80")
    assert zoomin("check", tmp_path / "out" / "records.jsonl", "--strict")[0] == 0
    assert "they give no label away" in told(tmp_path / "out" / "records.jsonl")[0]


def test_an_upright_image_is_degraded_as_it_is_seen(tmp_path: Path, zoomin: Callable[..., Any]) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 20), ORANGE).save(tmp_path / "a.jpg", exif=exif)
    write_records(tmp_path / "records.jsonl", [{"image": "a.jpg", "label": "real", "boxes": [[0, 20, 20, 40]]}])
    assert zoomin("degrade", tmp_path / "records.jsonl", "--out", tmp_path / "out", "--as", "half")[0] == 0
    [record] = read_records(tmp_path / "out" / "records.jsonl")
    assert (record.image.size, record.boxes_px) == ((10, 20), [[0, 10, 10, 20]])
    assert not Image.open(record.image.path).info.get("exif")


@pytest.mark.parametrize("chain", ["", "jpeg", "jpeg0", "jpeg101", "webp1000", "zoom", "half+", "half,crop", "JPEG80"])
def test_what_is_no_degradation_is_refused_with_what_there_is(
    chain: str, tmp_path: Path, zoomin: Callable[..., Any]
) -> None:
    status, _, err = zoomin("degrade", tmp_path / "records.jsonl", "--out", tmp_path / "out", "--as", chain)
    assert status == 2
    assert "there are jpegQ and webpQ (quality Q from 1 to 100), crop, half, blur, noise, screenshot, and chains" in err
    assert not (tmp_path / "out").exists()


def test_nothing_is_overwritten(tmp_path: Path, zoomin: Callable[..., Any]) -> None:
    source = data_set(tmp_path / "source", each=2)
    before = {path: path.read_bytes() for path in (tmp_path / "source").rglob("*") if path.is_file()}
    status, _, err = zoomin("degrade", source, "--out", tmp_path / "source", "--as", "half")
    assert (status, "holds records or their images already; choose another folder" in err) == (1, True)
    (tmp_path / "stopped" / "images").mkdir(parents=True)
    (tmp_path / "stopped" / "images" / "000000.png").write_bytes(b"x")
    assert zoomin("degrade", source, "--out", tmp_path / "stopped", "--as", "half")[0] == 1
    assert {path: path.read_bytes() for path in (tmp_path / "source").rglob("*") if path.is_file()} == before
    assert (tmp_path / "stopped" / "images" / "000000.png").read_bytes() == b"x"


def test_faulty_records_are_refused_before_anything_is_written(tmp_path: Path, zoomin: Callable[..., Any]) -> None:
    source = data_set(tmp_path / "source", each=2)
    source.write_text(source.read_text() + '{"image": "images/gone.png", "label": "real"}\n')
    status, _, err = zoomin("degrade", source, "--out", tmp_path / "out", "--as", "half")
    assert (status, "records.jsonl:5: image" in err) == (1, True)
    assert not (tmp_path / "out").exists()
