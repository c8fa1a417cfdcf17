"""What is known of millions of paths, on disk, so that memory stays as it is: a whole number for each."""

import hashlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DIGEST_BYTES = 16  # the chance that two of a billion paths share one is below 1e-20
_CACHE_KIB = 512  # of the temporary database, which the system's own cache serves well enough


class Remembered:
    """A number for each path. Several threads may ask and add at a time.

    Raises OSError where the folder for temporary files is full or cannot be written.
    """

    def __init__(self) -> None:
        # An empty name is a temporary file that nobody else sees and that goes with this object.
        self._database = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._database.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        self._database.execute("PRAGMA journal_mode = OFF")
        self._database.execute("CREATE TABLE known (path BLOB PRIMARY KEY, number INTEGER) WITHOUT ROWID")
        self._database.execute("BEGIN")  # and never a COMMIT, which would cost more than what it commits

    def get(self, path: Path) -> int | None:
        with _saying():
            found = self._database.execute("SELECT number FROM known WHERE path = ?", (_digest(path),)).fetchone()
        return found[0] if found else None

    def put(self, path: Path, number: int) -> None:
        with _saying():
            self._database.execute("INSERT OR REPLACE INTO known VALUES (?, ?)", (_digest(path), number))

    def add(self, path: Path) -> bool:
        """Whether the path was not known before."""
        with _saying():
            added = self._database.execute("INSERT OR IGNORE INTO known VALUES (?, 0)", (_digest(path),))
        return added.rowcount == 1


def _digest(path: Path) -> bytes:
    return hashlib.blake2b(os.fsencode(path), digest_size=_DIGEST_BYTES).digest()


@contextmanager
def _saying() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        raise OSError(f"the folder for temporary files cannot be used ({error}); set TMPDIR to another one") from error
