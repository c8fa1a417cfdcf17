"""Uploads: read as they come, cut off when they are too many bytes, and let go."""

import asyncio
import os
from collections.abc import AsyncIterator
from http import HTTPStatus
from pathlib import Path

import pytest
from made_images import encoded, exif, noise

from swift_zoomin.demo import uploads
from swift_zoomin.demo.uploads import RefusedError, Upload, preview, receive
from swift_zoomin.memory_files import MemoryFile


def descriptors() -> set[str]:
    return {name for name in os.listdir("/proc/self/fd") if Path(f"/proc/self/fd/{name}").exists()}


class Sender:
    """Sends chunks, and counts those that were taken."""

    def __init__(self, *chunks: bytes, pause_s: float = 0) -> None:
        self.chunks, self.pause_s, self.taken = chunks, pause_s, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            await asyncio.sleep(self.pause_s)
            self.taken += 1
            yield chunk


def received(sender: Sender, stated: int = 0, most: int = 100) -> Upload:
    return asyncio.run(receive(aiter(sender), stated, "a.png", most))


def test_the_bytes_lie_in_memory_under_a_path_until_they_are_let_go() -> None:
    before = descriptors()
    upload = received(Sender(b"one ", b"two"))
    assert upload.file.path.read_bytes() == b"one two"
    assert upload.file.path.stat().st_nlink == 0  # no folder names it
    upload.file.close()
    upload.file.close()
    assert not upload.file.is_open
    assert descriptors() == before


def test_one_byte_too_many_ends_the_reading() -> None:
    before, sender = descriptors(), Sender(bytes(60), bytes(41), bytes(1))
    with pytest.raises(RefusedError, match=r"^a.png: more than 0.0001 MB; send a smaller file$") as refused:
        received(sender)
    assert refused.value.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert sender.taken == 2
    assert descriptors() == before


def test_a_length_that_is_too_great_is_refused_before_anything_is_read() -> None:
    sender = Sender(b"x")
    with pytest.raises(RefusedError, match="more than"):
        received(sender, stated=101)
    assert sender.taken == 0


def test_as_many_bytes_as_allowed_are_taken() -> None:
    upload = received(Sender(bytes(60), bytes(40)), stated=100)
    assert len(upload.file.path.read_bytes()) == 100
    upload.file.close()


def test_who_sends_too_slowly_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "_UPLOAD_S", 0.05)
    before = descriptors()
    with pytest.raises(RefusedError, match=r"a.png: not here after 0 s; send a smaller file") as refused:
        received(Sender(b"x", b"y", pause_s=0.04))
    assert refused.value.status == HTTPStatus.REQUEST_TIMEOUT
    assert descriptors() == before


def test_a_preview_is_upright_and_says_the_size_of_the_original() -> None:
    turned = encoded(noise(1200, 1500), "JPEG", exif=exif(b"\x06\0\0\0"))  # to be turned by a quarter
    upload = Upload("a.jpg", MemoryFile())
    upload.file.write(turned)
    seen = preview(upload)
    assert seen.size == (1500, 1200)
    assert seen.data_uri.startswith("data:image/webp;base64,")
    upload.file.close()


def test_a_refusal_names_the_picture_as_its_visitor_does() -> None:
    upload = Upload("notes.png", MemoryFile())
    upload.file.write(b"Only words.")
    with pytest.raises(RefusedError, match=r"^notes.png: not a readable image \(expected JPEG") as refused:
        preview(upload)
    assert refused.value.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    upload.file.close()
