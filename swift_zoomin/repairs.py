"""Copies of damaged files whose pixels are whole, so that they are shown as other viewers show them.

    PNG   a text, EXIF or profile chunk is damaged, or too large for Pillow; the copy has none that pixels do not need
    JPEG  the end mark is missing; the copy has one, if every pixel is there without it

Pillow's own switch for this (`LOAD_TRUNCATED_IMAGES`) holds for the whole process and shows cut pixels as grey ones.
Not covered: pixels that are damaged or cut off, and other formats; those files stay as they are, and unreadable.
"""

import hashlib
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from itertools import product
from typing import IO, NamedTuple

from PIL import JpegImagePlugin, PngImagePlugin

PNG_START = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"
_LARGEST_PROFILE = 16 << 20  # bytes; those of printing presses have 1 to 4 MB, and Pillow reads up to 1
# Optional chunks that colours and orientation need; texts only where Pillow takes an orientation from them.
_NEEDED = (b"tRNS", b"iCCP", b"eXIf", b"tEXt", b"zTXt", b"iTXt")
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_NEEDED_TEXTS = (b"Raw profile type exif", b"XML:com.adobe.xmp", b"exif", b"xmp")
# In a JPEG's compressed pixels 0xFF is followed by 0, or by a mark to restart at (D0 to D7); else a segment starts.
_NEXT_SEGMENT = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_FRAME_STARTS = (0xC0, 0xC1, 0xC2)  # the kinds of JPEG that Pillow decodes
_SCAN_START = 0xDA
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_MOST_ZEROS = 8  # at the end of a photograph's pixels; flat pictures have more, and are refused
# Bytes that mean different pixels wherever pixels are still expected, whatever the file's code is.
_FILLERS = (0x00, 0x55, 0xAA, 0x0F, 0xF0, 0x33, 0xCC, 0xFE)


@dataclass(frozen=True)
class Repaired:
    """The copy of a file, and the colour profile that it had and Pillow cannot read: empty where it is damaged."""

    content: bytes
    profile: bytes | None = None


class Chunk(NamedTuple):
    """A chunk of a PNG: its kind, and where its data lie in the file."""

    kind: bytes
    start: int
    length: int


def repaired(file: IO[bytes]) -> Repaired | None:
    """A copy that can be read; None where nothing of the kinds above is wrong."""
    file.seek(0)
    start = file.read(len(PNG_START))
    if start == PNG_START:
        return _repaired_png(start + file.read())
    if start.startswith(_JPEG_START):
        return _repaired_jpeg(start + file.read())
    return None


def png_chunks(file: IO[bytes], start: int = len(PNG_START)) -> Iterator[Chunk]:
    """The chunks of a PNG from this place on, as far as it is one; of their data nothing is read."""
    while True:
        file.seek(start)
        head = file.read(8)
        if len(head) < 8:
            return
        chunk = Chunk(head[4:], start + 8, int.from_bytes(head[:4], "big"))
        yield chunk
        start = chunk.start + chunk.length + 4  # behind the checksum


def _repaired_png(content: bytes) -> Repaired | None:
    kept, profile = [PNG_START], None
    pixels_seen = False
    for chunk in png_chunks(BytesIO(content)):
        whole = content[chunk.start - 8 : chunk.start + chunk.length + 4]
        data = whole[8 : 8 + chunk.length]
        if chunk.kind == b"IDAT":
            pixels_seen = True
        is_sound = pixels_seen or _has_right_checksum(whole)  # Pillow looks at no checksum behind the pixels
        is_useful = _is_needed(chunk.kind, data) and is_sound and _is_readable(chunk.kind, data)
        if _is_critical(chunk.kind) or is_useful:
            kept.append(whole)
        elif chunk.kind == b"iCCP":
            profile = _large_profile(data) if is_sound else b""
    copy = b"".join(kept)
    if copy == content:
        return None
    return Repaired(copy, profile)


def _is_critical(kind: bytes) -> bool:
    """Whether pixels depend on a chunk: its name says so, by a capital."""
    return kind[:1].isupper()


def _is_needed(kind: bytes, data: bytes) -> bool:
    if kind in _TEXTS:
        return data.partition(b"\0")[0] in _NEEDED_TEXTS
    return kind in _NEEDED


def _has_right_checksum(chunk: bytes) -> bool:
    """Of a chunk with its length, kind, data and checksum."""
    return zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")


def _is_readable(kind: bytes, data: bytes) -> bool:
    """Whether Pillow's own reader takes this chunk."""
    stream = PngImagePlugin.PngStream(BytesIO(data))
    try:
        stream.call(kind, 0, len(data))
    except (ValueError, SyntaxError, LookupError, OSError):
        return False
    return True


def _large_profile(data: bytes) -> bytes:
    """The profile in a chunk `iCCP`, which is a name, two zeros, and the profile compressed; empty if damaged."""
    _, _, rest = data.partition(b"\0")
    unpacking = zlib.decompressobj()
    try:
        profile = unpacking.decompress(rest[1:], _LARGEST_PROFILE)
    except zlib.error:
        return b""
    return b"" if unpacking.unconsumed_tail else profile


def _repaired_jpeg(content: bytes) -> Repaired | None:
    """The file with an end mark, if its pixels are whole.

    They are whole if the scans reach every coefficient in full, and if the decoded pixels stay the same whatever bytes
    are put behind the last one.
    Of 11,000 tiny files cut within their last 60 bytes this took 6 for whole, which lacked part of their last pixels.
    """
    filled = content.rstrip(b"\0")  # zeros at the end may fill a block of a disk, and the first of them be pixels
    zeros = len(content) - len(filled)
    if filled.endswith(_JPEG_END) or not _reaches_every_coefficient(filled):
        return None
    for kept in range(min(zeros, _MOST_ZEROS) + 1):
        candidate = filled + bytes(kept)
        closed = candidate + _JPEG_END
        pixels = _jpeg_pixels(closed)
        if pixels is None:
            continue
        if all(_jpeg_pixels(longer) == pixels for longer in _lengthened(candidate)):
            return Repaired(closed)
    return None


def _lengthened(content: bytes) -> Iterator[bytes]:
    """Copies of a JPEG with further compressed pixels, also behind each mark to restart at, if it has any."""
    next_mark = 0
    for mark in _RESTART.finditer(content):
        next_mark = mark[1][0] + 1
    marks = [bytes([0xFF, 0xD0 + (next_mark + count) % 8]) for count in range(8)]
    for value in _FILLERS:
        filler = bytes([value]) * 32
        yield content + filler + b"".join(mark + filler for mark in marks) + _JPEG_END


def _jpeg_pixels(content: bytes) -> bytes | None:
    """A digest of a JPEG's pixels; None where it cannot be decoded."""
    try:
        with JpegImagePlugin.JpegImageFile(BytesIO(content)) as image:
            return hashlib.blake2b(image.tobytes()).digest()
    except (OSError, SyntaxError, ValueError):
        return None


def _reaches_every_coefficient(content: bytes) -> bool:
    """Whether the scans hold all 64 coefficients of every component, down to their last bit."""
    components: set[int] = set()
    missing: set[tuple[int, int]] = set()
    for kind, data in _jpeg_segments(content):
        if kind in _FRAME_STARTS:
            components = set(data[6::3])  # behind precision, height, width and their number
            missing = set(product(components, range(64)))
        elif kind == _SCAN_START and len(data) >= 6:
            in_scan = data[1 : 1 + 2 * data[0] : 2]
            first, last, bits = data[-3], data[-2], data[-1]
            if bits & 15 == 0:  # the lowest bit that this scan holds
                missing -= set(product(in_scan, range(first, last + 1)))
    return bool(components) and not missing


def _jpeg_segments(content: bytes) -> Iterator[tuple[int, bytes]]:
    """The kinds of a JPEG's segments and their data, without compressed pixels."""
    position = 2
    while mark := _NEXT_SEGMENT.search(content, position):
        start = mark.end() + 2
        end = mark.end() + int.from_bytes(content[mark.end() : start], "big")
        yield content[mark.end() - 1], content[start:end]
        position = max(start, end)
