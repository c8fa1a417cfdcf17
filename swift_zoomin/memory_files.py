"""Files in memory: no folder names them and no disk holds them, and in this process they open by a path like any other.

    file = MemoryFile()
    file.write(content)
    open_upright(file.path)
    file.close()             nothing is left of it

A path that was one file's is no other's for as long as numbers last: who still reads it finds nothing, and never what
somebody else has sent. They are made by memfd_create(2), which Linux has.

`swift_zoomin.images` keeps nothing of what it decodes from them.
"""

import fcntl
import os
import resource
from pathlib import Path
from threading import Lock

from swift_zoomin.records import RecordError

_MOST_DESCRIPTORS = 65_536  # the kernel keeps a table up to the highest number
_numbering = Lock()
_next_number = 0


class MemoryFile:
    """An empty one. Raises RecordError on a system that has none."""

    def __init__(self) -> None:
        check_memory_files()
        self._descriptor: int | None = _numbered(os.memfd_create("picture"))
        self.path = Path(f"/proc/{os.getpid()}/fd/{self._descriptor}")

    @property
    def is_open(self) -> bool:
        return self._descriptor is not None

    def write(self, content: bytes) -> None:
        """Add to its end."""
        assert self._descriptor is not None, "written to a closed file"
        os.write(self._descriptor, content)

    def close(self) -> None:
        """Let its content go; once is enough, and more does no harm."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):  # it was made
            self.close()


def _numbered(descriptor: int) -> int:
    """The same file under the next number of the upper half, which begins anew at its end.

    The system itself gives the lowest free one: the number that was closed last.
    """
    global _next_number
    soft_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _MOST_DESCRIPTORS if soft_limit == resource.RLIM_INFINITY else min(soft_limit, _MOST_DESCRIPTORS)
    lowest = most // 2
    try:
        with _numbering:
            start = _next_number if lowest <= _next_number < most else lowest
            try:
                number = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, start)
            except OSError:  # all above are taken
                number = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, lowest)
            _next_number = number + 1
    finally:
        os.close(descriptor)
    return number


def check_memory_files() -> None:
    """Raises RecordError where there are no such files."""
    if not hasattr(os, "memfd_create"):
        raise RecordError("pictures are held in files in memory, which this system has not; run it on Linux")
