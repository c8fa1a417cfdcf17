"""How a run ends before its last image: what is in flight finishes and is kept, nothing new begins."""

import asyncio

from swift_zoomin.arguments import INCOMPLETE

_MOST_FAILURES_IN_A_ROW = 20


class StoppedError(Exception):
    """What was about to be asked is not asked any more; the image stays for the next run."""


class Stop:
    """Why the run stops, once it does, and the exit status that says so. The first reason stays."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.status = 0
        self._requested = asyncio.Event()

    def request(self, reason: str, status: int = INCOMPLETE) -> None:
        if self.reason is None:
            self.reason, self.status = reason, status
            self._requested.set()

    def check(self) -> None:
        """Raises StoppedError once the run stops."""
        if self.reason is not None:
            raise StoppedError

    async def pause(self, seconds: float) -> None:
        """Wait this long, or until the run stops: nobody waits a minute for a retry that will not be made."""
        try:
            async with asyncio.timeout(seconds):
                await self._requested.wait()
        except TimeoutError:
            pass


class FailuresInARow:
    """Stops a run whose server fails for every image: it is down, or the same is wrong with each request.

    An image is known by `image`, and counts once, however many questions about it fail.
    """

    def __init__(self, stop: Stop, server: str) -> None:
        self._stop, self._server = stop, server
        self._images: set[str] = set()

    def is_next_last(self, image: str) -> bool:
        """Whether a failure of this image would stop the run."""
        return len(self._images | {image}) >= _MOST_FAILURES_IN_A_ROW

    def add(self, image: str, error: Exception) -> None:
        if self.is_next_last(image):
            self._stop.request(f"{_MOST_FAILURES_IN_A_ROW} images in a row failed at {self._server}; the last: {error}")
        self._images.add(image)

    def end(self) -> None:
        """The server does answer, or its refusal is about one image alone."""
        self._images.clear()
