"""Every kind of image file comes out as upright RGB or as an ImageError; references, crops and squares of them."""

import base64
import io
import os
import random
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import trainer_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, features
from qwen_vl_utils import vision_process

from swift_zoomin import images
from swift_zoomin.boxes import PixelLimits
from swift_zoomin.images import (
    ImageError,
    ImageRef,
    LimitsError,
    load_references,
    open_upright,
    upright_size,
)
from swift_zoomin.plugin.template import first_image

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
PALETTE = Image.frombytes("P", (2, 1), bytes([0, 1]))
PALETTE.putpalette([*RED, *BLUE])
RGBA = Image.frombytes("RGBA", (3, 1), bytes([*RED, 255, *RED, 0, *RED, 51]))
GREY16 = Image.frombytes("I;16", (4, 1), struct.pack("<4H", 0, 257, 32768, 65535))
QUARTERS = Image.frombytes("RGB", (2, 2), bytes([*RED, *GREEN, *BLUE, *WHITE])).resize((60, 40), 0)  # R G over B W
TURNS = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_270, 8: Image.Transpose.ROTATE_90}
sides = st.integers(0, 10**6)
GIVEN: dict[str, Callable[[bytes], Any]] = {  # forms of an image that is no file, from its bytes
    "bytes": bytes,
    "base64": lambda content: base64.b64encode(content).decode(),
    "URI": lambda content: f"data:image/png;base64,{base64.b64encode(content).decode()}",
    "Pillow": lambda content: Image.open(io.BytesIO(content)),
}


def noise(width: int, height: int) -> Image.Image:
    """A picture of which no two parts are alike."""
    return Image.frombytes("RGB", (width, height), random.Random(0).randbytes(width * height * 3))


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: bytes, kind: int = 3, count: int = 1) -> bytes:
    """EXIF data with this orientation; `kind` 3 is a 16-bit number, 2 text, 7 bytes."""
    return b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<HHHI4sI", 1, 0x0112, kind, count, orientation, 0)


def png_claiming(width: int, height: int) -> bytes:
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0), b"IDAT" + zlib.compress(b"\0"), b"IEND"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(struct.pack(f">I{len(c)}sI", len(c) - 4, c, zlib.crc32(c)) for c in chunks)


EMPTY_AVIF = encoded(noise(8, 8), "AVIF").replace(b"av01", b"none") if features.check("avif") else b""


def size_by(use: Any, path: Path) -> Any:
    """The size that `use` finds, or "refused" for an ImageError that names the file; other errors escape."""
    try:
        return getattr(found := use(path), "size", found)
    except ImageError as error:
        return "refused" if path.name in str(error) else str(error)


def refer(path: Path, tokens: int = 16384) -> ImageRef:
    """To a file, for a model that is shown so many tokens of 28 x 28 pixels; by default Qwen2.5-VL as published."""
    return ImageRef.of(path).under(limits(tokens))


def limits(tokens: int = 16384) -> PixelLimits:
    return PixelLimits(4 * 784, tokens * 784)


@pytest.mark.parametrize(
    ("picture", "kind", "options", "pixels"),
    [
        (Image.new("L", (1, 1), 77), "PNG", {}, [(77, 77, 77)]),  # one pixel
        (RGBA, "PNG", {}, [RED, WHITE, (255, 204, 204)]),  # 51 / 255 = a fifth of red: 0.8 * 255
        (RGBA, "WEBP", {"lossless": True}, [RED, WHITE, (255, 204, 204)]),
        (Image.frombytes("LA", (2, 1), bytes([100, 0, 100, 51])), "PNG", {}, [WHITE, (224, 224, 224)]),  # 20 + 204
        (PALETTE, "PNG", {}, [RED, BLUE]),
        (PALETTE, "PNG", {"transparency": 1}, [RED, WHITE]),  # blue is transparent
        (PALETTE.convert("RGB"), "PNG", {"transparency": RED}, [WHITE, BLUE]),
        (GREY16, "PNG", {}, [(0, 0, 0), (1, 1, 1), (127, 127, 127), WHITE]),  # value / 257
        (Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", {}, [RED] * 16),  # full magenta and yellow
        (PALETTE, "GIF", {"save_all": True, "append_images": [Image.new("P", (2, 1))] * 3}, [RED, BLUE]),  # first frame
    ],
)
def test_every_kind_of_image_becomes_rgb(tmp_path: Path, picture: Any, kind: str, options: Any, pixels: Any) -> None:
    (tmp_path / "file").write_bytes(encoded(picture, kind, **options))
    opened = open_upright(tmp_path / "file")
    assert opened.mode == "RGB"
    assert [opened.getpixel((x, 0)) for x in range(opened.width)] == pixels
    assert upright_size(tmp_path / "file") == opened.size == picture.size


@pytest.mark.parametrize("size", [(1, 1), (20, 4000), (4000, 3000)])
def test_a_photo_of_any_size_opens(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "a.jpg").write_bytes(encoded(Image.new("RGB", size, BLUE), "JPEG", exif=exif(b"\6")))
    opened = open_upright(tmp_path / "a.jpg")
    assert upright_size(tmp_path / "a.jpg") == opened.size == (size[1], size[0])
    assert opened.getpixel((size[1] - 1, 0)) == (0, 0, 254)  # JPEG rounds


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("orientation", "corners"),  # where EXIF says that row 0 and column 0 of the stored R G over B W lie
    [
        (1, [RED, GREEN, BLUE, WHITE]),  # top, left
        (2, [GREEN, RED, WHITE, BLUE]),  # top, right: mirrored
        (3, [WHITE, BLUE, GREEN, RED]),  # bottom, right: turned by 180 degrees
        (4, [BLUE, WHITE, RED, GREEN]),  # bottom, left
        (5, [RED, BLUE, GREEN, WHITE]),  # left, top: transposed
        (6, [BLUE, RED, WHITE, GREEN]),  # right, top: turned clockwise
        (7, [WHITE, GREEN, BLUE, RED]),  # right, bottom
        (8, [GREEN, WHITE, RED, BLUE]),  # left, bottom: turned anticlockwise
        (9, [RED, GREEN, BLUE, WHITE]),  # no such orientation: as stored
    ],
)
def test_a_file_is_opened_upright(tmp_path: Path, kind: str, orientation: int, corners: list[Any]) -> None:
    (tmp_path / "file").write_bytes(encoded(QUARTERS, kind, exif=exif(bytes([orientation]))))
    opened = open_upright(tmp_path / "file")
    assert opened.size == ((40, 60) if 5 <= orientation <= 8 else (60, 40))
    seen = [opened.getpixel((x, y)) for y in (2, opened.height - 3) for x in (2, opened.width - 3)]
    assert [tuple(255 * (value > 127) for value in pixel) for pixel in seen] == corners  # lossy kinds come near
    assert upright_size(tmp_path / "file") == opened.size


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("data", [exif(b"6", 2, 2), exif(b"\6", 7), exif(b"\6\0\6", 3, 2), b"Exif\0\0damaged!"])
def test_damaged_exif_data_means_the_same_for_size_and_pixels(tmp_path: Path, kind: str, data: bytes) -> None:
    (tmp_path / "file").write_bytes(encoded(QUARTERS, kind, exif=data))
    assert size_by(upright_size, tmp_path / "file") == size_by(open_upright, tmp_path / "file")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF"])
def test_a_cut_file_is_an_image_error_that_names_it(tmp_path: Path, kind: str) -> None:
    whole = encoded(noise(64, 48), kind)
    (tmp_path / "cut.img").write_bytes(whole[: len(whole) // 2])
    assert size_by(open_upright, tmp_path / "cut.img") == "refused"
    assert size_by(upright_size, tmp_path / "cut.img") in [(64, 48), "refused"]  # a header may be enough


@pytest.mark.parametrize("use", [open_upright, upright_size, ImageRef.of])
@pytest.mark.parametrize("content", [b"", b"no image\n", png_claiming(30000, 30000), png_claiming(0, 5), EMPTY_AVIF])
def test_what_is_no_image_is_an_image_error_that_names_it(tmp_path: Path, content: bytes, use: Any) -> None:
    (tmp_path / "no.png").write_bytes(content)
    for path in (tmp_path / "no.png", tmp_path / "missing.png", tmp_path):
        assert size_by(use, path) == "refused"


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", [1, 3, 6])
@pytest.mark.parametrize("form", GIVEN)
def test_an_image_given_itself_is_seen_like_its_file(tmp_path: Path, form: str, orientation: int, kind: str) -> None:
    content = encoded(noise(60, 40), kind, exif=exif(bytes([orientation])))
    (tmp_path / "file").write_bytes(content)
    given = GIVEN[form](content)
    upright = open_upright(tmp_path / "file")
    for _ in range(2):  # a Pillow image is left as it was
        assert upright_size(given) == upright.size
        assert open_upright(given).tobytes() == upright.tobytes()
        assert ImageRef.of(given) == ImageRef("", upright.size)
        with trainer_of(limits()):
            assert first_image([given, "/other.png"]) == ImageRef("", upright.size).under(limits())


def test_the_first_image_may_stand_in_any_form(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(content := encoded(noise(60, 40), "PNG"))
    path, data, file = str(tmp_path / "a.png"), ImageRef("", (60, 40)), ImageRef(str(tmp_path / "a.png"), (60, 40))
    for image, expected in (
        ({"bytes": content, "path": "gone.png"}, data),  # the bytes win
        ({"bytes": content, "path": None}, data),
        ({"bytes": None, "path": path}, file),
        ({"path": path}, file),
        ({"bytes": None, "path": str(file)}, file),
        (path, file),
        (str(file), file),
        ("zoomin:/gone.png?size=9x7", ImageRef("/gone.png", (9, 7))),  # not opened
    ):
        with trainer_of(limits()):
            assert first_image([image, "/other.png"]) == expected.under(limits())


@pytest.mark.parametrize("use", [open_upright, upright_size, ImageRef.of])
@pytest.mark.parametrize("name", ["images/a", "images/abc", "/9j/abc", "/9j/abcd", "a" * 300])
def test_a_missing_file_is_named_though_its_name_reads_like_base64(use: Any, name: str) -> None:
    with pytest.raises(ImageError, match=f"^{re.escape(name)}: "):
        use(name)


def test_a_file_whose_name_reads_like_base64_is_a_file(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "images").mkdir()
    noise(60, 40).save(tmp_path / "images/abcde", "PNG")
    assert ImageRef.of("images/abcde") == ImageRef(str(tmp_path / "images/abcde"), (60, 40))


WHOLE = encoded(noise(400, 300), "PNG")
TEXT = base64.b64encode(WHOLE).decode()
URI = "data:image/png;base64,"


@pytest.mark.parametrize(
    "broken",
    [
        *(WHOLE[:20], WHOLE[:200_000], WHOLE[1:], bytes(10**6), b""),
        *(TEXT[:-1], TEXT[:200_000], TEXT[:5000] + "!" + TEXT[5001:], TEXT + "\0", TEXT[4:]),
        *(URI + TEXT[:-1], URI + TEXT[:200_000], URI + TEXT[:5000] + "!" + TEXT[5001:], URI, "data:", URI[:-1] + TEXT),
    ],
    ids=range(16),
)
def test_broken_data_is_an_image_error_that_does_not_repeat_it(broken: bytes | str) -> None:
    for use in (upright_size, ImageRef.of, open_upright):
        try:
            use(broken)
            assert use is not open_upright  # a header may be enough for the others
        except ImageError as error:
            cause: BaseException | None = error
            while cause:  # all that a traceback prints
                assert len(str(cause)) < 300
                cause = cause.__cause__


def test_a_short_broken_uri_is_not_taken_for_a_missing_file() -> None:
    with pytest.raises(ImageError, match=r"^data:image/png;base64,abc: not an image in base64"):
        ImageRef.of("data:image/png;base64,abc")


def test_a_broken_pillow_image_is_an_image_error_too() -> None:
    with pytest.raises(ImageError):
        open_upright(Image.open(io.BytesIO(WHOLE[:200_000])))


def test_an_image_longer_than_200_to_1_is_refused(tmp_path: Path) -> None:
    Image.new("L", (201, 1)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match=r"a\.png: 201x1 pixels; expected an aspect ratio of at most 200"):
        ImageRef.of(tmp_path / "a.png")


def test_a_reference_is_short_and_says_size_and_window() -> None:
    reference = ImageRef("/data/a b.png", (4000, 3000))
    assert str(reference) == "zoomin:/data/a%20b.png?size=4000x3000"
    assert str(reference.crop([120, 88, 260.5, 190])) == f"{reference}&crop=120,88,261,190"
    reference = reference.under(PixelLimits(3136, 262144))
    assert str(reference) == "zoomin:/data/a%20b.png?size=4000x3000&pixels=3136-262144"
    assert str(reference.crop([120, 88, 260.5, 190])) == f"{reference}&crop=120,88,261,190"


def test_a_reference_made_for_one_model_is_refused_by_another() -> None:
    reference = ImageRef("/data/a.png", (4000, 3000)).under(PixelLimits(3136, 262144))
    assert reference.under(PixelLimits(3136, 262144)) == reference
    with pytest.raises(LimitsError, match="prepared for a model that is shown 3136-262144 pixels; this one is shown"):
        reference.under(PixelLimits(3136, 200704))


@given(
    st.text(),
    st.tuples(sides, sides),
    st.none() | st.tuples(sides, sides, sides, sides),
    st.none() | st.builds(PixelLimits, sides, sides),
)
@example("", (1, 1), (0, 0, 1, 1), None)  # of the first image, which is no file
@example("/a b/?size=1x1&crop=1,2,3,4%20%/ü\n\t.png", (1, 1), None, PixelLimits(1, 2))
@example("/\udcff.png", (1, 1), None, None)  # how Python names a file whose name is not UTF-8
@settings(deadline=None)
def test_a_reference_reads_back_whatever_its_path(path: str, size: Any, window: Any, pixels: Any) -> None:
    reference = ImageRef(path, size, window, pixels)
    assert ImageRef.parse(str(reference)) == reference


@given(st.text().filter(lambda text: not text.startswith("zoomin:")))
@example("/data/a.png?size=1x1")
@example("zoomin:/a?size=1x1&crop=1,2,3")
@example("zoomin:?size=1")
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
