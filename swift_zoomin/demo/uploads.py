"""What a visitor sends, in memory alone: read up to a limit, and measured by its head before anything is decoded.

The bytes lie in a file in memory (`swift_zoomin.memory_files`), which has a path like any other, so that engines,
crops, pages and hashes need to know nothing of it. Closed, it is gone.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus

from PIL import Image

from swift_zoomin.boxes import Size
from swift_zoomin.memory_files import MemoryFile
from swift_zoomin.pictures import ImageError, open_upright, upright_size
from swift_zoomin.report.thumbnails import webp_address

_UPLOAD_S = 60.0  # for all bytes of a picture; who sends slower holds a place that others wait for
_PREVIEW_SIDE_PX = 1024  # at most; a page shows no more
_QUALITY = 85  # of WebP


class RefusedError(Exception):
    """Why a request is not answered, in words for who sent it."""

    def __init__(self, status: HTTPStatus, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Upload:
    """A picture in memory, and what its visitor calls it."""

    name: str
    file: MemoryFile

    def named(self, message: str) -> str:
        """A message about the file in words about the picture: where it lies says nothing to a visitor."""
        return message.replace(str(self.file.path), self.name)


async def receive(chunks: AsyncIterator[bytes], stated_bytes: int, name: str, most_bytes: int) -> Upload:
    """Read a picture's bytes as they come. Raises RefusedError, for too many as soon as they are too many.

    `stated_bytes` is what the request says of its length, 0 where it says nothing.
    """
    if stated_bytes > most_bytes:
        raise _too_many_bytes(name, most_bytes)
    upload = Upload(name, MemoryFile())
    try:
        async with asyncio.timeout(_UPLOAD_S):
            received = 0
            async for chunk in chunks:
                received += len(chunk)
                if received > most_bytes:
                    raise _too_many_bytes(name, most_bytes)
                upload.file.write(chunk)
    except TimeoutError:
        upload.file.close()
        raise RefusedError(
            HTTPStatus.REQUEST_TIMEOUT, f"{name}: not here after {_UPLOAD_S:.0f} s; send a smaller file"
        ) from None
    except BaseException:
        upload.file.close()
        raise
    return upload


def _too_many_bytes(name: str, most_bytes: int) -> RefusedError:
    message = f"{name}: more than {most_bytes / 1e6:g} MB; send a smaller file"
    return RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, message)


@dataclass(frozen=True)
class Preview:
    """The upright picture: its own size in pixels, and as a data URI what a page shows of it."""

    size: Size
    data_uri: str


def preview(upload: Upload) -> Preview:
    """Decode a picture, once its head says that it is one within `pictures.most_pixels`. Raises RefusedError."""
    try:
        size = upright_size(upload.file.path)
        picture = open_upright(upload.file.path)
    except ImageError as error:
        raise RefusedError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, upload.named(str(error))) from None
    picture.thumbnail((_PREVIEW_SIDE_PX, _PREVIEW_SIDE_PX), Image.Resampling.LANCZOS, reducing_gap=3.0)
    return Preview(size, as_webp(picture))


def as_webp(picture: Image.Image) -> str:
    """A picture as the page is sent it: a data URI."""
    return webp_address(picture, quality=_QUALITY)
