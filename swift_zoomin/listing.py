"""Which images a command looks at: files named, folders of them, and records files.

An image is known by its absolute path, without `.` and `..`. Links keep the name that was given, so two links to one
file are two images; `a/../b.png`, `./b.png` and `b.png` are one.

In a folder, a file is an image by its suffix (`pictures.IMAGE_SUFFIXES`); everything else is left out and counted. A
file named by itself is always looked at: its row then says what is wrong with it. Not covered: archives, remote files.

Listing is lazy: memory holds the names in one folder and in those above it, and what was left out. Only where sources
may name an image twice are the paths remembered.
"""

import errno
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from swift_zoomin.arguments import first_few
from swift_zoomin.files import plain_path
from swift_zoomin.pictures import IMAGE_SUFFIXES
from swift_zoomin.records import RECORDS_SUFFIXES, read_records

# Why a file or folder is left out, as the summary says it.
BY_SUFFIX = "without the suffix of an image"
HIDDEN = "hidden"  # also the `._x.jpg` that some systems leave beside `x.jpg`
LOOPS = "in links that loop"
NO_FILES = "pipes, sockets or devices"
UNREADABLE_FOLDERS = "folders that cannot be read"


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
        parts = [f"{len(paths)} {reason} ({first_few(paths, _short)})" for reason, paths in by_reason.items()]
        return ", ".join(parts)


def list_images(sources: Iterable[Path]) -> Listing:
    """All images of files, folders (with those in it) and records files. Raises RecordError for a records file."""
    listing = Listing()
    listing.images += walk_images(list(sources), listing.left_out)
    return listing


def walk_images(sources: Sequence[Path], left_out: dict[Path, str]) -> Iterator[Path]:
    """The images of `list_images` one after the other; what is left out is put into `left_out` meanwhile.

    Raises RecordError when it comes to a faulty records file.
    """
    unshared = _unshared_folders(sources)
    seen: set[Path] = set()
    for source in sources:
        is_remembered = not os.path.isdir(source) or plain_path(source) not in unshared
        for path in _images_of(source, left_out):
            if path in seen:
                continue
            if is_remembered:
                seen.add(path)
            yield path


def _unshared_folders(sources: Sequence[Path]) -> set[Path]:
    """The folders among the sources whose images no other source can name."""
    if any(source.suffix in RECORDS_SUFFIXES and not os.path.isdir(source) for source in sources):
        return set()  # a records file names images anywhere
    named = Counter(map(plain_path, sources))
    above = {folder for path in named for folder in path.parents}

    def is_shared(folder: Path) -> bool:
        is_inside = any(outer in named for outer in folder.parents)
        return is_inside or folder in above or named[folder] > 1

    folders = {plain_path(source) for source in sources if os.path.isdir(source)}
    return {folder for folder in folders if not is_shared(folder)}


def _images_of(source: Path, left_out: dict[Path, str]) -> Iterator[Path]:
    if os.path.isdir(source):
        yield from _walk(plain_path(source), left_out)
    elif source.suffix in RECORDS_SUFFIXES:
        yield from (plain_path(record.image.path) for record in read_records(source, decode=False))
    else:
        yield plain_path(source)


def shown(name: str) -> str:
    """A name as it can stand in one line: quoted where it has a line end, or bytes that are no UTF-8."""
    return name if name.isprintable() else repr(name)


def _short(path: Path) -> str:
    return shown(min(os.path.relpath(path), str(path), key=len))


def _walk(top: Path, left_out: dict[Path, str]) -> Iterator[Path]:
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


def _entries(folder: Path, left_out: dict[Path, str]) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return iter(sorted(entries, key=lambda entry: entry.name))
    except OSError:
        left_out[folder] = UNREADABLE_FOLDERS
        return iter(())


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
