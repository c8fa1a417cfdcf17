"""The picture that models are shown: its size passes through servers unchanged, and nothing of it is lost."""

import base64
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo
from qwen_vl_utils import vision_process

from swift_zoomin.annotation.sent import LEAST_MAX_PIXELS, MAX_PIXELS, look, png_data_uri, size_to_send
from swift_zoomin.boxes import Size
from swift_zoomin.pictures import ImageError, open_upright

SIDES = st.integers(1, 20_000)
PATCHES = st.sampled_from([28, 32])
# The least and most pixels of transformers, of vLLM and ms-swift (from the models' files), and of hosted Qwens.
SERVERS = [(56 * 56, 1280 * 28 * 28), (4 * 28 * 28, 16384 * 28 * 28), (65_536, 16_777_216), (65_536, 1280 * 28 * 28)]


@given(SIDES, SIDES, PATCHES, st.integers(LEAST_MAX_PIXELS, 20_000_000))
def test_a_size_to_send_is_that_of_qwen_vl_utils(width: int, height: int, patch_px: int, max_pixels: int) -> None:
    if max(width, height) > 200 * min(width, height):
        return
    expected = vision_process.smart_resize(height, width, patch_px, 256 * patch_px**2, max_pixels)
    try:
        sent = size_to_send((width, height), patch_px, max_pixels)
    except ImageError:
        assert 0 in expected
    else:
        assert sent == expected[::-1]


@pytest.mark.parametrize(("least", "most"), SERVERS)
@given(SIDES, SIDES, PATCHES)
def test_servers_leave_the_size_as_it_is(least: int, most: int, width: int, height: int, patch_px: int) -> None:
    if max(width, height) > 100 * min(width, height):
        return
    sent = size_to_send((width, height), patch_px, MAX_PIXELS)
    assert vision_process.smart_resize(sent[1], sent[0], patch_px, least, most) == sent[::-1]


@pytest.mark.parametrize(
    ("size", "sent"),
    [
        ((512, 512), (504, 504)),  # 18 tokens a side, 324 in all
        ((100, 100), (448, 448)),  # enlarged to 256 tokens
        ((4000, 3000), (1148, 840)),  # divided by sqrt(12,000,000 / 1,003,520) = 3.458: 1156.7 and 867.5, cut to 28s
        ((1000, 10), (4480, 56)),  # times sqrt(200,704 / 10,000) = 4.48: 4480 and 44.8, which becomes two tokens
    ],
)
def test_sizes_by_hand(size: Size, sent: Size) -> None:
    assert size_to_send(size, 28, MAX_PIXELS) == sent


def decoded(uri: str) -> Image.Image:
    head, _, content = uri.partition(",")
    assert head == "data:image/png;base64"
    return Image.open(io.BytesIO(base64.b64decode(content)))


def test_pixels_arrive_as_they_were(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (448, 476, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    sent = decoded(png_data_uri(tmp_path / "a.png", (476, 448)))
    assert np.array_equal(np.asarray(sent), pixels)


def test_a_turned_photograph_is_sent_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    image = Image.new("RGB", (560, 448), "white")
    image.paste("red", (0, 0, 280, 448))  # the left half becomes the upper one
    image.save(tmp_path / "a.jpg", exif=exif, quality=95)
    file = look(tmp_path / "a.jpg")
    assert file.size == (448, 560)
    sent = decoded(png_data_uri(file.path, file.size))
    assert sent.size == (448, 560)
    upper, lower = sent.getpixel((224, 100)), sent.getpixel((224, 460))
    assert isinstance(upper, tuple)
    assert isinstance(lower, tuple)
    assert upper[1] < 60
    assert lower[1] > 200


def test_files_of_one_content_are_known_as_one(tmp_path: Path) -> None:
    for name, colour in (("a.png", 1), ("b.png", 1), ("c.png", 2)):
        Image.new("RGB", (30, 30), (colour, 0, 0)).save(tmp_path / name)
    a, b, c = (look(tmp_path / name).digest for name in ("a.png", "b.png", "c.png"))
    assert a == b != c


def chunk_kinds(content: bytes) -> list[bytes]:
    kinds, start = [], 8
    while start < len(content):
        length, kind = struct.unpack_from(">I4s", content, start)
        kinds.append(kind)
        start += 12 + length
    return kinds


def test_a_plain_png_is_sent_as_it_is_stored(tmp_path: Path) -> None:
    Image.new("RGB", (448, 448), "teal").save(tmp_path / "a.png", compress_level=9, dpi=(72, 72))
    stored = (tmp_path / "a.png").read_bytes()
    sent = base64.b64decode(png_data_uri(tmp_path / "a.png", (448, 448)).partition(",")[2])
    assert chunk_kinds(stored) == [b"IHDR", b"pHYs", b"IDAT", b"IEND"]
    assert sent == stored.replace(stored[33:54], b"")  # the signature's 8 bytes, the header's 25, pHYs's 21


@pytest.mark.parametrize("said", ["exif", "icc_profile", "pnginfo", "transparency"])
def test_what_a_png_says_besides_its_pixels_is_never_sent(tmp_path: Path, said: str) -> None:
    exif, text = Image.Exif(), PngInfo()
    exif[0x0112] = 3  # to be turned upside down
    text.add_text("parameters", "a prompt")
    value = {
        "exif": exif,
        "icc_profile": ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        "pnginfo": text,
        "transparency": (0, 128, 128),
    }[said]
    image = Image.new("RGB", (448, 448), "teal")
    image.paste("red", (0, 0, 448, 10))
    image.save(tmp_path / "a.png", **{said: value})
    sent = base64.b64decode(png_data_uri(tmp_path / "a.png", (448, 448)).partition(",")[2])
    assert set(chunk_kinds(sent)) == {b"IHDR", b"IDAT", b"IEND"}
    shown = np.asarray(Image.open(io.BytesIO(sent)))
    assert np.array_equal(shown, np.asarray(open_upright(tmp_path / "a.png")))


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "I;16"])
def test_a_png_of_another_mode_arrives_in_rgb(tmp_path: Path, mode: str) -> None:
    Image.new("L", (448, 448), 77).convert(mode).save(tmp_path / "a.png")
    sent = decoded(png_data_uri(tmp_path / "a.png", (448, 448)))
    assert sent.mode == "RGB"
    assert np.array_equal(np.asarray(sent), np.asarray(open_upright(tmp_path / "a.png")))


@pytest.mark.parametrize("damage", ["cut", "bit"])
def test_a_damaged_png_is_not_sent(tmp_path: Path, damage: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (448, 448, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    if damage == "cut":
        del content[len(content) // 2 :]
    else:
        content[len(content) // 2] ^= 1
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ImageError):
        png_data_uri(tmp_path / "a.png", (448, 448))
