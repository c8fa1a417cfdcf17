"""Files that one run at a time writes to: `zoomin: predictions.jsonl: another run is writing to it`."""

import errno
import os
import stat
import sys
import uuid
from collections.abc import Iterable
from contextlib import ExitStack
from io import FileIO
from pathlib import Path
from weakref import WeakSet

from swift_zoomin.records import RecordError

# What file systems answer that know no locks.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
_OPENINGS = 10  # tries to open the file: another run may replace it between our opening and our locking
_locked: WeakSet[FileIO] = WeakSet()


def open_locked(path: Path) -> FileIO:
    """Open a file for reading and appending, made where there is none, and locked until it is closed.

    A process that is forked meanwhile, as some libraries start their workers, has it closed.
    """
    for _ in range(_OPENINGS):
        with ExitStack() as undo:
            file = undo.enter_context(open(path, "a+b", buffering=0))
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise RecordError(f"{path}: no regular file; choose another --out")
            lock(file, path)
            if is_at(file, path):  # else another run has replaced it since it was opened
                undo.pop_all()
                file.seek(0)
                return file
    raise RecordError(f"{path}: replaced again and again while it was opened; choose another --out")


def lock(file: FileIO, path: Path) -> None:
    import fcntl  # of Unix alone, and only commands that write for long need a lock

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise RecordError(f"{path}: another run is writing to it; wait for its end or choose another --out") from None
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        print(f"zoomin: {path}: no locks on this file system; start no second run that writes to it", file=sys.stderr)
    _locked.add(file)


def _let_go() -> None:
    """Close the locked files of the parent: its child would keep the locks, however long it outlives it."""
    for file in list(_locked):
        file.close()


if hasattr(os, "register_at_fork"):  # on Unix
    os.register_at_fork(after_in_child=_let_go)


def is_at(file: FileIO, path: Path) -> bool:
    """Whether the open file still has this name."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def replaced(file: FileIO, path: Path, lines: Iterable[bytes]) -> FileIO:
    """A file of these lines that takes the place of the open one, in one step, and is locked before it does."""
    unfinished = path.with_name(f".zoomin-{uuid.uuid4().hex}")
    with ExitStack() as undo:
        new = undo.enter_context(open(unfinished, "x+b", buffering=0))
        undo.callback(unfinished.unlink, missing_ok=True)
        lock(new, path)
        os.fchmod(new.fileno(), stat.S_IMODE(os.fstat(file.fileno()).st_mode))
        for line in lines:
            write_all(new, line)
        os.fsync(new.fileno())
        os.replace(unfinished, path)
        undo.pop_all()
    file.close()
    return new


def write_all(file: FileIO, content: bytes) -> None:
    """Write all of it; a full disk may take a part before it raises OSError."""
    left = memoryview(content)
    while left:
        written = file.write(left) or 0
        left = left[written:]
