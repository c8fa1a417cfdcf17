"""Files that a command is told to write: errors name them, links are written through, devices are not replaced.

What a user may still want is not replaced either: only figures of an earlier evaluation are.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from swift_zoomin.file_kind import parsed_json
from swift_zoomin.files import write_whole
from swift_zoomin.records import RecordError

_MOST_FIGURES_BYTES = 1 << 25  # groups and pairs of many methods take a few; a larger file is not read whole
_IN_A_SIGNATURE = b" zoomin:"


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Errors of the operating system inside name `path`: a full disk does not say which file it cut."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def write_output(path: Path, content: str | bytes) -> None:
    """Write a file, whole or not at all; what is no file (`/dev/stdout`) is written as it comes. Raises OSError."""
    make_folder(path.parent)
    as_bytes = content.encode() if isinstance(content, str) else content
    with naming(path):
        if path.exists() and not path.is_file():
            path.write_bytes(as_bytes)
        else:
            write_whole(Path(os.path.realpath(path)), as_bytes)


def check_figures_folder(folder: Path, names: Iterable[str], inputs: Iterable[Path]) -> None:
    """Raises RecordError where writing files of these names into `folder` would destroy anything but older figures."""
    if folder.suffix == ".json" or (folder.exists() and not folder.is_dir()):
        raise RecordError(f"{folder}: --out is a folder, for {', '.join(names)}; expected one, not a file")
    for path in (folder / name for name in names):
        for source in inputs:
            if path.exists() and source.exists() and path.samefile(source):
                raise RecordError(f"{path}: the same file as {source}, which is read; choose another --out")
        if path.exists() and not (path.is_file() and _may_be_replaced(path)):
            raise RecordError(f"{path}: exists, and holds no figures of an earlier evaluation; choose another --out")


def _may_be_replaced(path: Path) -> bool:
    """Whether a file is empty, or holds figures or tables of them: all of these bear a signature."""
    with path.open("rb") as file:
        content = file.read(_MOST_FIGURES_BYTES)
    if not content:
        return True
    if path.suffix != ".json":
        heading, _, _ = content.partition(b"\n")
        return _IN_A_SIGNATURE in content or heading.endswith(b",signature")  # of a CSV file without a row
    figures = parsed_json(content)
    return isinstance(figures, dict) and "signature" in figures


def make_folder(folder: Path) -> None:
    """Make the folder of an output. Raises OSError, which says so where a file stands in its place."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(error.errno, "a file; expected a folder", str(folder)) from error
