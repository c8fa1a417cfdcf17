"""Files that appear whole or not at all, the name a file is known by, and the folder for what can be made again."""

import os
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TypeGuard


def write_whole(path: Path, content: bytes) -> None:
    """Write a file and the folders above it. Who reads meanwhile, or after a failure, finds the old file or none."""
    with open_whole(path) as file:
        file.write(content)


@contextmanager
def open_whole(path: Path) -> Iterator[BinaryIO]:
    """A file to write piece by piece, that takes its place when all is written, and is gone where that fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with unfinished.open("xb") as file:
            yield file
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)


def cache_folder() -> Path:
    """The user's folder for files that may be deleted at any time. It may not exist, and may not be writable."""
    cache_home = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(cache_home):  # the XDG specification has other values ignored
        return Path(cache_home) / "swift_zoomin"
    try:
        return Path.home() / ".cache" / "swift_zoomin"
    except RuntimeError:  # a container's user without a home
        return Path(tempfile.gettempdir()) / "swift_zoomin"


def is_path(value: Any) -> TypeGuard[str]:
    """Whether this can be a file's name: text without a zero, and without half a character, which no name holds."""
    try:
        return isinstance(value, str) and value != "" and b"\0" not in os.fsencode(value)
    except UnicodeEncodeError:
        return False


def plain_path(path: Path | str) -> Path:
    """The absolute path, without `.` and `..`; links are not followed, but for one that `..` steps out of."""
    absolute = str(Path(path).absolute())
    plain = os.path.normpath("/" + absolute.lstrip("/"))  # two leading slashes would be kept
    if ".." not in absolute.split(os.sep) or os.path.realpath(absolute) == os.path.realpath(plain):
        return Path(plain)
    folder, name = os.path.split(absolute)
    return Path(os.path.realpath(absolute)) if name == ".." else Path(os.path.realpath(folder), name)
