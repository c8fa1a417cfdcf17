"""Where pictures with something hidden lie while they are asked about: on disk, or where nothing may reach one."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from swift_zoomin.memory_files import MemoryFile
from swift_zoomin.records import RecordError

Hold = Callable[[bytes], Path]  # where a file lies then


@contextmanager
def on_disk() -> Iterator[Hold]:
    """In the system's folder for temporary files."""
    with TemporaryDirectory(prefix="zoomin-") as folder:
        numbers = count()

        def hold(content: bytes) -> Path:
            file = Path(folder) / f"{next(numbers)}.png"
            file.write_bytes(content)
            return file

        yield hold


@contextmanager
def in_memory() -> Iterator[Hold]:
    """Raises RecordError on a system without files in memory, and in a thread that goes on when the block has ended."""
    is_ended, ending = False, Lock()
    with ExitStack() as files:

        def hold(content: bytes) -> Path:
            with ending:
                if is_ended:
                    raise RecordError("what was to be asked was given up")
                file = MemoryFile()
                files.callback(file.close)
                file.write(content)
            return file.path

        try:
            yield hold
        finally:
            with ending:
                is_ended = True
