"""Colours come out as a person sees them: profiles applied, deep pixels scaled, and sRGB as it was, to the bit."""

import io
import itertools
import logging
import struct
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms
from profiles import (
    ADOBE_RGB,
    DISPLAY_P3,
    PROPHOTO,
    SRGB,
    Space,
    cmyk_profile,
    from_srgb,
    gamma,
    grey_profile,
    grey_to_srgb,
    inks_to_srgb,
    lab_to_srgb,
    rgb_profile,
    srgb_curve,
    to_srgb,
)

from swift_zoomin.pictures import ImageError, open_upright

CASES = Path(__file__).parent / "cases"
LEVELS = 2  # what two ways of rounding may differ by
COLOURED = {
    "JPEG": {"quality": 95},
    "PNG": {},
    "WEBP": {"lossless": True},
    "TIFF": {},
    "AVIF": {},
    "HEIF": {},
    "MPO": {},
}
GREY = COLOURED
INKED: dict[str, Any] = {"JPEG": {"quality": 100}, "TIFF": {}}
SPACES = [SRGB, DISPLAY_P3, ADOBE_RGB, PROPHOTO]


def every_colour(channels: int) -> np.ndarray:
    """Colours from all over a space, 16 neighbours alike, so that lossy formats keep them roughly."""
    steps = np.array(list(itertools.product(np.linspace(0, 255, 8 if channels == 3 else 5), repeat=channels)))
    rows = steps[: len(steps) // 16 * 16].reshape(16, -1, channels).astype(np.uint8)
    return rows.repeat(4, axis=0).repeat(4, axis=1)


def encoded(pixels: np.ndarray | Image.Image, kind: str, mode: str | None = None, **options: Any) -> bytes:
    picture = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels, mode)
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def seen(content: bytes | Path) -> np.ndarray:
    return np.asarray(open_upright(content)).astype(int)


def stored(content: bytes, mode: str) -> np.ndarray:
    """The pixels of a file as its format keeps them, no profile applied."""
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert(mode))


def differences(content: bytes, expected: np.ndarray) -> int:
    return int(abs(seen(content) - expected.astype(int)).max())


@pytest.mark.parametrize("kind", COLOURED)
@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_an_rgb_profile_is_applied_in_every_format(space: Space, kind: str) -> None:
    content = encoded(every_colour(3), kind, icc_profile=rgb_profile(space), **COLOURED[kind])
    pixels = stored(content, "RGB")
    assert differences(content, to_srgb(pixels, space)) <= LEVELS
    changed = abs(seen(content) - pixels.astype(int)).max()
    assert changed == 0 if space is SRGB else changed > 50


@pytest.mark.parametrize("kind", GREY)
@pytest.mark.parametrize("curve", [gamma(2.2), gamma(1.8), gamma(1.0)], ids=["2.2", "1.8", "1.0"])
def test_a_grey_profile_is_applied_in_every_format(curve: Any, kind: str) -> None:
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16).repeat(4, axis=0).repeat(4, axis=1)
    content = encoded(levels, kind, icc_profile=grey_profile(curve), **GREY[kind])
    assert differences(content, grey_to_srgb(stored(content, "L"), curve)) <= LEVELS


@pytest.mark.parametrize("kind", INKED)
def test_a_press_profile_is_applied_to_inks(kind: str) -> None:
    content = encoded(every_colour(4), kind, "CMYK", icc_profile=cmyk_profile(), **INKED[kind])
    assert differences(content, inks_to_srgb(stored(content, "CMYK"))) <= LEVELS


def test_lab_needs_no_profile() -> None:
    lab = every_colour(3)  # of the file's bytes: L is 255 for 100, a and b are signed
    content = encoded(Image.frombytes("LAB", lab.shape[1::-1], lab.tobytes()), "TIFF")
    shares = np.stack([lab[..., 0] / 2.55, lab[..., 1].view(np.int8), lab[..., 2].view(np.int8)], axis=-1)
    assert differences(content, lab_to_srgb(shares)) <= LEVELS


def test_adobes_inverted_inks_are_read_the_right_way_round() -> None:
    with Image.open(CASES / "cmyk_icc.jpg") as image:
        assert (image.info["adobe"], image.info["adobe_transform"]) == (100, 0)  # inks stored inverted
        profile = image.info["icc_profile"]
    # Its table has 8 bits and 2 steps of each ink, behind a head of 48 bytes and four curves of 256.
    start = profile.index(b"mft1")
    assert profile[start + 8 : start + 11] == bytes([4, 3, 2])
    full_cyan_and_magenta = start + 48 + 4 * 256 + 3 * (8 + 4)
    lightness, a, b = profile[full_cyan_and_magenta : full_cyan_and_magenta + 3]
    lab = np.array([[[lightness / 2.55, a - 128, b - 128]]])
    assert seen(CASES / "cmyk_icc.jpg")[5, 5].tolist() == pytest.approx(lab_to_srgb(lab)[0, 0].tolist(), abs=LEVELS)


def test_the_red_of_a_phone_is_the_red_that_was_seen() -> None:
    [red] = to_srgb(np.array([[230, 60, 50]]), DISPLAY_P3)
    assert seen(CASES / "p3_red.png")[7, 7].tolist() == pytest.approx(red.tolist(), abs=LEVELS)
    assert red.tolist() == [250, 31, 34]


@pytest.mark.parametrize("mode", ["RGBA", "P", "1", "LA", "colour key", "palette with alpha"])
def test_a_profile_is_applied_before_transparency_is_laid_on_white(mode: str) -> None:
    red, clear = (200, 40, 40), (10, 200, 10)
    options: dict[str, Any] = {"icc_profile": rgb_profile(ADOBE_RGB)}
    expected = to_srgb(np.array([red, clear]), ADOBE_RGB).tolist()
    half = [(level * 128 + 255 * 127) // 255 for level in expected[0]]
    if mode == "RGBA":
        picture = Image.frombytes("RGBA", (2, 1), bytes([*red, 128, *clear, 0]))
        expected = [half, [255, 255, 255]]
    elif mode in ("P", "palette with alpha"):
        picture = Image.frombytes("P", (2, 1), bytes([0, 1]))
        picture.putpalette([*red, *clear])
        if mode != "P":
            options["transparency"] = bytes([128, 0])
            expected = [half, [255, 255, 255]]
    elif mode == "colour key":
        picture = Image.frombytes("RGB", (2, 1), bytes([*red, *clear]))
        options["transparency"] = clear
        expected = [expected[0], [255, 255, 255]]
    else:
        options["icc_profile"] = grey_profile(gamma(1.8))
        grey = grey_to_srgb(np.array([[100]]), gamma(1.8))[0, 0].tolist()
        picture = Image.frombytes("LA", (2, 1), bytes([100, 255, 100, 0]))
        expected = [grey, [255, 255, 255]]
        if mode == "1":
            picture = Image.frombytes("1", (2, 1), b"\x40")
            expected = [[0, 0, 0], [255, 255, 255]]
    assert seen(encoded(picture, "PNG", **options))[0] == pytest.approx(np.array(expected), abs=LEVELS)


def test_16_bit_grey_is_converted_at_its_full_depth() -> None:
    values = np.linspace(0, 65535, 64 * 64).astype("<u2").reshape(64, 64)
    for curve in (gamma(1.0), gamma(2.2)):
        content = encoded(values, "PNG", icc_profile=grey_profile(curve))
        assert differences(content, grey_to_srgb(values, curve, 65535)) <= LEVELS
    assert differences(encoded(values, "PNG"), (values // 257)[..., None]) == 0


def test_16_bit_colours_with_a_profile_are_converted() -> None:
    values = every_colour(3).astype(np.uint16) * 257
    row = b"".join(b"\0" + line.astype(">u2").tobytes() for line in values)
    head = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, 2, 0, 0, 0)
    profile = b"p\0\0" + zlib.compress(rgb_profile(PROPHOTO))
    content = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", head), (b"iCCP", profile), (b"IDAT", zlib.compress(row)), (b"IEND", b"")):
        content += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    assert differences(content, to_srgb(every_colour(3), PROPHOTO)) <= LEVELS


COARSE_SRGB = Space("sRGB", SRGB.red, SRGB.green, SRGB.blue, SRGB.white, lambda x: np.rint(srgb_curve(x) * 2047) / 2047)
SRGB_PROFILES = {
    "LittleCMS": lambda: ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    "a matrix and a table": lambda: rgb_profile(SRGB),
    "a coarse curve, as small profiles have it": lambda: rgb_profile(COARSE_SRGB),
    "none": lambda: None,
}


@pytest.mark.parametrize("maker", SRGB_PROFILES)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_srgb_files_stay_as_they_are_to_the_bit(mode: str, maker: str) -> None:
    profile = grey_profile(srgb_curve) if mode == "L" and maker != "none" else SRGB_PROFILES[maker]()
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)).convert(mode)
    assert open_upright(encoded(picture, "PNG", icc_profile=profile)).tobytes() == picture.convert("RGB").tobytes()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "HEIF"])
@pytest.mark.parametrize("space", [SRGB, DISPLAY_P3], ids=lambda space: space.name)
def test_what_was_opened_carries_neither_profile_nor_exif(tmp_path: Path, space: Space, kind: str) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker"
    content = encoded(every_colour(3), kind, icc_profile=rgb_profile(space), exif=exif)
    opened = open_upright(content)
    assert opened.info == {}
    opened.save(tmp_path / "saved.png")
    with Image.open(tmp_path / "saved.png") as saved:
        assert not {"icc_profile", "exif", "gamma", "srgb"} & set(saved.info)
        assert np.asarray(saved).tolist() == np.asarray(opened).tolist()
    again = open_upright(opened)  # not turned twice
    assert again.tobytes() == opened.tobytes()


BROKEN: dict[str, tuple[str, Callable[[], bytes]]] = {
    "cut": ("it is broken", lambda: rgb_profile(DISPLAY_P3)[:200]),
    "no profile": ("it is broken", lambda: b"not a profile at all"),
    "of grey": ("it is for GRAY, the pixels are RGB", lambda: grey_profile(gamma(2.2))),
    "of inks": ("it is for CMYK, the pixels are RGB", cmyk_profile),
    "without curves": ("it is broken", lambda: rgb_profile(DISPLAY_P3).replace(b"TRC", b"xxx")),
}


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("fault", BROKEN)
def test_a_profile_that_cannot_be_used_is_ignored_and_said_once(
    tmp_path: Path, caplog: Any, fault: str, kind: str
) -> None:
    said, make = BROKEN[fault]
    path = tmp_path / "a.img"
    path.write_bytes(encoded(every_colour(3), kind, icc_profile=make()))
    without = encoded(every_colour(3), kind)
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert open_upright(path).tobytes() == open_upright(without).tobytes()
    [record] = caplog.records
    assert record.getMessage().startswith(f"{path}: colour profile ignored ({said}")
    assert "\n" not in record.getMessage()


def test_a_profile_that_cannot_be_unpacked_is_said_too(tmp_path: Path, caplog: Any) -> None:
    content = encoded(every_colour(3), "PNG")
    data = b"p\0\0not compressed"
    chunk = struct.pack(">I", len(data)) + b"iCCP" + data + struct.pack(">I", zlib.crc32(b"iCCP" + data))
    (tmp_path / "a.png").write_bytes(content[:33] + chunk + content[33:])
    with caplog.at_level(logging.WARNING):
        assert open_upright(tmp_path / "a.png").tobytes() == open_upright(content).tobytes()
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path / 'a.png'}: colour profile ignored (it is broken: it cannot be unpacked)"
    ]


P3_NUMBERS = [(12, transfer) for transfer in (1, 2, 6, 13)]


def numbered(picture: np.ndarray, primaries: int, transfer: int, **options: Any) -> bytes:
    numbers = {"color_primaries": primaries, "transfer_characteristics": transfer}
    return encoded(picture, "HEIF", **numbers, **options)


@pytest.mark.parametrize(("primaries", "transfer"), P3_NUMBERS)
def test_colour_numbers_of_a_phone_are_read_as_display_p3(primaries: int, transfer: int, caplog: Any) -> None:
    content = numbered(every_colour(3), primaries, transfer)
    with Image.open(io.BytesIO(content)) as image:
        assert "icc_profile" not in image.info
    with caplog.at_level(logging.WARNING):
        assert differences(content, to_srgb(stored(content, "RGB"), DISPLAY_P3)) <= LEVELS
    assert abs(seen(content) - stored(content, "RGB")).max() > 50
    assert not caplog.records


def test_colour_numbers_leave_transparency_and_grey_alone() -> None:
    rgba = np.concatenate([every_colour(3), np.full((*every_colour(3).shape[:2], 1), 255, np.uint8)], axis=-1)
    content = numbered(rgba, 12, 13)
    assert differences(content, to_srgb(stored(content, "RGB"), DISPLAY_P3)) <= LEVELS
    grey = numbered(np.arange(256, dtype=np.uint8).reshape(16, 16), 12, 13)
    assert differences(grey, stored(grey, "RGB")) == 0


@pytest.mark.parametrize(("primaries", "transfer"), [(1, 13), (2, 2), (1, 1), (1, 6)])
def test_colour_numbers_that_mean_srgb_change_nothing(primaries: int, transfer: int, caplog: Any) -> None:
    content = numbered(every_colour(3), primaries, transfer)
    with caplog.at_level(logging.WARNING):
        assert differences(content, stored(content, "RGB")) == 0
    assert not caplog.records


@pytest.mark.parametrize(("primaries", "transfer"), [(9, 16), (9, 13), (12, 18), (1, 16), (5, 6)])
def test_other_colour_numbers_are_said_once(tmp_path: Path, caplog: Any, primaries: int, transfer: int) -> None:
    path = tmp_path / "a.heic"
    path.write_bytes(numbered(every_colour(3), primaries, transfer))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            assert differences(path.read_bytes(), stored(path.read_bytes(), "RGB")) == 0
            open_upright(path)
    said = [record.getMessage() for record in caplog.records if str(path) in record.getMessage()]
    wanted = f"shown as if its colours were sRGB; it names primaries {primaries} and transfer {transfer}"
    assert said == [f"{path}: {wanted}"]


def test_a_profile_comes_before_colour_numbers(caplog: Any) -> None:
    content = numbered(every_colour(3), 9, 16, icc_profile=rgb_profile(ADOBE_RGB))
    with caplog.at_level(logging.WARNING):
        assert differences(content, to_srgb(stored(content, "RGB"), ADOBE_RGB)) <= LEVELS
        # pillow-heif gives the profile alone; whoever gives both is read alike.
        picture = Image.fromarray(every_colour(3))
        picture.info = {"icc_profile": rgb_profile(ADOBE_RGB), "nclx_profile": {"color_primaries": 12}}
        assert abs(np.asarray(open_upright(picture)) - to_srgb(every_colour(3), ADOBE_RGB).astype(int)).max() <= LEVELS
    assert not caplog.records


def test_an_image_of_which_nothing_can_be_seen_is_said(caplog: Any) -> None:
    with caplog.at_level(logging.WARNING):
        assert open_upright(CASES / "alpha0.png").getextrema() == ((255, 255),) * 3
    [record] = caplog.records
    assert record.getMessage() == f"{CASES / 'alpha0.png'}: every pixel is transparent; it is shown as a white image"


RAMP = np.linspace(0, 1, 256).reshape(16, 16)


@pytest.mark.parametrize(
    ("pixels", "expected"),
    [
        (RAMP.astype(np.float32), RAMP * 255),  # 0 to 1
        ((RAMP * 0.2).astype(np.float32), RAMP * 51),  # dark
        ((RAMP * 255).astype(np.float32), RAMP * 255),  # 0 to 255
        ((RAMP * 255).astype(np.int32), np.floor(RAMP * 255)),
        ((RAMP * 65535).astype(np.int32), np.floor(RAMP * 65535) / 257),
        ((RAMP * 65535).astype(np.uint16), np.floor(RAMP * 65535) / 257),
    ],
    ids=["share", "dark share", "levels", "8 bits of 32", "16 bits of 32", "16 bits"],
)
def test_deep_pixels_are_scaled(pixels: np.ndarray, expected: np.ndarray) -> None:
    assert differences(encoded(pixels, "TIFF"), expected[..., None]) <= 1


@pytest.mark.parametrize("name", ["float01.tif", "i32_255.tif"])
def test_floats_and_long_integers_are_not_black(name: str) -> None:
    opened = open_upright(CASES / name)
    assert opened.size == (120, 80)
    assert opened.getextrema() == ((0, 255),) * 3


@pytest.mark.parametrize(
    ("pixels", "said"),
    [
        (np.array([[0.0, 1.5]], np.float32), "from 0.0 to 1.5; expected 0 to 1, or 0 to 255 and one of 8 or more"),
        (np.array([[0.0, 300.0]], np.float32), "from 0.0 to 300.0; expected 0 to 1"),
        (np.array([[-1.0, 1.0]], np.float32), "from -1.0 to 1.0; expected 0 to 1"),
        (np.array([[0.0, np.nan]], np.float32), "expected 0 to 1"),
        (np.array([[np.nan, 0.0]], np.float32), "expected 0 to 1"),
        (np.array([[0, np.inf]], np.float32), "from 0.0 to inf; expected 0 to 1"),
        (np.array([[0, 65536]], np.int32), "from 0 to 65536; expected 0 to 255 or 0 to 65535"),
        (np.array([[-1, 255]], np.int32), "from -1 to 255; expected 0 to 255 or 0 to 65535"),
    ],
)
def test_values_of_unknown_meaning_are_refused_by_name(tmp_path: Path, pixels: np.ndarray, said: str) -> None:
    (tmp_path / "a.tif").write_bytes(encoded(pixels, "TIFF"))
    with pytest.raises(ImageError, match=r"a\.tif: pixel values from") as caught:
        open_upright(tmp_path / "a.tif")
    assert said in str(caught.value)


def test_colours_are_the_same_from_many_threads() -> None:
    contents = [
        encoded(every_colour(3), "PNG", icc_profile=rgb_profile(space))
        for space in (*SPACES, *(Space(f"{n}", *P3_CORNERS, gamma(1 + n / 10)) for n in range(20)))
    ]
    one_by_one = [open_upright(content).tobytes() for content in contents]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(3):
            assert list(pool.map(lambda content: open_upright(content).tobytes(), contents)) == one_by_one


P3_CORNERS = (DISPLAY_P3.red, DISPLAY_P3.green, DISPLAY_P3.blue, DISPLAY_P3.white)


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_a_picture_stored_in_a_wide_space_is_seen_as_it_was(space: Space) -> None:
    picture = every_colour(3)
    content = encoded(from_srgb(picture, space), "PNG", icc_profile=rgb_profile(space))
    # A wide space has fewer levels for the colours of sRGB, and those near black are far apart.
    assert np.quantile(abs(seen(content) - picture), 0.9) <= 2 * LEVELS
