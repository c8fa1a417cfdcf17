"""Where many records stand and what they call their images, kept small: some 40 bytes a record beside the name."""

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

from swift_zoomin.arguments import first_few
from swift_zoomin.records import Record


class Places:
    """Records by their number, from 0, in the order in which they were added."""

    def __init__(self) -> None:
        self._files: list[Path] = []
        self._starts: list[int] = []  # the number of each file's first record
        self._lines = array("Q")
        self._names = bytearray()
        self._ends = array("Q")  # of each name

    def __len__(self) -> int:
        return len(self._lines)

    def open(self, path: Path) -> None:
        """The records added from now on stand in this file."""
        self._files.append(path)
        self._starts.append(len(self))

    def add(self, record: Record) -> None:
        self._lines.append(int(record.where.rpartition(":")[2]))
        self._names += record.name.encode(errors="surrogatepass")
        self._ends.append(len(self._names))

    def file(self, number: int) -> int:
        """Which of the files a record stands in."""
        return bisect_right(self._starts, number) - 1

    def where(self, number: int) -> str:
        """`records.jsonl:17`."""
        return f"{self._files[self.file(number)]}:{self._lines[number]}"

    def name(self, number: int) -> str:
        """What a record calls its image."""
        start = self._ends[number - 1] if number else 0
        return self._names[start : self._ends[number]].decode(errors="surrogatepass")

    def groups(self, groups: Sequence[Sequence[int]]) -> str:
        """The first of several images, each with the records that hold it or a copy of it."""
        return first_few(groups, lambda group: f"{self.name(group[0])} ({first_few(group, self.where)})")
