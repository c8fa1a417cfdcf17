"""Images of a records file: each is decoded once, and then remembered until its file changes.

What was seen stands in the user's cache folder, in one file a records file, which may be deleted at any time:

    {"rules": [1, "0.1.0", "13.0.0", "1.8.1", 178956970],
     "images": {"images/000017.png": [1764060175123456789, 287311, 448, 448]}}

An image's entry holds its file's time of change in ns and size in bytes, and its upright width and height; only images
without a fault have one. It is JSON and no database, because many processes, on several machines with one home on NFS,
read and replace it at once, which locks make slow or wrong there. Not found by it: damage that leaves time and size of
a file as they were. `zoomin check` looks for that and decodes every image.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Condition
from typing import Any

import PIL
import pillow_heif
from PIL import Image

from swift_zoomin import __version__
from swift_zoomin.files import cache_folder, write_whole
from swift_zoomin.images import ImageRef, open_upright
from swift_zoomin.pictures import most_pixels

_FORMAT = 1  # another number where the same image would now be judged otherwise
_DECODED_PIXELS = 100_000_000  # at once: 0.4 GB as RGB, up to three times that while colours are changed

# Pillow asks for memory in blocks of at most 16 MiB. The C library keeps such blocks for the thread that freed them, so
# each thread of a pool would go on holding as much as its largest image took. Blocks above 32 MiB it gives back.
_BLOCK_BYTES = 1 << 26

State = tuple[int, int]  # a file's time of change in ns, its size in bytes
Look = Callable[[Image.Image, str], Any]  # what is made of a decoded image and its file; threads call it at once


class CheckedImages:
    """Makes references to the images of one records file, each checked. Threads may share it."""

    def __init__(self, records: Path, decode: bool = True, afresh: bool = False, look: Look | None = None) -> None:
        """`decode` also decodes each image that is not known to be whole; `afresh` trusts no earlier reading.

        `look` is shown each decoded image and its file.
        """
        self._decode, self._afresh, self._look = decode, afresh, look
        self._file = _cache_file(records)
        self._known = {} if afresh else _read(self._file)
        self._news: dict[str, list[int]] = {}
        self._budget = PixelBudget(_DECODED_PIXELS)
        Image.core.set_block_size(_BLOCK_BYTES)

    def refer(self, name: str, path: Path) -> ImageRef:
        """Refer to an image, which the records file calls `name`. Raises ImageError."""
        return self.look_at(name, path)[0]

    def look_at(self, name: str, path: Path) -> tuple[ImageRef, Any]:
        """Refer to an image, with what `look` found in it: None where it was not decoded. Raises ImageError."""
        state = _file_state(path)  # before it is opened, so that a change meanwhile makes the entry an old one
        entry = self._known.get(name)
        if entry and state == (entry[0], entry[1]):
            return ImageRef(str(path.absolute()), (entry[2], entry[3])), None
        reference = ImageRef.of(path)
        found = None
        if self._decode:
            found = self._decode_once(reference)
            if state:
                self._news[name] = [*state, *reference.size]
        return reference, found

    def _decode_once(self, reference: ImageRef) -> Any:
        width, height = reference.size
        with self._budget.hold(width * height):
            # As in training: to decode a JPEG smaller would be faster, but what passes here must pass there.
            image = open_upright(reference.path)
            return self._look(image, reference.path) if self._look else None

    def remember(self) -> None:
        """Write down what was decoded; where that is not possible, it is decoded again next time.

        After a reading afresh nothing else is known, so that an image found damaged is not trusted any longer.
        """
        if not self._news and not self._afresh:
            return
        images = {**self._known, **self._news}  # a reading that was stopped has not seen all that are known
        content = json.dumps({"rules": _rules(), "images": images})
        with suppress(OSError):  # a full disk, a read-only home
            write_whole(self._file, content.encode())


class PixelBudget:
    """Lets threads hold only so many pixels at once; what is larger than all of them is held alone."""

    def __init__(self, pixels: int) -> None:
        self._all = self._free = pixels
        self._changed = Condition()

    @contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Wait until that many pixels are free, and keep them."""
        share = min(pixels, self._all)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= share)
            self._free -= share
        try:
            yield
        finally:
            with self._changed:
                self._free += share
                self._changed.notify_all()


def _file_state(path: Path) -> State | None:
    """The state that a file is in; None where there is none, of which opening it will say more."""
    try:
        state = os.stat(path)
    except (OSError, ValueError):
        return None
    return state.st_mtime_ns, state.st_size


def _cache_file(records: Path) -> Path:
    place = hashlib.sha256(os.fsencode(records.absolute())).hexdigest()[:32]
    return cache_folder() / "checked" / f"{place}.json"


def _rules() -> list[Any]:
    """What decides, besides its file, whether an image can be used."""
    return [_FORMAT, __version__, PIL.__version__, pillow_heif.__version__, most_pixels()]


def _read(file: Path) -> dict[str, list[int]]:
    """The entries of a cache file that was written under the same rules; of any other file none."""
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(content, dict) or content.get("rules") != _rules() or not isinstance(content.get("images"), dict):
        return {}
    return {name: entry for name, entry in content["images"].items() if _is_entry(entry)}


def _is_entry(entry: Any) -> bool:
    return isinstance(entry, list) and len(entry) == 4 and all(type(number) is int for number in entry)
