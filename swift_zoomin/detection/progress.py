"""What a long run says while it goes on: images done, their rate and the time left."""

from collections.abc import Callable
from contextlib import suppress
from threading import Thread
from types import TracebackType
from typing import Self

from tqdm import tqdm

from swift_zoomin.records import RecordError


class Bar:
    """A line on a terminal; none where errors go to a file.

    `count` counts all images, in a thread of its own; the time left is told once it has ended.
    """

    def __init__(self, count: Callable[[], int] | None, doing: str = "detecting") -> None:
        self._bar = tqdm(desc=doing, unit="image", disable=None, dynamic_ncols=True)
        self._images: int | None = None
        if count and not self._bar.disable:
            Thread(target=self._count, args=(count,), name="zoomin-count", daemon=True).start()

    def _count(self, count: Callable[[], int]) -> None:
        with suppress(RecordError, OSError):  # the run itself meets them too, and says them
            self._images = count()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()

    def update(self, done_before: int) -> None:
        """One more is done, besides those that an earlier run has done."""
        if self._images is not None:
            self._bar.total = self._images - done_before
        self._bar.update()


def write(text: str) -> None:
    """Print to standard output, at once and above the bar."""
    with tqdm.external_write_mode():
        print(text, end="", flush=True)
