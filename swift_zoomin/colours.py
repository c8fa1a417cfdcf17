"""Decoded pixels as a person sees them: 8-bit sRGB, the embedded colour profile applied, transparency on white.

Profiles are applied with LittleCMS (Pillow's ImageCms) by **relative colorimetric** intent, without black point
compensation: every colour that sRGB can show comes out as measured, and white as white. Perceptual intent differs only
for profiles that hold tables for it, and what those do is each maker's taste; the plain reading can be checked by a
formula. Camera, phone and monitor profiles give the same colours either way.

    no profile, or one that means sRGB     as stored, to the bit
    broken, or for other kinds of pixels   ignored, and said once a file
    colour numbers (nclx) of a HEIF file   Display P3 converted; others as stored, and said once a file
    grey, 16-bit grey                      value / 257, or through a grey profile at full depth
    whole numbers of 32 bits               0 to 255, or 0 to 65535 where one is larger
    floats                                 0 to 1, or 0 to 255 where the largest is 8 or more

Other whole numbers and floats are refused by name. A profile comes before colour numbers. Not covered, because Pillow
does not give them away or because most files that have them are sRGB or have a profile too: gAMA, cHRM and cICP chunks
of a PNG, the colour numbers of an AVIF file, and profiles in JPEG 2000, BMP and GIF files.
"""

import logging
import struct
from collections.abc import Callable
from functools import cache, lru_cache
from io import BytesIO
from itertools import product
from typing import Any

from PIL import Image, ImageChops, ImageCms

_WHITE = (255, 255, 255)
_INTENT = ImageCms.Intent.RELATIVE_COLORIMETRIC
_SRGB = ImageCms.createProfile("sRGB")
# The colours that a profile's pixels stand for, by the mode that they are converted in.
_SPACES = {"L": "GRAY", "I;16": "GRAY", "RGB": "RGB", "CMYK": "CMYK", "LAB": "Lab"}
_PROFILE_SPACE = slice(16, 20)  # where a profile says what kind of pixels it is for
# Colour numbers (ITU-T H.273) of what is shown as sRGB: its primaries, or none named; and its curve, none named, or one
# of BT.709 and BT.601, which cameras name and screens show by sRGB's.
_SRGB_PRIMARIES, _SRGB_TRANSFERS = (1, 2), (13, 2, 1, 6)
_P3_PRIMARIES = 12
# Display P3's red, green and blue as X, Y, Z under D50, as its ICC profile has them.
_P3_COLUMNS = {
    b"rXYZ": (0.51512, 0.24119, -0.00105),
    b"gXYZ": (0.29198, 0.69224, 0.04188),
    b"bXYZ": (0.15710, 0.06657, 0.78407),
}
_SAME = 1  # levels of 255: what rounding makes of sRGB's curve in the profiles that go by that name
_KEPT_CONVERSIONS = 32  # a data set has few profiles; each is kept with its table
_SMALLEST_LEVELS = 8  # floats between 1 and this may be either kind: light above white, or levels near black
_logger = logging.getLogger(__name__)


class ColourError(ValueError):
    """Pixels whose colours cannot be told."""


class _ProfileError(ValueError):
    """A profile that cannot be used for these pixels."""


Conversion = Callable[[Image.Image], Image.Image]


def to_srgb(image: Image.Image, name: str) -> Image.Image:
    """An image in mode RGB; the one given, where it is that already. `name` is for warnings. Raises ColourError."""
    if image.mode.startswith("I") or image.mode == "F":
        image = _shallower(image)
    if image.format == "WEBP" and _profile_is_grey(image):
        image = _grey_of(image)
    conversion = _conversion_of(image, name)
    if conversion:
        image = _converted(image, conversion)
    elif image.mode == "I;16":  # 65535 becomes 255
        image = image.convert("I").point(lambda value: value / 257).convert("L")
    if image.has_transparency_data:
        return _on_white(image, name)
    return image if image.mode == "RGB" else image.convert("RGB")


@cache
def warn_once(line: str) -> None:
    """Say something of a file once, however often it is opened."""
    _logger.warning(line)


def _on_white(image: Image.Image, name: str) -> Image.Image:
    image = image.convert("RGBA")
    alpha = image.getchannel("A")
    if alpha.getextrema() == (0, 0):
        warn_once(f"{name}: every pixel is transparent; it is shown as a white image")
    on_white = Image.new("RGB", image.size, _WHITE)
    on_white.paste(image, mask=alpha)
    return on_white


def _shallower(image: Image.Image) -> Image.Image:
    """Grey of 16 or more bits as mode I;16, or as mode L where it holds no more; its colour profile is kept."""
    grey = _scaled(image)
    grey.info = {key: value for key, value in image.info.items() if key == "icc_profile"}
    return grey


def _scaled(image: Image.Image) -> Image.Image:
    """Grey in mode I;16 or L, told by the largest value in it. Raises ColourError."""
    is_integer = image.mode.startswith("I")
    if image.mode.startswith("I;16") or (is_integer and image.format == "PPM"):  # Pillow brings that to 16 bits
        return image.convert("I").convert("I;16")
    import numpy as np  # takes 0.1 s, and only grey of 32 bits needs it

    values = np.asarray(image)
    smallest, largest = values.min().item(), values.max().item()
    scaled = None
    if smallest >= 0:  # false where one is not a number, too
        scaled = _scaled_integers(image, largest) if is_integer else _scaled_floats(image, largest)
    if scaled is None:
        expected = "0 to 255 or 0 to 65535"
        if not is_integer:
            expected = f"0 to 1, or 0 to 255 and one of {_SMALLEST_LEVELS} or more"
        raise ColourError(f"pixel values from {smallest} to {largest}; expected {expected}")
    return scaled


def _scaled_integers(image: Image.Image, largest: int) -> Image.Image | None:
    """None where the values are larger than 16 bits hold."""
    if largest <= 255:
        return image.convert("L")
    return image.convert("I;16") if largest <= 65535 else None


def _scaled_floats(image: Image.Image, largest: float) -> Image.Image | None:
    """None where it cannot be told which of two scales the values are on."""
    if largest <= 1:
        return image.point(lambda value: value * 255 + 0.5).convert("L")
    return image.convert("L") if _SMALLEST_LEVELS <= largest <= 255 else None


def _profile_is_grey(image: Image.Image) -> bool:
    profile = image.info.get("icc_profile")
    return isinstance(profile, bytes) and profile[_PROFILE_SPACE] == b"GRAY"


def _grey_of(image: Image.Image) -> Image.Image:
    """The grey that a format without grey stores as RGB, so that its profile fits; other pixels as they are."""
    red, green, blue = image.convert("RGB").split()
    if red.tobytes() != green.tobytes() or red.tobytes() != blue.tobytes():
        return image
    return image.convert("LA" if image.has_transparency_data else "L")


def _conversion_of(image: Image.Image, name: str) -> Conversion | None:
    """What makes sRGB of the image's pixels; None where they are sRGB, or where their profile cannot be used."""
    mode = _coloured_mode(image)
    if "icc_profile" in image.info:
        profile = image.info["icc_profile"]
        try:
            if not isinstance(profile, bytes):
                raise _ProfileError("it is broken: it cannot be unpacked")
            return _conversion(profile, mode)
        except _ProfileError as error:
            warn_once(f"{name}: colour profile ignored ({error})")
    elif "nclx_profile" in image.info:
        return _conversion_by_numbers(image.info["nclx_profile"], mode, name)
    return _lab_conversion() if mode == "LAB" else None


def _conversion_by_numbers(numbers: dict[str, Any], mode: str, name: str) -> Conversion | None:
    """As `_conversion_of`, for a file that names its colours by numbers."""
    primaries, transfer = numbers["color_primaries"], numbers["transfer_characteristics"]
    if transfer in _SRGB_TRANSFERS and primaries in _SRGB_PRIMARIES:
        return None
    if transfer in _SRGB_TRANSFERS and primaries == _P3_PRIMARIES:
        if mode != "RGB":  # its grey is sRGB's
            return None
        return _conversion(_p3_profile(), mode)
    warn_once(f"{name}: shown as if its colours were sRGB; it names primaries {primaries} and transfer {transfer}")
    return None


@cache
def _p3_profile() -> bytes:
    """Display P3 is sRGB with other primaries, so their tags are replaced in sRGB's profile."""
    profile = bytearray(ImageCms.ImageCmsProfile(_SRGB).tobytes())
    for tag, xyz in _P3_COLUMNS.items():
        entry = profile.index(tag)  # name, start and length of the tag
        [start] = struct.unpack_from(">I", profile, entry + 4)
        struct.pack_into(">3i", profile, start + 8, *(round(value * 65536) for value in xyz))
    return bytes(profile)


def _coloured_mode(image: Image.Image) -> str:
    """The mode without transparency that colours are converted in."""
    if image.mode in ("1", "L", "LA", "La"):
        return "L"
    return image.mode if image.mode in _SPACES else "RGB"


@lru_cache(_KEPT_CONVERSIONS)
def _conversion(profile: bytes, mode: str) -> Conversion | None:
    """What a profile makes of pixels of this mode; None if it means sRGB. Raises _ProfileError."""
    try:
        opened = ImageCms.ImageCmsProfile(BytesIO(profile))
        space = opened.profile.xcolor_space.strip()
        if space != _SPACES[mode]:
            raise _ProfileError(f"it is for {space}, the pixels are {_SPACES[mode]}")
        conversion = _grey_table(opened) if mode == "L" else _transform(opened, mode).apply
    except (OSError, ImageCms.PyCMSError) as error:
        raise _ProfileError(f"it is broken: {error}") from None
    return None if _means_srgb(conversion, mode) else conversion


@cache
def _lab_conversion() -> Conversion:
    """Lab needs no profile: it says what is seen under D50."""
    return _transform(ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")), "LAB").apply


def _converted(image: Image.Image, conversion: Conversion) -> Image.Image:
    """An image whose colours are converted and whose transparency stays."""
    mode = _coloured_mode(image)
    if not image.has_transparency_data or mode == "I;16":
        return conversion(image.convert(mode))
    image = image.convert("LA" if mode == "L" else "RGBA")
    converted = conversion(image.convert(mode))
    converted.putalpha(image.getchannel("A"))
    return converted


def _transform(profile: ImageCms.ImageCmsProfile, mode: str) -> ImageCms.ImageCmsTransform:
    """Exact but slow, unless a matrix and curves are all there is.

    LittleCMS would replace the others by a coarse table, whose dark colours are up to 50 levels off.
    """
    tables = profile.profile.clut or {}  # by intent; the first of three says whether reading needs one
    has_table = any(reading for reading, _, _ in tables.values())
    is_plain = mode == "RGB" and profile.profile.is_matrix_shaper and not has_table
    flags = ImageCms.Flags.NONE if is_plain else ImageCms.Flags.NOOPTIMIZE
    return ImageCms.buildTransform(profile, _SRGB, mode, "RGB", _INTENT, flags)


def _grey_table(profile: ImageCms.ImageCmsProfile) -> Conversion:
    """A table of all 256 levels, which is as exact as the conversion and faster."""
    levels = Image.frombytes("L", (256, 1), bytes(range(256)))
    channels = _transform(profile, "L").apply(levels).split()
    table = b"".join(channel.tobytes() for channel in channels)
    return lambda image: image.convert("RGB").point(list(table))


def _means_srgb(conversion: Conversion, mode: str) -> bool:
    """Whether a conversion changes nothing but by rounding, tried on colours all over the space."""
    if mode == "L":
        probe = Image.frombytes("L", (256, 1), bytes(range(256)))
    elif mode == "RGB":
        colours = bytes(level for colour in product(range(0, 256, 15), repeat=3) for level in colour)
        probe = Image.frombytes("RGB", (len(colours) // 3, 1), colours)
    else:
        return False
    differences: Any = ImageChops.difference(conversion(probe), probe.convert("RGB")).getextrema()
    return all(largest <= _SAME for _, largest in differences)
