"""Every kind of image file comes out as upright RGB or as an ImageError; references, crops and squares of them."""

import io
import random
import struct
import zlib
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageChops, ImageDraw
from qwen_vl_utils import vision_process

from swift_zoomin import images
from swift_zoomin.boxes import model_size
from swift_zoomin.images import ImageError, ImageRef, load_references, open_upright, square, upright_size

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
COLOURS = {"R": RED, "G": GREEN, "B": BLUE, "W": WHITE}
CORNERS = [(2, 2), (-3, 2), (2, -3), (-3, -3)]  # upper left, upper right, lower left, lower right


def noise(width: int, height: int) -> Image.Image:
    """A picture of which no two parts are alike."""
    return Image.frombytes("RGB", (width, height), random.Random(width).randbytes(width * height * 3))


def quarters() -> Image.Image:
    """R G over B W, 60 x 40."""
    picture = Image.new("RGB", (60, 40), RED)
    for colour, left, top in [(GREEN, 30, 0), (BLUE, 0, 20), (WHITE, 30, 20)]:
        picture.paste(colour, (left, top, left + 30, top + 20))
    return picture


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def claimed_png(width: int, height: int) -> bytes:
    """A tiny PNG whose header claims any size."""
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)), (b"IDAT", zlib.compress(b"")), (b"IEND", b"")]
    body = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


def encoded(picture: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def limit_tokens(monkeypatch: pytest.MonkeyPatch, least: int, most: int) -> None:
    """The pixel limits, as ms-swift sets them from MIN_PIXELS and MAX_PIXELS (784 pixels a token)."""
    monkeypatch.setattr(vision_process, "IMAGE_MIN_TOKEN_NUM", least)
    monkeypatch.setattr(vision_process, "IMAGE_MAX_TOKEN_NUM", most)


def grey16(*values: int) -> Image.Image:
    return Image.frombytes("I;16", (len(values), 1), struct.pack(f"<{len(values)}H", *values))


def see_through() -> Image.Image:
    picture = Image.new("P", (2, 1))
    picture.putpalette([*RED, *BLUE])
    picture.putpixel((1, 0), 1)
    return picture


LA = Image.frombytes("LA", (3, 1), bytes([100, 255, 100, 0, 100, 51]))
RGBA = Image.frombytes("RGBA", (3, 1), bytes([*RED, 255, *RED, 0, *RED, 51]))


@pytest.mark.parametrize(
    ("picture", "kind", "options", "pixels"),
    [
        (Image.new("L", (1, 1), 77), "PNG", {}, [(77, 77, 77)]),  # one pixel
        (RGBA, "PNG", {}, [RED, WHITE, (255, 204, 204)]),  # 51 / 255 = a fifth of red: 255 - 0.2 * 255
        (LA, "PNG", {}, [(100,) * 3, WHITE, (224,) * 3]),  # 0.2 * 100 + 0.8 * 255
        (see_through(), "PNG", {}, [RED, BLUE]),  # palette
        (see_through(), "PNG", {"transparency": 1}, [RED, WHITE]),  # palette, blue is transparent
        (see_through(), "GIF", {"transparency": 0}, [WHITE, BLUE]),
        (Image.new("RGB", (1, 1), RED), "PNG", {"transparency": RED}, [WHITE]),  # one colour is transparent
        (Image.new("1", (1, 1), 1), "PNG", {}, [WHITE]),
        (grey16(0, 257, 32768, 65535), "PNG", {}, [(0,) * 3, (1,) * 3, (127,) * 3, WHITE]),  # value / 257
        (grey16(0, 257, 32768, 65535), "TIFF", {}, [(0,) * 3, (1,) * 3, (127,) * 3, WHITE]),
        (RGBA, "WEBP", {"lossless": True, "exact": True}, [RED, WHITE, (255, 204, 204)]),
        (Image.new("CMYK", (1, 1), (0, 255, 255, 0)), "TIFF", {}, [RED]),  # full magenta and yellow
    ],
)
def test_every_kind_of_pixel_becomes_rgb_on_white(
    tmp_path: Path, picture: Image.Image, kind: str, options: dict, pixels: list
) -> None:
    (tmp_path / "file").write_bytes(encoded(picture, kind, **options))
    opened = open_upright(tmp_path / "file")
    assert opened.mode == "RGB"
    assert [opened.getpixel((x, 0)) for x in range(opened.width)] == pixels
    assert upright_size(tmp_path / "file") == opened.size == picture.size


def test_a_cmyk_jpeg_keeps_its_colours(tmp_path: Path) -> None:
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    colour = open_upright(tmp_path / "a.jpg").getpixel((8, 8))
    assert max(abs(one - other) for one, other in zip(colour, RED, strict=True)) < 8  # JPEG rounds


def test_an_animated_gif_shows_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (9, 5), colour) for colour in (BLUE, RED, GREEN)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    assert open_upright(tmp_path / "a.gif").getcolors() == [(45, BLUE)]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF"])
@pytest.mark.parametrize(
    ("orientation", "corners"),  # where EXIF says that row 0 and column 0 of the stored R G over B W lie
    [
        (1, "RGBW"),  # top, left
        (2, "GRWB"),  # top, right: mirrored
        (3, "WBGR"),  # bottom, right: turned by 180 degrees
        (4, "BWRG"),  # bottom, left
        (5, "RBGW"),  # left, top: transposed
        (6, "BRWG"),  # right, top: turned clockwise
        (7, "WGBR"),  # right, bottom
        (8, "GWRB"),  # left, bottom: turned anticlockwise
        (9, "RGBW"),  # no such orientation: as stored
    ],
)
def test_a_file_is_opened_upright(tmp_path: Path, kind: str, orientation: int, corners: str) -> None:
    (tmp_path / "file").write_bytes(encoded(quarters(), kind, exif=turned(orientation)))
    opened = open_upright(tmp_path / "file")
    assert opened.size == ((40, 60) if 5 <= orientation <= 8 else (60, 40))
    assert upright_size(tmp_path / "file") == opened.size
    for (x, y), colour in zip(CORNERS, corners, strict=True):
        seen = opened.getpixel((x % opened.width, y % opened.height))
        assert max(abs(one - other) for one, other in zip(seen, COLOURS[colour], strict=True)) < 40  # lossy kinds


@pytest.mark.parametrize(
    "entry",
    [struct.pack("<HHI", 2, 2, 0) + b"6\0", struct.pack("<HHI", 7, 1, 0)[:8] + b"\6", struct.pack("<HHI", 3, 0, 0)],
)
def test_an_orientation_of_a_wrong_type_is_no_orientation(tmp_path: Path, entry: bytes) -> None:
    assert entry
