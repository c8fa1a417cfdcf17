"""Files that a command is told to write: errors name them, links are written through, devices are not replaced."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from swift_zoomin.files import write_whole


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Errors of the operating system inside name `path`: a full disk does not say which file it cut."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def write_output(path: Path, content: str) -> None:
    """Write a file, whole or not at all; what is no file (`/dev/stdout`) is written as it comes. Raises OSError."""
    make_folder(path.parent)
    with naming(path):
        if path.exists() and not path.is_file():
            path.write_text(content, encoding="utf-8")
        else:
            write_whole(Path(os.path.realpath(path)), content.encode())


def make_folder(folder: Path) -> None:
    """Make the folder of an output. Raises OSError, which says so where a file stands in its place."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(error.errno, "a file; expected a folder", str(folder)) from error
