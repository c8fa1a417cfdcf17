"""Damaged files whose pixels are whole are shown; those whose pixels are cut are refused."""

import base64
import io
import itertools
import logging
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile
from profiles import DISPLAY_P3, rgb_profile, to_srgb

from swift_zoomin import repairs
from swift_zoomin.pictures import ImageError, open_upright, upright_size

CASES = Path(__file__).parent / "cases"
PICTURE = Image.frombytes("RGB", (15, 10), Random(0).randbytes(450)).resize((60, 40), Image.Resampling.BICUBIC)
EXIF_TURNED = b"II*\0\x08\0\0\0" + struct.pack("<HHHI4sI", 1, 0x0112, 3, 1, b"\6\0\0\0", 0)
MEGABYTE = 1 << 20


def encoded(picture: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes, wrong: bool = False) -> bytes:
    checksum = zlib.crc32(kind + data) ^ wrong
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", checksum)


def png_with(chunks: bytes, late: bool = False) -> bytes:
    content = encoded(PICTURE, "PNG")
    place = content.index(b"IEND") - 4 if late else content.index(b"IDAT") - 4
    return content[:place] + chunks + content[place:]


HARMLESS = {
    "a text of 2 MB": chunk(b"tEXt", b"k\0" + b"x" * 2 * MEGABYTE),
    "a compressed text of 2 MB": chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(2 * MEGABYTE))),
    "an international text of 2 MB": chunk(b"iTXt", b"k\0\1\0\0\0" + zlib.compress(bytes(2 * MEGABYTE))),
    "texts of 70 MB together": chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(MEGABYTE - 1))) * 70,
    "XMP data of 2 MB": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + zlib.compress(bytes(2 * MEGABYTE))),
    "a text of an unknown compression": chunk(b"zTXt", b"k\0\7" + zlib.compress(b"text")),
    "a text that is called like a property": chunk(b"tEXt", b"transparency\0no"),
    "another": chunk(b"tEXt", b"bbox\0no"),
    "EXIF data that are none": chunk(b"eXIf", b"\0\x08\0\2\1\x12\0\3\0\0"),
    "no EXIF data": chunk(b"eXIf", b""),
    "EXIF data of ImageMagick that are none": chunk(b"tEXt", b"Raw profile type exif\0\nexif\n  10\nzzzz\n"),
    "compressed EXIF data where bytes are due": chunk(b"zTXt", b"exif\0\0" + zlib.compress(b"text")),
    "a short gamma": chunk(b"gAMA", b"\0"),
    "short chromaticities": chunk(b"cHRM", b"\0" * 8),
    "a short resolution": chunk(b"pHYs", b"\0"),
}
WITH_CHECKSUM = {
    "text": chunk(b"tEXt", b"k\0text", wrong=True),
    "EXIF data": chunk(b"eXIf", EXIF_TURNED, wrong=True),
    "unknown chunk": chunk(b"prVt", b"text", wrong=True),
    "resolution": chunk(b"pHYs", bytes(9), wrong=True),
}


@pytest.mark.parametrize("late", [False, True], ids=["before the pixels", "behind the pixels"])
@pytest.mark.parametrize("fault", HARMLESS)
def test_a_png_whose_texts_are_damaged_is_shown(tmp_path: Path, fault: str, late: bool) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(png_with(HARMLESS[fault], late))
    for image in (path, path.read_bytes(), base64.b64encode(path.read_bytes()).decode()):
        assert upright_size(image) == (60, 40)
        assert open_upright(image).tobytes() == PICTURE.tobytes()


@pytest.mark.parametrize("fault", WITH_CHECKSUM)
def test_a_wrong_checksum_of_what_pixels_do_not_need_is_no_fault(fault: str) -> None:
    content = png_with(WITH_CHECKSUM[fault])
    assert upright_size(content) == (60, 40)
    assert open_upright(content).tobytes() == PICTURE.tobytes()


@pytest.mark.parametrize("name", ["exif_bad.png", "exif_magick_bad.png", "big_zTXt.png"])
def test_a_case_from_outside_is_shown(name: str) -> None:
    content = (CASES / name).read_bytes()
    opened = open_upright(CASES / name)
    assert opened.size == upright_size(CASES / name)
    rows = zlib.decompressobj().decompress(content[content.index(b"IDAT") + 4 :])
    channels = {0: 1, 2: 3}[content[25]]
    assert len(rows) == opened.height * (1 + channels * opened.width)  # whole: each row has its filter and its pixels
    chunks = ((b"IHDR", content[16:29]), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    plain = b"\x89PNG\r\n\x1a\n" + b"".join(chunk(kind, data) for kind, data in chunks)
    assert opened.tobytes() == Image.open(io.BytesIO(plain)).convert("RGB").tobytes()


def test_what_a_damaged_png_needs_is_kept() -> None:
    bad = HARMLESS["a compressed text of 2 MB"]
    data = b"Exif\0\0" + EXIF_TURNED
    magick = f"\nexif\n{len(data):8}\n{data.hex()}\n".encode()
    for turned in (chunk(b"eXIf", EXIF_TURNED), chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(magick))):
        for content in (png_with(bad + turned), png_with(turned + bad), png_with(bad + turned, late=True)):
            assert upright_size(content) == open_upright(content).size == (40, 60)
    key = chunk(b"tRNS", struct.pack(">3H", *PICTURE.getpixel((3, 5))))  # type: ignore[misc]
    assert open_upright(png_with(key + bad)).getpixel((3, 5)) == (255, 255, 255)
    profile = chunk(b"iCCP", b"p\0\0" + zlib.compress(rgb_profile(DISPLAY_P3)))
    expected = to_srgb(np.asarray(PICTURE), DISPLAY_P3)
    assert abs(np.asarray(open_upright(png_with(profile + bad))).astype(int) - expected).max() <= 2


@pytest.mark.parametrize("fault", ["a text that is called like a property", "a compressed text of 2 MB"])
def test_behind_the_pixels_no_checksum_is_looked_at_whatever_stands_before_them(fault: str) -> None:
    turned = chunk(b"eXIf", EXIF_TURNED, wrong=True)
    content = png_with(turned, late=True)
    place = content.index(b"IDAT") - 4
    content = content[:place] + HARMLESS[fault] + content[place:]
    assert upright_size(content) == open_upright(content).size == (40, 60)


def test_a_profile_of_a_megabyte_and_a_half_is_applied() -> None:
    profile = rgb_profile(DISPLAY_P3) + Random(0).randbytes(3 * MEGABYTE // 2)
    profile = struct.pack(">I", len(profile)) + profile[4:]
    picture = Image.merge(
        "RGB", (PICTURE.getchannel(0), PICTURE.getchannel(0).rotate(180), Image.new("L", (60, 40), 9))
    )
    content = encoded(picture, "PNG", icc_profile=profile)
    expected = to_srgb(np.asarray(picture), DISPLAY_P3)
    assert abs(expected.astype(int) - np.asarray(picture)).max() > 50
    assert upright_size(content) == (60, 40)
    assert abs(np.asarray(open_upright(content)).astype(int) - expected).max() <= 2


@pytest.mark.parametrize("data", [rgb_profile(DISPLAY_P3), bytes(17 * MEGABYTE)], ids=["wrong checksum", "17 MB"])
def test_a_profile_that_is_left_out_is_said(tmp_path: Path, caplog: Any, data: bytes) -> None:
    profile = chunk(b"iCCP", b"p\0\0" + zlib.compress(data), wrong=len(data) < MEGABYTE)
    (tmp_path / "a.png").write_bytes(png_with(profile))
    with caplog.at_level(logging.WARNING):
        assert open_upright(tmp_path / "a.png").tobytes() == PICTURE.tobytes()
    [record] = caplog.records
    assert record.getMessage().startswith(f"{tmp_path / 'a.png'}: colour profile ignored (it is broken")


def flipped(content: bytes, kind: bytes) -> bytes:
    """With one bit of the data of this chunk the other way round."""
    place = content.index(kind) + 4
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


DAMAGED_PNG: dict[str, Callable[[], bytes]] = {
    "header": lambda: flipped(encoded(PICTURE, "PNG"), b"IHDR"),
    "palette": lambda: flipped(encoded(PICTURE.convert("P"), "PNG"), b"PLTE"),
    "half": lambda: encoded(PICTURE, "PNG")[:2000],
    "half and a bad text": lambda: png_with(HARMLESS["a text of an unknown compression"])[:2000],
}


@pytest.mark.parametrize("fault", DAMAGED_PNG)
def test_a_png_whose_pixels_are_damaged_stays_refused(tmp_path: Path, fault: str) -> None:
    (tmp_path / "a.png").write_bytes(DAMAGED_PNG[fault]())
    with pytest.raises(ImageError, match=r"a\.png: (not a readable|damaged) image \(.*(IHDR|PLTE|truncated)"):
        open_upright(tmp_path / "a.png")


JPEGS: dict[str, dict[str, Any]] = {
    "sequential": {},
    "progressive": {"progressive": True},
    "with marks to restart at": {"restart_marker_rows": 1},
    "progressive with marks": {"progressive": True, "restart_marker_blocks": 3},
    "its own code": {"optimize": True, "quality": 30},
}
MODES = ["RGB", "L", "CMYK"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_without_its_end_mark_is_shown(kind: str, mode: str) -> None:
    content = encoded(PICTURE.convert(mode), "JPEG", **JPEGS[kind])
    whole = open_upright(content)
    for tail in (b"", bytes(1), bytes(5000)):  # zeros: a block of a disk that was not filled
        assert open_upright(content[:-2] + tail).tobytes() == whole.tobytes()
        assert upright_size(content[:-2] + tail) == (60, 40)


def test_pixels_may_end_in_zeros() -> None:
    endings = set()
    for side in range(60, 120):
        picture = Image.linear_gradient("L").resize((side, 60)).convert("RGB")
        content = encoded(picture, "JPEG")
        endings.add(content[-3])
        for tail in (b"", bytes(100)):
            assert open_upright(content[:-2] + tail).tobytes() == open_upright(content).tobytes()
    assert 0 in endings


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_that_is_cut_stays_refused(tmp_path: Path, kind: str, mode: str) -> None:
    content = encoded(PICTURE.convert(mode), "JPEG", **JPEGS[kind])
    whole = open_upright(content).tobytes()
    scans = scan_starts(content)
    first = min(scans) + 20
    places = {*range(first, len(content) - 8, len(content) // 40), *restart_marks(content), *scans}
    for place in places:
        (tmp_path / "a.jpg").write_bytes(content[:place])
        seen = pixels_or_error(tmp_path / "a.jpg")
        if isinstance(seen, bytes):
            assert (mode, seen) == ("CMYK", whole)  # the black ink is empty here, and has no pixel to lose
        else:
            assert seen.startswith(f"{tmp_path / 'a.jpg'}: ")
            assert "truncated" in seen or place == min(scans)


def test_a_progressive_jpeg_that_was_filled_up_with_zeros_stays_refused() -> None:
    content = encoded(PICTURE, "JPEG", progressive=True)
    for lost in (30, 100, len(content) // 3):
        with pytest.raises(ImageError, match="truncated"):
            open_upright(content[:-lost] + bytes(5000))


def test_an_image_that_is_too_large_is_not_decoded_for_its_end_mark(monkeypatch: Any) -> None:
    monkeypatch.setenv("ZOOMIN_MAX_MEGAPIXELS", "0.001")
    monkeypatch.setattr(repairs, "_jpeg_pixels", lambda content: pytest.fail("decoded"))
    with pytest.raises(ImageError, match="60x40 pixels; expected at most"):
        open_upright(encoded(PICTURE, "JPEG")[:-2])


def pixels_or_error(path: Path) -> bytes | str:
    try:
        return open_upright(path).tobytes()
    except ImageError as error:
        return str(error)


def restart_marks(content: bytes) -> set[int]:
    """Behind each mark, and before it: there no compressed pixel is cut in two."""
    pixels = content.index(b"\xff\xda")
    places = [place for place in range(pixels, len(content) - 1) if 0xD0 <= content[place + 1] <= 0xD7]
    starts = [place for place in places if content[place] == 0xFF]
    return {*starts, *(place + 2 for place in starts)}


def scan_starts(content: bytes) -> set[int]:
    return {place for place in range(len(content)) if content[place : place + 2] == b"\xff\xda"}


def test_nothing_is_switched_for_the_whole_process() -> None:
    for content in (png_with(HARMLESS["a compressed text of 2 MB"]), encoded(PICTURE, "JPEG")[:-2]):
        open_upright(content)
        assert not ImageFile.LOAD_TRUNCATED_IMAGES
        with pytest.raises((OSError, ValueError)):
            Image.open(io.BytesIO(content)).load()


def test_a_damaged_file_is_told_by_its_pixels_whatever_else_is_wrong() -> None:
    random = Random(0)
    faults = [*HARMLESS.values(), *WITH_CHECKSUM.values()]
    for early, late in itertools.product((0, 1, 3), repeat=2):
        content = png_with(b"".join(random.sample(faults, late)), late=True)
        place = content.index(b"IDAT") - 4
        content = content[:place] + b"".join(random.sample(faults, early)) + content[place:]
        size = upright_size(content)
        opened = open_upright(content)
        assert size == opened.size
        if size == (60, 40):
            assert opened.tobytes() == PICTURE.tobytes()
