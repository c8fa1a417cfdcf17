"""Which images a command looks at: files named, folders of them, and records files.

An image is known by its absolute path, without `.` and `..`. Links keep the name that was given, so two links to one
file are two images; `a/../b.png`, `./b.png` and `b.png` are one.

In a folder, a file is an image by its suffix (`pictures.IMAGE_SUFFIXES`); everything else is left out and counted. A
file named by itself is always looked at: its row then says what is wrong with it. Not covered: archives, remote files.

Listing is lazy: however many images there are, memory holds some thousands of names at a time. Where sources may name
an image twice, the paths are remembered on disk.
"""

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO, Protocol

from swift_zoomin.arguments import Found, first_few
from swift_zoomin.files import plain_path
from swift_zoomin.pictures import IMAGE_SUFFIXES
from swift_zoomin.records import RECORDS_SUFFIXES, RecordError, read_records
from swift_zoomin.remembered import Remembered

# Why a file or folder is left out, as the summary says it.
BY_SUFFIX = "without the suffix of an image"
HIDDEN = "hidden"  # also the `._x.jpg` that some systems leave beside `x.jpg`
LOOPS = "in links that loop"
NO_FILES = "pipes, sockets or devices"
UNREADABLE_FOLDERS = "folders that cannot be read"

Source = Path | Iterable[Path]

_SORTED_AT_ONCE = 10_000  # entries of a folder; a larger one comes in parts, each sorted


@dataclass
class Listing:
    """The images to look at, each once and in order, and what was left out, with the reason."""

    images: list[Path] = field(default_factory=list)
    left_out: dict[Path, str] = field(default_factory=dict)

    def summary(self) -> str:
        """What was left out, by reason: `2 hidden (a/._x.jpg, a/._y.jpg), 1 pipes, sockets or devices (a/b.png)`."""
        by_reason: dict[str, list[Path]] = {}
        for path, reason in self.left_out.items():
            by_reason.setdefault(reason, []).append(path)
        parts = [f"{len(paths)} {reason} ({first_few(paths, shown_path)})" for reason, paths in by_reason.items()]
        return ", ".join(parts)


class LeftOut:
    """What was left out, counted by reason; of each reason the first few are kept."""

    def __init__(self) -> None:
        self.reasons: dict[str, Found] = {}
        self._known = Remembered()

    def __setitem__(self, path: Path, reason: str) -> None:
        if self._known.add(path):
            self.reasons.setdefault(reason, Found()).add(shown_path(path))

    def summary(self) -> str:
        """As `Listing.summary`; empty where nothing was left out."""
        return ", ".join(f"{found.number} {reason} ({found})" for reason, found in self.reasons.items())


class Reasons(Protocol):
    """Where a path is put with the reason why it is left out: a dictionary, or LeftOut."""

    def __setitem__(self, path: Path, reason: str, /) -> None: ...


class Names(Iterable[Path]):
    """A list of image files that another program prints: each name ends in a line end or, as of `find -print0`, a NUL.

    Read once, piece by piece. Raises RecordError for a name that no file can have.
    """

    def __init__(self, file: BinaryIO, end: bytes) -> None:
        self._file, self._end = file, end

    def __iter__(self) -> Iterator[Path]:
        for name in self._names():
            if b"\0" in name:
                raise RecordError("standard input: a name with a NUL byte; where names end in one, say -0")
            if name:
                yield Path(os.fsdecode(name))

    def _names(self) -> Iterator[bytes]:
        begun = b""
        while part := os.read(self._file.fileno(), 1 << 16):  # what has come, without waiting for more
            *names, begun = (begun + part).split(self._end)
            yield from names
        yield begun


def list_images(sources: Iterable[Path]) -> Listing:
    """All images of files, folders (with those in it) and records files. Raises RecordError for a records file."""
    listing = Listing()
    listing.images += walk_images(list(sources), listing.left_out)
    return listing


def walk_images(sources: Sequence[Source], left_out: Reasons) -> Iterator[Path]:
    """The images of `list_images` one after the other; what is left out is put into `left_out` meanwhile.

    A source that is no path is a list of images itself. Raises RecordError when it comes to a faulty records file.
    """
    unshared = _unshared_folders(sources)
    seen = Remembered()
    for source in sources:
        is_remembered = not isinstance(source, Path) or not os.path.isdir(source) or plain_path(source) not in unshared
        for path in _images_of(source, left_out):
            if not is_remembered or seen.add(path):
                yield path


def _unshared_folders(sources: Sequence[Source]) -> set[Path]:
    """The folders among the sources whose images no other source can name."""
    paths = [source for source in sources if isinstance(source, Path)]
    if len(paths) < len(sources) or any(map(is_records_file, paths)):
        return set()  # these name images anywhere
    named = Counter(map(plain_path, paths))
    above = {folder for path in named for folder in path.parents}

    def is_shared(folder: Path) -> bool:
        is_inside = any(outer in named for outer in folder.parents)
        return is_inside or folder in above or named[folder] > 1

    folders = {plain_path(source) for source in paths if os.path.isdir(source)}
    return {folder for folder in folders if not is_shared(folder)}


def images_of_records(file: Path) -> list[Path]:
    """The images that a records file names. Raises RecordError."""
    return [Path(record.image.path) for record in read_records(file, decode=False)]


def is_records_file(source: Path) -> bool:
    return source.suffix in RECORDS_SUFFIXES and not os.path.isdir(source)


def _images_of(source: Source, left_out: Reasons) -> Iterator[Path]:
    if not isinstance(source, Path):
        yield from map(plain_path, source)
    elif os.path.isdir(source):
        yield from _walk(plain_path(source), left_out)
    elif is_records_file(source):
        yield from map(plain_path, images_of_records(source))
    else:
        yield plain_path(source)


def shown(name: str) -> str:
    """A name as it can stand in one line: quoted where it has a line end, or bytes that are no UTF-8."""
    return name if name.isprintable() else repr(name)


def shown_path(path: Path) -> str:
    """The path or the way to it from here, whichever is shorter, as it can stand in one line."""
    return shown(min(os.path.relpath(path), str(path), key=len))


def _walk(top: Path, left_out: Reasons) -> Iterator[Path]:
    """Images in a folder and the folders in it, sorted; linked ones too, but none inside itself."""
    open_folders = [(_identity(top.stat()), _entries(top, left_out))]  # a list, because folders may lie deep
    while open_folders:
        entry = next(open_folders[-1][1], None)
        if entry is None:
            open_folders.pop()
            continue
        path, kind = Path(entry.path), _kind(entry)
        if kind == "image":
            yield path
        elif kind != "folder":
            left_out[path] = kind
        elif (identity := _identity(entry.stat())) in [outer for outer, _ in open_folders]:
            left_out[path] = LOOPS
        else:
            open_folders.append((identity, _entries(path, left_out)))


def _entries(folder: Path, left_out: Reasons) -> Iterator[os.DirEntry[str]]:
    """What is in a folder, sorted; of a huge one, part after part of what the file system gives, each sorted."""
    try:
        entries = os.scandir(folder)
    except OSError:
        left_out[folder] = UNREADABLE_FOLDERS
        return
    is_whole = False
    while not is_whole:
        part: list[os.DirEntry[str]] = []
        try:
            part.extend(islice(entries, _SORTED_AT_ONCE))
        except OSError:
            left_out[folder] = UNREADABLE_FOLDERS
        is_whole = len(part) < _SORTED_AT_ONCE
        if is_whole:
            entries.close()  # before what is in it is looked at: folders may lie deeper than files may be open
        yield from sorted(part, key=lambda entry: entry.name)


def _kind(entry: os.DirEntry[str]) -> str:
    """ "image", "folder", or why it is left out."""
    if entry.name.startswith("."):
        return HIDDEN
    try:
        mode = entry.stat().st_mode
    except OSError as error:
        if error.errno == errno.ELOOP:
            return LOOPS
        if entry.is_dir(follow_symlinks=False):
            return UNREADABLE_FOLDERS
        mode = stat.S_IFREG  # an image that a link promises is looked at: its row says that there is none
    if stat.S_ISDIR(mode):
        return "folder"
    if not entry.name.lower().endswith(IMAGE_SUFFIXES):
        return BY_SUFFIX
    return "image" if stat.S_ISREG(mode) else NO_FILES


def _identity(state: os.stat_result) -> tuple[int, int]:
    return state.st_dev, state.st_ino
