"""Opening pictures: which files are any, their upright size, and their upright pixels in sRGB.

    upright_size("a.heic")    (3024, 4032), from the file's head
    open_upright("a.heic")    the pixels, mode RGB, without the file's profile and EXIF data

A picture may also be given itself: bytes, base64 text, a data URI, a Pillow image. What a file is is told by its
content, never by its name. Only the formats below are ever opened: those that cameras, phones, generators, browsers
and published data sets write. Others that Pillow knows are drawings and documents (EPS, which would start Ghostscript,
PDF, WMF), scientific stubs (HDF5, GRIB), or films (MPEG). Not covered: raw camera files, SVG, video, remote files.
"""

import base64
import os
import re
import stat
import struct
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import IO, TypeVar

import pillow_heif
from PIL import (  # each registers its format
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    Image,
    Jpeg2KImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    PpmImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from swift_zoomin.boxes import MAX_ASPECT, Size
from swift_zoomin.colours import ColourError, to_srgb
from swift_zoomin.repairs import png_chunks, repaired

pillow_heif.register_heif_opener()

# Files of a folder that are pictures, by their suffix in lower case.
IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff"),
    *(".heic", ".heif", ".hif", ".avif", ".jp2", ".j2k", ".ppm", ".pgm"),
)
# Pillow's names of the same formats; MPO is opened as JPEG. AVIF before HEIF: both may begin alike, and AVIF's reader
# looks further before it takes a file.
_FORMATS = tuple(
    reader.format
    for reader in (
        JpegImagePlugin.JpegImageFile,
        PngImagePlugin.PngImageFile,
        WebPImagePlugin.WebPImageFile,
        GifImagePlugin.GifImageFile,
        BmpImagePlugin.BmpImageFile,
        TiffImagePlugin.TiffImageFile,
        AvifImagePlugin.AvifImageFile,
        pillow_heif.HeifImageFile,
        Jpeg2KImagePlugin.Jpeg2KImageFile,
        PpmImagePlugin.PpmImageFile,
    )
)
_BASE64 = re.compile(r"[A-Za-z0-9+/]+=*")
_LONGEST_PATH = 4096  # longer text is no path anywhere
MEGAPIXELS = "ZOOMIN_MAX_MEGAPIXELS"
_MOST_PIXELS = 178_956_970  # what Pillow refuses more than, against small files that fill the memory
_EXIF_ORIENTATION = 0x0112
_TURNS: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)
_PNG_METADATA = (b"eXIf", b"tEXt", b"zTXt", b"iTXt")  # chunks that Pillow takes texts and an orientation from
_pillow_limit_lock = Lock()
# What Pillow's readers raise at damaged files.
_UNREADABLE = (
    *(OSError, SyntaxError, ValueError, RuntimeError, TypeError, LookupError, ArithmeticError, EOFError, MemoryError),
    *(struct.error, zlib.error, Image.DecompressionBombError),
)
_T = TypeVar("_T")

Source = Path | str | bytes | Image.Image  # a file's path, or the image itself: bytes, base64, data URI, Pillow image


class ImageError(ValueError):
    """A file that cannot be used as an image; the message names it."""

    def as_value(self) -> "ImageError":
        """The error to be kept or handed on instead of raised.

        One that was raised holds its traceback, whose frames hold the error and the open file: each such circle stays
        until the garbage collector looks, and the memory of a run over many faulty files grows by what lies between.
        """
        return ImageError(str(self))


class _TooLargeError(ImageError):
    """An image that has more pixels than allowed, whatever else its file is."""


def upright_size(source: Source) -> Size:
    """(width, height) after EXIF rotation, without decoding where the format allows. Raises ImageError."""
    width, height = _read(source, _measure)
    if max(width, height) > MAX_ASPECT * min(width, height):
        wanted = f"expected an aspect ratio of at most {MAX_ASPECT}"
        raise ImageError(f"{name_of(source)}: {width}x{height} pixels; {wanted}")
    return width, height


def open_upright(source: Source) -> Image.Image:
    """Decode an image to 8-bit sRGB (mode RGB), upright, transparency on white, first frame. Raises ImageError.

    What the file says besides its pixels (profile, EXIF data, texts) is left behind.
    """
    return _read(source, _decode)


def look_at_head(source: Source, look: Callable[[Image.Image], _T]) -> _T:
    """What `look` finds in an opened image, of which nothing is decoded. Raises ImageError."""
    return _read(source, lambda image, _: look(image))


def exif_tags(image: Image.Image) -> list[int]:
    """The numbers of an opened image's EXIF tags, which is not decoded for that; none where they cannot be read."""
    try:
        return sorted(Image.Image.getexif(image))  # a PNG's own method would decode it
    except _UNREADABLE:
        return []


def read_late_chunks(image: PngImagePlugin.PngImageFile) -> None:
    """Read the texts and EXIF data behind a PNG's pixels, as Pillow does when it has decoded. Raises as Pillow does."""
    if image.fp is None or image.png is None or not image.tile:  # decoded already, or without pixels
        return
    first_pixels = image.tile[0].offset - 8
    for kind, start, length in png_chunks(image.fp, first_pixels):
        if kind in _PNG_METADATA:
            image.fp.seek(start)
            image.png.call(kind, start, length)


def stored_orientation(source: Source) -> int:
    """How a file's pixels are turned to be upright: EXIF's number, 1 (not at all) to 8. Raises ImageError."""
    return _read(source, _known_orientation)


def content_of(source: Source) -> bytes | None:
    """The bytes of an image that is given itself; None for a path or a Pillow image. Raises ImageError."""
    if isinstance(source, bytes):
        return source
    if not isinstance(source, str):
        return None
    if source.startswith("data:"):
        return _decoded_base64(source.partition(",")[2], source)
    if not _BASE64.fullmatch(source[:100]) or os.path.exists(source):
        return None
    if len(source) > _LONGEST_PATH:
        return _decoded_base64(source, source)
    # The path of a missing file may be base64 by chance, but then no image begins in it.
    try:
        content = _decoded_base64(source, source)
    except ImageError:
        return None
    return content if _begins_image(content) else None


def _decoded_base64(text: str, source: str) -> bytes:
    """The bytes of an image given as base64. Raises ImageError."""
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        raise ImageError(f"{name_of(source)}: not an image in base64 ({error})") from None


def name_of(source: Source) -> str:
    """What messages call an image."""
    if isinstance(source, bytes | Image.Image):
        return "an image given as data"
    text = str(source)
    return text if len(text) <= _LONGEST_PATH else f"{text[:40]}..."


def _begins_image(content: bytes) -> bool:
    try:
        _identify(BytesIO(content))
    except _UNREADABLE:
        return False
    return True


def _read(source: Source, use: Callable[[Image.Image, str], _T]) -> _T:
    """Use an opened image, or else the repaired copy of its file. Raises ImageError."""
    name = name_of(source)
    if isinstance(source, Image.Image):
        with _naming(name, "damaged image"):
            return use(source.copy(), name)  # the one given stays as it is
    with _file(source, name) as file:
        try:
            return _use_file(file, name, use)
        except _TooLargeError:
            raise
        except ImageError:
            copy = repaired(file)
            if copy is None:
                raise
        return _use_file(BytesIO(copy.content), name, use, copy.profile)


@contextmanager
def _file(source: Path | str | bytes, name: str) -> Iterator[IO[bytes]]:
    """The bytes of an image as an open file. Raises ImageError."""
    content = content_of(source)
    if content is not None:
        yield BytesIO(content)
        return
    try:
        if not stat.S_ISREG(os.stat(source).st_mode):  # asked before opening, which waits for ever on a named pipe
            raise ImageError(f"{name}: not a regular file, but a folder, pipe or device")
        file = open(source, "rb")  # noqa: SIM115 (closed below; errors in reading it are not those of opening it)
    except FileNotFoundError:
        raise ImageError(f"{name}: no such image file") from None
    except ImageError:
        raise
    except (OSError, ValueError) as error:  # a link that leads to itself, no permission, a zero in the name
        raise ImageError(f"{name}: cannot be opened ({getattr(error, 'strerror', None) or error})") from None
    with file:
        yield file


def _use_file(file: IO[bytes], name: str, use: Callable[[Image.Image, str], _T], profile: bytes | None = None) -> _T:
    limit = most_pixels()
    with _open(file, name, limit) as image:
        if profile is not None:
            image.info["icc_profile"] = profile
        with _naming(name, "damaged image"):
            if image.width * image.height <= (Image.MAX_IMAGE_PIXELS or limit):
                return use(image, name)
            with _pillow_limit_at(limit):  # TIFF's reader asks again
                return use(image, name)


@contextmanager
def _naming(name: str, fault: str) -> Iterator[None]:
    """Turn what Pillow raises into an ImageError that names the file."""
    try:
        yield
    except ImageError:
        raise
    except ColourError as error:  # the file is whole
        raise ImageError(f"{name}: {error}") from error
    except _UNREADABLE as error:
        raise ImageError(f"{name}: {fault} ({error})") from error


def most_pixels() -> int:
    """Pixels that an image may have: the default, or what the environment says. Raises ImageError."""
    megapixels = os.environ.get(MEGAPIXELS)
    if not megapixels:
        return _MOST_PIXELS
    try:
        pixels = int(float(megapixels) * 1e6)
    except (ValueError, OverflowError):
        pixels = 0
    if pixels < 1:
        raise ImageError(f'{MEGAPIXELS} is "{megapixels}"; expected a number of megapixels')
    return pixels


@contextmanager
def _pillow_limit_at(pixels: int) -> Iterator[None]:
    """Move Pillow's own limit, which is one for the whole process, while one large image is read.

    Pillow warns above the limit and refuses above twice the limit.
    """
    with _pillow_limit_lock:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = pixels
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _open(file: IO[bytes], name: str, limit: int) -> Image.Image:
    """Read the head of an image within the limit. Raises ImageError."""
    expected = f"expected at most {limit / 1e6:.1f} megapixels; {MEGAPIXELS} can raise that"
    with _naming(name, "not a readable image"):
        try:
            image = _identify(file)
        except Image.DecompressionBombError:  # the readers of WebP and GIF look at Pillow's limit themselves
            try:
                with _pillow_limit_at(limit // 2):  # Pillow refuses above twice its own
                    image = _identify(file)
            except Image.DecompressionBombError:
                raise _TooLargeError(f"{name}: larger; {expected}") from None
    width, height = image.size
    if width * height > limit:
        raise _TooLargeError(f"{name}: {width}x{height} pixels; {expected}")
    return image


def _identify(file: IO[bytes]) -> Image.Image:
    """Open lazily: only the head is read. `Image.open` would warn of large images, and read the file's name."""
    file.seek(0)
    start = file.read(16)
    cause = f"expected {', '.join(_FORMATS)}"
    for kind in _FORMATS:
        reader, accepts = Image.OPEN[kind]
        if not accepts or accepts(start) is not True:
            continue
        file.seek(0)
        try:
            return reader(file, "")
        except (SyntaxError, LookupError, TypeError, struct.error) as error:
            cause = f"{kind}: {error}"
    raise UnidentifiedImageError(cause)


def _measure(image: Image.Image, name: str) -> Size:
    """The upright size, as decoding would give it."""
    if isinstance(image, PngImagePlugin.PngImageFile):
        if image.is_animated:  # what stands behind its first frame is not read
            return _decode(image, name).size
        read_late_chunks(image)
    width, height = image.size
    is_sideways = _orientation(image) in _SIDEWAYS
    if isinstance(image, TiffImagePlugin.TiffImageFile) and image.tag_v2.get(_EXIF_ORIENTATION) in _SIDEWAYS:
        is_sideways = not is_sideways  # Pillow has turned this size already
    return (height, width) if is_sideways else (width, height)


def _known_orientation(image: Image.Image, name: str) -> int:
    if isinstance(image, PngImagePlugin.PngImageFile):
        read_late_chunks(image)
    orientation = _orientation(image)
    return orientation if isinstance(orientation, int) and orientation in _TURNS else 1


def _orientation(image: Image.Image) -> object:
    """The EXIF orientation of an image as its file gives it, 1 where that cannot be read; 6 means turned clockwise."""
    try:
        return Image.Image.getexif(image).get(_EXIF_ORIENTATION, 1)  # a PNG's own method would decode it
    except _UNREADABLE:
        return 1


def _decode(image: Image.Image, name: str) -> Image.Image:
    stated_size = image.size
    image.load()
    if isinstance(image, pillow_heif.HeifImageFile) and image.size != stated_size:
        raise ValueError(f"its head says {stated_size}, its pixels are {image.size}")
    turn = _TURNS.get(_orientation(image))
    image = to_srgb(image, name)
    if turn is not None:
        image = image.transpose(turn)
    image.info = {}
    return image
