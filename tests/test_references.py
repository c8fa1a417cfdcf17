"""References to images: they say size, window and limits, and are loaded as the pixels the model sees."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made_images import TURNS, encoded, exif, limits, noise, refer
from PIL import Image, ImageChops
from qwen_vl_utils import vision_process

from swift_zoomin import images
from swift_zoomin.boxes import PixelLimits
from swift_zoomin.families import QWEN2_5_VL, QWEN3_VL, TRAINED
from swift_zoomin.images import ImageError, ImageRef, LimitsError, load_references, open_upright

sides = st.integers(0, 10**6)


def test_a_reference_is_short_and_says_size_and_window() -> None:
    reference = ImageRef("/data/a b.png", (4000, 3000))
    assert str(reference) == "zoomin:/data/a%20b.png?size=4000x3000"
    reference = reference.under(PixelLimits(3136, 262144, QWEN2_5_VL))
    assert str(reference) == "zoomin:/data/a%20b.png?size=4000x3000&pixels=3136-262144&family=Qwen2.5-VL"
    assert str(reference.crop([120, 88, 260.5, 190])) == f"{reference}&crop=120,88,261,190"


def test_a_reference_made_for_one_model_is_refused_by_another() -> None:
    reference = ImageRef("/data/a.png", (4000, 3000)).under(PixelLimits(3136, 262144, QWEN2_5_VL))
    assert reference.under(PixelLimits(3136, 262144, QWEN2_5_VL)) == reference
    with pytest.raises(LimitsError, match="prepared for a model that is shown 3136-262144 pixels; this one is shown"):
        reference.under(PixelLimits(3136, 200704, QWEN2_5_VL))
    with pytest.raises(LimitsError, match=r"prepared for a Qwen2\.5-VL, which .* this model is a Qwen3-VL"):
        reference.under(PixelLimits(3136, 262144, QWEN3_VL))


def test_a_reference_from_before_there_were_families_is_qwen2_5_vls() -> None:
    old = ImageRef.parse("zoomin:/data/a.png?size=4000x3000&pixels=3136-262144")
    assert old
    assert old.limits == PixelLimits(3136, 262144, QWEN2_5_VL)


@given(
    st.text(),
    st.tuples(sides, sides),
    st.none() | st.tuples(sides, sides, sides, sides),
    st.none() | st.builds(PixelLimits, sides, sides, st.sampled_from(TRAINED)),
)
@example("", (1, 1), (0, 0, 1, 1), None)  # of the first image, which is no file
@example("/a b/?size=1x1&crop=1,2,3,4%20%/ü\n\t.png", (1, 1), None, PixelLimits(1, 2, QWEN2_5_VL))
@example("/\udcff.png", (1, 1), None, None)  # how Python names a file whose name is not UTF-8
@settings(deadline=None)
def test_a_reference_reads_back_whatever_its_path(path: str, size: Any, window: Any, pixels: Any) -> None:
    reference = ImageRef(path, size, window, pixels)
    assert ImageRef.parse(str(reference)) == reference


@given(st.text().filter(lambda text: not text.startswith("zoomin:")))
@example("/data/a.png?size=1x1")
@example("zoomin:/a?size=1x1&crop=1,2,3")
@example("zoomin:?size=1")
@example("zoomin:/a?size=1x1&pixels=1-2&family=LLaVA")
@example("zoomin:??size=1x1")
def test_other_text_is_no_reference(text: str) -> None:
    assert ImageRef.parse(text) is None


@pytest.mark.parametrize("orientation", [1, *TURNS])
def test_crops_are_the_pixels_of_the_upright_original(tmp_path: Path, orientation: int, monkeypatch: Any) -> None:
    original = noise(400, 500)
    (tmp_path / "a.png").write_bytes(encoded(original, "PNG", exif=exif(bytes([orientation]))))
    original = original.transpose(TURNS[orientation]) if orientation > 1 else original
    opened: list[str] = []
    monkeypatch.setattr(images, "open_upright", lambda path: opened.append(path) or open_upright(path))
    whole = refer(tmp_path / "a.png")
    windows = {  # window: its size for the model, at least 64 tokens
        (13, 7, 265, 231): (252, 224),  # 9 x 8 tokens: no resize
        (99, 50, 379, 330): (280, 280),
        (41, 51, 69, 79): (224, 224),  # 28 x 28 enlarged
        (0, 0, 60, 400): (112, 588),  # times sqrt(50176 / 24000) = 1.446: 86.8 and 578.4, rounded up
    }
    loaded = load_references([whole, *(whole.crop(window) for window in windows), whole])
    seen = original.resize(whole.size_model, Image.Resampling.BICUBIC)
    assert loaded[0].tobytes() == loaded[-1].tobytes() == seen.tobytes()
    for image, (window, size) in zip(loaded[1:], windows.items(), strict=False):
        assert image.tobytes() == original.crop(window).resize(size, Image.Resampling.BICUBIC).tobytes()
    assert opened == [str(tmp_path / "a.png")]  # decoded once


def test_crops_without_a_path_are_cut_from_the_first_image(tmp_path: Path) -> None:
    noise(40, 30).rotate(180).save(tmp_path / "a.png")
    first, file, window = noise(40, 30), refer(tmp_path / "a.png"), (4, 2, 32, 30)
    loaded = load_references([ImageRef("", first.size, limits=limits()).crop(window), file.crop(window)], first)
    for image, original in zip(loaded, (first, Image.open(tmp_path / "a.png")), strict=True):
        assert image.tobytes() == original.crop(window).resize((224, 224), Image.Resampling.BICUBIC).tobytes()
    with pytest.raises(ImageError, match=r"expected \(30, 40\)"):
        load_references([ImageRef("", (30, 40), limits=limits()).crop(window)], first)
    with pytest.raises(ImageError):
        load_references([ImageRef("", (40, 30), limits=limits()).crop(window)])


@pytest.mark.slow
def test_a_whole_image_is_shrunk_to_what_the_model_sees(tmp_path: Path) -> None:
    across = Image.linear_gradient("L").resize((3000, 2000))
    photo = Image.merge("RGB", (across, across.rotate(180), noise(30, 20).resize(across.size).getchannel(0)))
    photo.save(tmp_path / "a.png")
    for most in (16384, 256, 16):
        [seen] = load_references([refer(tmp_path / "a.png", most)])
        assert (
            vision_process.fetch_image({"image": seen, "max_pixels": most * 784}).tobytes() == seen.tobytes()
        )  # not resized again
        in_one_step = photo.resize(seen.size, Image.Resampling.BICUBIC)
        assert max(high for _, high in ImageChops.difference(seen, in_one_step).getextrema()) <= 1


def test_a_file_is_decoded_once_for_many_samples_until_it_changes(tmp_path: Path, monkeypatch: Any) -> None:
    opened: list[str] = []
    monkeypatch.setattr(images, "open_upright", lambda path: opened.append(path) or open_upright(path))
    for times, picture in enumerate((noise(56, 84), noise(56, 84).rotate(180)), 1):
        picture.save(tmp_path / "a.png")
        os.utime(tmp_path / "a.png", ns=(times, times))
        whole = refer(tmp_path / "a.png")
        for references in ([whole], [whole, whole.crop((0, 0, 28, 28))], [whole.crop((28, 28, 56, 56))]):
            loaded = load_references(references)
        assert load_references([whole])[0].tobytes() == picture.tobytes()
        assert (
            loaded[0].tobytes() == picture.crop((28, 28, 56, 56)).resize((224, 224), Image.Resampling.BICUBIC).tobytes()
        )
        assert len(opened) == times


def test_one_file_is_seen_by_each_model_in_its_own_size(tmp_path: Path) -> None:
    noise(280, 280).save(tmp_path / "a.png")
    for tokens, side in ((100, 280), (25, 140), (100, 280)):
        [seen] = load_references([refer(tmp_path / "a.png", tokens)])
        assert seen.size == (side, side)


def test_a_reference_of_another_size_is_refused_though_the_file_is_kept(tmp_path: Path) -> None:
    noise(56, 84).save(tmp_path / "a.png")
    whole = refer(tmp_path / "a.png")
    load_references([whole])
    for other in (replace(whole, size=(56, 85)), replace(whole, size=(56, 85)).crop((0, 0, 28, 28))):
        with pytest.raises(ImageError, match=r"\(56, 84\) pixels now; expected \(56, 85\)"):
            load_references([other])


def test_images_are_kept_by_their_pixels_and_those_used_last_stay(tmp_path: Path, monkeypatch: Any) -> None:
    opened: list[str] = []

    def black(path: str) -> Image.Image:
        opened.append(Path(path).name)
        return Image.new("L", (4000, 3000))

    names = [f"{number}.png" for number in range(images.KEPT_PIXELS // (4000 * 3000) + 1)]  # one too many
    for name in names:
        (tmp_path / name).write_text("stands for an image")
    monkeypatch.setattr(images, "open_upright", black)
    corners = [ImageRef(str(tmp_path / name), (4000, 3000), limits=limits()).crop((0, 0, 28, 28)) for name in names]
    load_references(corners)
    assert opened == names
    load_references(corners[1:])
    assert opened == names
    load_references(corners[:1])
    assert opened == [*names, names[0]]


def test_an_image_too_large_to_be_kept_is_loaded_all_the_same(tmp_path: Path) -> None:
    Image.new("1", (8000, 6001)).save(tmp_path / "a.png")
    whole = refer(tmp_path / "a.png")
    assert images.KEPT_PIXELS < 8000 * 6001
    seen, crop = load_references([whole, whole.crop((0, 0, 9, 9))])
    assert (seen.size, crop.size) == (whole.size_model, (224, 224))


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no files in memory on this system")
def test_of_a_file_without_a_name_nothing_is_kept() -> None:
    file = os.memfd_create("upload")
    os.write(file, encoded(noise(560, 560), "PNG"))
    whole = refer(Path(f"/proc/{os.getpid()}/fd/{file}"))
    before = dict(images._last_used)
    seen, crop = load_references([whole, whole.crop((0, 0, 280, 280))])
    assert (seen.size, crop.size) == (whole.size_model, whole.crop((0, 0, 280, 280)).size_shown)
    assert dict(images._last_used) == before
    os.close(file)
    with pytest.raises(ImageError, match="no such image file"):
        load_references([whole])


@pytest.mark.parametrize("most", [10, 16, 64, 334])
def test_a_crop_is_never_above_the_limit(tmp_path: Path, most: int) -> None:
    noise(400, 300).save(tmp_path / "a.png")
    for window in [(0, 0, 30, 30), (0, 0, 30, 40), (5, 5, 400, 60), (0, 0, 400, 300)]:
        [crop] = load_references([ImageRef(str(tmp_path / "a.png"), (400, 300), window, limits(most))])
        assert crop.width * crop.height <= most * 784
        assert (
            vision_process.fetch_image({"image": crop, "max_pixels": most * 784}).size == crop.size
        )  # not resized again


def test_a_file_that_changed_its_size_is_refused(tmp_path: Path) -> None:
    noise(40, 30).save(tmp_path / "a.png")
    stale = refer(tmp_path / "a.png")
    noise(30, 40).save(tmp_path / "a.png")
    for others in ([], [refer(tmp_path / "a.png")]):  # alone, and after one that knows the right size
        with pytest.raises(ImageError, match=r"a\.png.*expected \(40, 30\)"):
            load_references([*others, stale.crop([0, 0, 9, 9])])
