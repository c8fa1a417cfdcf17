"""Pixels of a PNG file that can be sent as they are stored."""

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

from swift_zoomin.boxes import Size

_PNG = b"\x89PNG\r\n\x1a\n"
_PLAIN_RGB = (8, 2, 0, 0, 0)  # bits, colour type, compression, filter, not interlaced
_PIXELS = (b"IHDR", b"IDAT", b"IEND")
# What changes nothing: `pictures` heeds none of it. Others may: profiles, EXIF data, texts, transparency, animation.
_HARMLESS = (b"sRGB", b"gAMA", b"cHRM", b"pHYs", b"tIME")


def pixels_as_stored(path: Path, size_sent: Size) -> bytes | None:
    """The pixels of a PNG that need no change, without what else the file says; None for any other file.

    Copying them takes a twentieth of the time of decoding and encoding an image again.
    """
    try:
        content = path.read_bytes()
    except OSError:
        return None
    header = struct.pack(">IIBBBBB", *size_sent, *_PLAIN_RGB)
    kept = [_PNG]
    try:
        for kind, chunk in _chunks(content):
            if kind not in (*_PIXELS, *_HARMLESS) or (kind == b"IHDR" and chunk[8:-4] != header):
                return None
            if kind in _PIXELS:
                kept.append(chunk)
    except (ValueError, struct.error):
        return None
    return b"".join(kept)


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The kind and the bytes of each chunk of a PNG, to its end. Raises ValueError for what is not one, or damaged."""
    if not content.startswith(_PNG):
        raise ValueError("no PNG")
    start, kind = len(_PNG), b""
    while kind != b"IEND":
        length, kind = struct.unpack_from(">I4s", content, start)
        end = start + 12 + length
        if zlib.crc32(content[start + 4 : end - 4]) != int.from_bytes(content[end - 4 : end]):
            raise ValueError("damaged")
        yield kind, content[start:end]
        start = end
