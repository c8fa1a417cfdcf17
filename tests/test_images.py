"""Every kind of image file comes out as upright RGB or as an ImageError, whatever form it is given in."""

import base64
import io
import re
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest
from made_images import IMAGE_FORMS, encoded, exif, noise
from PIL import Image, features

from swift_zoomin.images import ImageError, ImageRef, open_upright, upright_size

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
PALETTE = Image.frombytes("P", (2, 1), bytes([0, 1]))
PALETTE.putpalette([*RED, *BLUE])
RGBA = Image.frombytes("RGBA", (3, 1), bytes([*RED, 255, *RED, 0, *RED, 51]))
GREY16 = Image.frombytes("I;16", (4, 1), struct.pack("<4H", 0, 257, 32768, 65535))
QUARTERS = Image.frombytes("RGB", (2, 2), bytes([*RED, *GREEN, *BLUE, *WHITE])).resize((60, 40), 0)  # R G over B W


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
@pytest.mark.parametrize("form", IMAGE_FORMS)
def test_an_image_given_itself_is_seen_like_its_file(tmp_path: Path, form: str, orientation: int, kind: str) -> None:
    content = encoded(noise(60, 40), kind, exif=exif(bytes([orientation])))
    (tmp_path / "file").write_bytes(content)
    image = IMAGE_FORMS[form](content)
    upright = open_upright(tmp_path / "file")
    for _ in range(2):  # a Pillow image is left as it was
        assert upright_size(image) == upright.size
        assert open_upright(image).tobytes() == upright.tobytes()
        assert ImageRef.of(image) == ImageRef("", upright.size)


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
