"""What a picture's file says of itself, to stand beside a verdict and never in it.

    file_says(Path("photo.jpg")).rows    [Said("EXIF", "Model", "EOS R5"), Said("C2PA", "validation", "Valid: ...")]

Read are EXIF, IPTC, XMP, the texts of a PNG, comments, and a C2PA manifest. All of it is text that anybody can write,
copy or take away, so nothing here goes into a score. A file that is damaged, hostile or gone is told of in rows too,
whose field is `fault`: nothing is raised, and nothing is fetched from anywhere.
"""

import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Lock
from typing import IO

from PIL import Image, PngImagePlugin

from swift_zoomin.pictures import ImageError, look_at_head, read_late_chunks
from swift_zoomin.repairs import PNG_START, png_chunks
from swift_zoomin.report.embedded import (
    COMMENT,
    EXIF,
    IPTC,
    PNG_TEXT,
    XMP,
    comments_say,
    exif_details_say,
    exif_says,
    iptc_says,
    png_texts_say,
    xmp_says,
)
from swift_zoomin.report.manifest import C2PA, manifest_says
from swift_zoomin.report.said import FAULT, Said, bounded, says

# What a page says above these rows, word for word.
NO_EVIDENCE_EITHER_WAY = (
    "What a file says of itself is not used for the verdict. A missing mark is evidence of nothing: most programs and "
    "sites remove such marks. A mark that is there can be forged: anybody can write one, or copy it from another file."
)
SOURCES = (EXIF, IPTC, XMP, PNG_TEXT, COMMENT, C2PA)

_FILE = "file"  # the source of the only row of a file that is no picture
_TEXT_CHUNKS = (b"tEXt", b"zTXt", b"iTXt")
_LookAtImage = Callable[[Image.Image], Iterable[Said]]
_IN_PICTURES: tuple[tuple[str, _LookAtImage], ...] = (
    (EXIF, exif_says),
    (EXIF, exif_details_say),
    (IPTC, iptc_says),
    (XMP, xmp_says),
    (PNG_TEXT, png_texts_say),
    (COMMENT, comments_say),
)
_warnings_lock = Lock()  # Python has one list of what to do with warnings, for all threads


@dataclass(frozen=True)
class FileSays:
    """The rows of all sources, in the order of `SOURCES`."""

    rows: list[Said]

    @property
    def silent(self) -> list[str]:
        """The sources of which the file has nothing. Of a file that cannot be read nobody knows."""
        speaking = {row.source for row in self.rows}
        if _FILE in speaking:
            return []
        return [source for source in SOURCES if source not in speaking]


def file_says(path: Path) -> FileSays:
    """What stands in a file beside its pixels, which are not decoded. Raises nothing: faults are rows."""
    with _warnings_lock, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        try:
            look_at_head(path, _is_png)
        except ImageError as error:
            return FileSays([says(_FILE, FAULT, str(error).removeprefix(f"{path}: "))])
        found = _said_by_all(path)
    # All that Pillow warns of while it only looks at a file's head concerns EXIF, or TIFF, whose form EXIF has.
    found[EXIF] += [says(EXIF, FAULT, f"damaged ({warning.message})") for warning in warned if _is_pillows(warning)]
    return FileSays([row for source, rows in found.items() for row in bounded(source, dict.fromkeys(rows))])


def _said_by_all(path: Path) -> dict[str, list[Said]]:
    """The rows of each source, as many as there are; one that cannot be read has a fault, and the others are read."""
    readers: list[tuple[str, Callable[[Path], Iterable[Said]]]] = [
        *((source, partial(_look, look)) for source, look in _IN_PICTURES),
        (PNG_TEXT, _unread_texts),
        (C2PA, manifest_says),
    ]
    found: dict[str, list[Said]] = {source: [] for source in SOURCES}
    for source, read in readers:
        try:
            found[source] += read(path)
        except (ImageError, OSError) as error:
            # An ImageError's own words would call the picture damaged, and not what stands beside its pixels.
            found[source].append(says(source, FAULT, f"cannot be read ({error.__cause__ or error})"))
    return found


def _is_pillows(warning: warnings.WarningMessage) -> bool:
    """Whether it is not another thread's."""
    return Path(warning.filename).parent.name == "PIL"


def _look(look: _LookAtImage, path: Path) -> list[Said]:
    """Raises ImageError."""

    def look_at(image: Image.Image) -> list[Said]:
        if isinstance(image, PngImagePlugin.PngImageFile):
            read_late_chunks(image)
        return list(look(image))

    return look_at_head(path, look_at)


def _unread_texts(path: Path) -> Iterator[Said]:
    """A fault where a PNG's texts were left out, as a damaged or huge one made the picture unreadable with them."""
    if not look_at_head(path, _is_png):
        return
    with path.open("rb") as file:
        written = _number_of_texts(file)
    left_out = written - look_at_head(path, _number_of_texts_read)
    if left_out:
        yield says(PNG_TEXT, FAULT, f"{left_out} of {written} texts cannot be read: one is damaged, or too large")


def _is_png(image: Image.Image) -> bool:
    return isinstance(image, PngImagePlugin.PngImageFile)


def _number_of_texts_read(image: Image.Image) -> int:
    assert isinstance(image, PngImagePlugin.PngImageFile)
    assert image.fp is not None, "it was just opened"
    read_late_chunks(image)
    return _number_of_texts(image.fp)


def _number_of_texts(file: IO[bytes]) -> int:
    return sum(chunk.kind in _TEXT_CHUNKS for chunk in png_chunks(file, len(PNG_START)))
