"""What a file gives away without a look at its pixels: traces of how it was made, read from its head and its name.

    traces_of(record).by_property["codec"]           ["JPEG", "progressive"]
    traces_of(record).by_property["quantisation"]    ["quality 90", "IJG tables", "subsampling 4:2:0"]
    traces_of(record).folder                         "0_real"

A trace is a short text that a file has or has not. Numbers are traces twice, exactly and roughly, so that a classifier
of traces finds one width as well as a range of widths. Not among them: anything that depends on what the image shows,
as its bytes a pixel do.
"""

import math
import re
from functools import cache
from itertools import groupby
from pathlib import PurePath
from typing import Any, NamedTuple

import numpy as np
from PIL import ExifTags, Image, JpegImagePlugin, PngImagePlugin

from swift_zoomin.pictures import exif_tags, look_at_head
from swift_zoomin.records import Record
from swift_zoomin.repairs import PNG_START, png_chunks

CODEC, QUANTISATION, SIZE, ASPECT = "codec", "quantisation", "size", "aspect ratio"
COLOUR_MODE, METADATA, FILE_NAME = "colour mode", "metadata", "name"
PROPERTIES = (CODEC, QUANTISATION, SIZE, ASPECT, COLOUR_MODE, METADATA, FILE_NAME)

_STEPS_A_DOUBLING = 8  # of a rough number of pixels: steps of 9%
_SUBSAMPLING = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}
# What Pillow's readers call it: kinds of data that stand in a file beside its pixels.
_METADATA = {
    "exif": "EXIF",
    "icc_profile": "ICC profile",
    "xmp": "XMP",
    "XML:com.adobe.xmp": "XMP",
    "photoshop": "Photoshop data",
    "comment": "comment",
    "dpi": "resolution",
    "jfif": "JFIF",
    "adobe": "Adobe marker",
    "gamma": "gamma",
    "srgb": "sRGB mark",
}
_PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_PIXEL_CHUNKS = (b"IHDR", b"IDAT", b"IEND", b"PLTE", b"tRNS")
# The luma table of the JPEG standard, Annex K.1, row by row.
_ANNEX_K = (
    *(16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56),
    *(14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92),
    *(49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99),
)
_WORD = re.compile(r"[^\W\d_]+")


class Traces(NamedTuple):
    """Traces of one file. A property that the file cannot have, as quantisation in a PNG, is absent."""

    by_property: dict[str, list[str]]
    folder: str  # the name of the file's folder, which often names the label


def traces_of(record: Record) -> Traces:
    """Raises ImageError for a file that is gone since it was checked."""
    by_property = look_at_head(record.image.path, _of_head)
    by_property[SIZE], by_property[ASPECT] = _of_size(*record.image.size)
    by_property[FILE_NAME] = _of_name(PurePath(record.name).name)
    return Traces(by_property, PurePath(record.name).parent.name)


def _of_head(image: Image.Image) -> dict[str, list[str]]:
    info = {str(name) for name in image.info}
    codec = [str(image.format)]
    if {"progressive", "progression"} & info:
        codec.append("progressive")
    if image.info.get("interlace"):
        codec.append("interlaced")
    if "compression" in info and image.format == "TIFF":
        codec.append(f"TIFF {image.info['compression']}")
    mode = [f"mode {image.mode}"]
    if "transparency" in info:
        mode.append("transparency")
    found = {CODEC: codec, COLOUR_MODE: mode, METADATA: _of_metadata(image, info)}
    if isinstance(image, JpegImagePlugin.JpegImageFile) and image.quantization:
        found[QUANTISATION] = _of_quantisation(image)
    return found


def _of_metadata(image: Image.Image, info: set[str]) -> list[str]:
    found = {word for name, word in _METADATA.items() if name in info}
    for tag in exif_tags(image):
        found |= {"EXIF", f"EXIF {ExifTags.TAGS.get(tag, tag)}"}
    if isinstance(image, PngImagePlugin.PngImageFile) and image.fp is not None:
        kinds = {chunk.kind for chunk in png_chunks(image.fp, len(PNG_START))}  # also those behind the pixels
        found |= {"text"} if kinds & set(_PNG_TEXTS) else set()
        found |= {f"PNG {kind.decode('latin-1')}" for kind in kinds - set(_PIXEL_CHUNKS)}
    return sorted(found) or ["no metadata"]


def _of_quantisation(image: JpegImagePlugin.JpegImageFile) -> list[str]:
    luma = np.array(image.quantization[min(image.quantization)])
    quality, is_standard = jpeg_quality(luma)
    found = [f"quality {quality}", f"quality about {5 * round(quality / 5)}"]
    found.append("IJG tables" if is_standard else f"tables {','.join(map(str, luma[:8]))}")
    sampling = JpegImagePlugin.get_sampling(image)
    found.append(f"subsampling {_SUBSAMPLING.get(sampling, 'of another kind')}")
    return found


def jpeg_quality(luma: Any) -> tuple[int, bool]:
    """The quality, 1 to 100, whose table is nearest to this one (64 numbers), and whether it is that table.

    Qualities are those of the Independent JPEG Group's library, which scales the table of the standard's Annex K.
    """
    distances = np.abs(_standard_tables() - np.asarray(luma)).sum(axis=1)
    nearest = int(distances.argmin())
    return nearest + 1, bool(distances[nearest] == 0)


@cache
def _standard_tables() -> Any:
    """The luma tables of the qualities 1 to 100, (100, 64), as Pillow gives them."""
    base = np.array(_ANNEX_K)
    qualities = np.arange(1, 101)
    scales = np.where(qualities < 50, 5000 // qualities, 200 - 2 * qualities)
    return np.clip((base[None, :] * scales[:, None] + 50) // 100, 1, 255)


def _of_size(width: int, height: int) -> tuple[list[str], list[str]]:
    """Traces of a size, upright, and of its aspect ratio."""
    size = [f"{width}x{height}", f"{width} wide", f"{height} high"]
    size += [f"about {_rough(width)} wide", f"about {_rough(height)} high"]
    size += [f"sides are multiples of {step}" for step in (8, 64) if width % step == height % step == 0]
    if width == height:
        return size, ["square"]
    ratio = width / height
    return size, ["wide" if ratio > 1 else "high", f"ratio {ratio:.3g}", f"ratio about {_rough(100 * ratio) / 100:.2f}"]


def _rough(number: float) -> int:
    step = round(math.log2(number) * _STEPS_A_DOUBLING)
    return round(2 ** (step / _STEPS_A_DOUBLING))


def _of_name(name: str) -> list[str]:
    """Traces of a file's name: its form and words. Not the numbers in it, which say only where an image came."""
    path = PurePath(name)
    stem = path.stem
    form = "".join(kind for kind, _ in groupby(map(_kind_of_sign, stem)))
    runs = [len(list(run)) for kind, run in groupby(map(_kind_of_sign, stem)) if kind == "0"]
    found = [f"ends in {path.suffix or 'no suffix'}", f"form {form}", f"{len(stem)} signs"]
    found += [f"{length} digits" for length in runs]
    found += [f'"{word.lower()}"' for word in _WORD.findall(stem)]
    return list(dict.fromkeys(found))


def _kind_of_sign(sign: str) -> str:
    if sign.isdigit():
        return "0"
    if sign.isalpha():
        return "A" if sign.isupper() else "a"
    return sign
