"""Colour profiles made by hand, and what their colours are in sRGB by arithmetic of our own (no colour library).

A profile here is a version 2 ICC file: a header of 128 bytes, a table of tags, and the tags. `rgb_profile` and
`grey_profile` follow from primaries and a curve; `cmyk_profile` holds a table of Lab values.
The conversions are relative colorimetric without black point compensation, as `swift_zoomin.colours` states.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

Pixels = np.ndarray  # height x width x channels; uint8 as stored, or float 0..1
Curve = Callable[[Pixels], Pixels]  # encoded 0..1 to light 0..1

D50 = np.array([0.9642, 1.0, 0.8249])  # white of the space that profiles meet in, as X, Y, Z
INK_STEPS = 13
D65_XY, D50_XY = (0.3127, 0.3290), (0.3457, 0.3585)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def srgb_curve(encoded: Pixels) -> Pixels:
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def srgb_encoded(light: Pixels) -> Pixels:
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def gamma(power: float) -> Curve:
    return lambda encoded: encoded**power


def prophoto_curve(encoded: Pixels) -> Pixels:
    """ROMM RGB: straight near black, then gamma 1.8."""
    return np.where(encoded < 16 / 512, encoded / 16, encoded**1.8)


@dataclass(frozen=True)
class Space:
    """An RGB space: the primaries' and the white's chromaticities (x, y), and the curve of all three channels."""

    name: str
    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]
    white: tuple[float, float]
    curve: Curve

    @property
    def to_xyz(self) -> np.ndarray:
        """Light of the three channels to X, Y, Z under D50; columns are the primaries."""
        primaries = np.array([_xyz(*corner) for corner in (self.red, self.green, self.blue)]).T
        white = _xyz(*self.white)
        return _adapted(white, D50) @ primaries @ np.diag(np.linalg.solve(primaries, white))


SRGB = Space("sRGB", (0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65_XY, srgb_curve)
DISPLAY_P3 = Space("Display P3", (0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65_XY, srgb_curve)
ADOBE_RGB = Space("Adobe RGB (1998)", (0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65_XY, gamma(563 / 256))
PROPHOTO = Space(
    "ProPhoto RGB", (0.734699, 0.265301), (0.159597, 0.840403), (0.036598, 0.000105), D50_XY, prophoto_curve
)


def _xyz(x: float, y: float) -> np.ndarray:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _adapted(white: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Bradford's change of X, Y, Z seen under one white into those seen under another."""
    return np.linalg.inv(_BRADFORD) @ np.diag(_BRADFORD @ other / (_BRADFORD @ white)) @ _BRADFORD


def to_srgb(pixels: Pixels, space: Space) -> Pixels:
    """8-bit pixels of an RGB space as 8-bit sRGB; what sRGB cannot show is cut off."""
    return xyz_to_srgb(space.curve(pixels / 255) @ space.to_xyz.T)


def from_srgb(pixels: Pixels, space: Space) -> Pixels:
    """8-bit sRGB as 8-bit pixels of an RGB space whose curve is turned by a table."""
    light = srgb_curve(pixels / 255) @ SRGB.to_xyz.T @ np.linalg.inv(space.to_xyz).T
    steps = np.linspace(0, 1, 65536)
    return levels(np.interp(np.clip(light, 0, 1), space.curve(steps), steps))


def xyz_to_srgb(xyz: Pixels) -> Pixels:
    """X, Y, Z under D50 to 8-bit sRGB."""
    return levels(srgb_encoded(xyz @ np.linalg.inv(SRGB.to_xyz).T))


def grey_to_srgb(pixels: Pixels, curve: Curve, white: int = 255) -> Pixels:
    """Grey pixels (height x width) of a curve as 8-bit sRGB."""
    return levels(srgb_encoded(np.repeat(curve(pixels[..., None] / white), 3, axis=-1)))


def lab_to_srgb(lab: Pixels) -> Pixels:
    """L 0..100, a and b about -128..127, under D50, to 8-bit sRGB by the formula of CIE 1976."""
    middle = (lab[..., 0] + 16) / 116
    f = np.stack([middle + lab[..., 1] / 500, middle, middle - lab[..., 2] / 200], axis=-1)
    return xyz_to_srgb(np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * D50)


def inks_to_srgb(pixels: Pixels) -> Pixels:
    """8-bit CMYK (0 is no ink) to 8-bit sRGB by the formula that `cmyk_profile` holds a table of."""
    return lab_to_srgb(inks_to_lab(pixels / 255))


def inks_to_lab(shares: Pixels) -> Pixels:
    """L, a, b of inks 0..1, near to a press: full black is a dark grey, cyan with magenta a dull blue."""
    cyan, magenta, yellow, black = np.moveaxis(shares, -1, 0)
    lightness = 100 * (1 - 0.42 * cyan) * (1 - 0.50 * magenta) * (1 - 0.08 * yellow) * (1 - 0.84 * black)
    colourful = 1 - 0.9 * black
    a = colourful * (-35 * cyan + 72 * magenta - 5 * yellow)
    b = colourful * (-48 * cyan - 4 * magenta + 88 * yellow)
    return np.stack([lightness, a, b], axis=-1)


def levels(share: Pixels) -> Pixels:
    return np.rint(np.clip(share, 0, 1) * 255).astype(np.uint8)


def rgb_profile(space: Space) -> bytes:
    """A matrix profile: the adapted primaries, and the curve as a table of 4096 points."""
    columns = {name: _xyz_tag(column) for name, column in zip(("rXYZ", "gXYZ", "bXYZ"), space.to_xyz.T, strict=True)}
    curves = dict.fromkeys(("rTRC", "gTRC", "bTRC"), _curve_tag(space.curve))
    return _profile("mntr", "RGB ", "XYZ ", space.name, {**columns, **curves})


def grey_profile(curve: Curve) -> bytes:
    return _profile("mntr", "GRAY", "XYZ ", "grey", {"kTRC": _curve_tag(curve)})


def cmyk_profile() -> bytes:
    """`inks_to_lab` at INK_STEPS shares of each ink, the first ink slowest, as 16-bit Lab."""
    shares = np.stack(np.meshgrid(*[np.linspace(0, 1, INK_STEPS)] * 4, indexing="ij"), axis=-1)
    encoded = inks_to_lab(shares) * [0xFF00 / 100, 256, 256] + [0, 0x8000, 0x8000]
    table = np.rint(encoded).astype(">u2").tobytes()
    unchanged = struct.pack(">9i", 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    straight = struct.pack(">2H", 0, 65535)
    head = b"mft2\0\0\0\0" + bytes([4, 3, INK_STEPS, 0]) + unchanged + struct.pack(">2H", 2, 2)
    return _profile("prtr", "CMYK", "Lab ", "inks", {"A2B0": head + 4 * straight + table + 3 * straight})


def _xyz_tag(xyz: Any) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in xyz))


def _curve_tag(curve: Curve) -> bytes:
    table = np.rint(curve(np.linspace(0, 1, 4096)) * 65535).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", len(table)) + table.tobytes()


def _profile(kind: str, space: str, meeting: str, name: str, tags: dict[str, bytes]) -> bytes:
    text = name.encode() + b"\0"
    about = b"desc\0\0\0\0" + struct.pack(">I", len(text)) + text + bytes(78)
    tags = {"desc": about, "cprt": b"text\0\0\0\0none\0", "wtpt": _xyz_tag(D50), **tags}
    start = 128 + 4 + 12 * len(tags)
    table, body = struct.pack(">I", len(tags)), b""
    for tag, content in tags.items():
        table += tag.encode() + struct.pack(">2I", start + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    head = struct.pack(
        ">I4sI4s4s4s", start + len(body), b"test", 0x02400000, kind.encode(), space.encode(), meeting.encode()
    )
    date_and_rest = (
        struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + struct.pack(">3i", 63190, 65536, 54061)
    )
    return (head + date_and_rest).ljust(128, b"\0") + table + body
