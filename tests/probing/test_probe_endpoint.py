"""Probing a model at an address: what a real HTTP server is sent of an image that lies on its side in its file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from answering_server import AnsweringServer, answering, said
from marked_images import sent_image
from PIL import Image
from seeing_engine import probed

from swift_zoomin.checkpoints import limits_of_tokens
from swift_zoomin.detection import Detector
from swift_zoomin.detection.endpoint import EndpointEngine
from swift_zoomin.families import QWEN2_5_VL
from swift_zoomin.probing.probe import Asking
from swift_zoomin.replies import GENERATED, REAL, Reply, render_reply
from swift_zoomin.served.keys import SHARED_KEY, key_from
from swift_zoomin.served.models import Model

BOX = [0, 28, 84, 112]  # of 280 x 196 pixels upright, which are sent as they are
FIRST = render_reply(Reply(REAL, [BOX], ["corner"], "Not <image> at all."))
FINAL = render_reply(Reply(GENERATED, explanation="It melts."))


@pytest.fixture
def engine_and_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[EndpointEngine, AnsweringServer]]:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-0123456789")
    with answering(said(FIRST), said(FINAL)) as server:
        engine = EndpointEngine(Model("m", server.url, key_from(SHARED_KEY)), limits_of_tokens(4, 256, QWEN2_5_VL), 100)
        yield engine, server
        engine.close()


def pictures(body: dict[str, Any]) -> list[np.ndarray]:
    parts = [part for message in body["messages"] if message["role"] == "user" for part in message["content"]]
    urls = [part["image_url"]["url"] for part in parts if part["type"] == "image_url"]
    return [np.asarray(sent_image(url).convert("L"), dtype=int) for url in urls]


def test_an_endpoint_is_sent_the_upright_image_with_the_region_blurred(
    tmp_path: Path, engine_and_server: tuple[EndpointEngine, AnsweringServer]
) -> None:
    engine, server = engine_and_server
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    Image.effect_noise((196, 280), 90).convert("RGB").save(tmp_path / "a.png", exif=exif)
    (prediction,) = Detector(engine=engine).detect([str(tmp_path / "a.png")])
    probe = probed(engine, prediction, tmp_path / "a.png", Asking(samples=1))
    assert (probe.error, probe.share) == (None, 1.0)
    _, detected, as_it_was, hidden, elsewhere = server.asked
    assert as_it_was["messages"] == detected["messages"]
    assert "< image>" in as_it_was["messages"][1]["content"]

    whole, close_up = pictures(as_it_was)
    hidden_whole, hidden_close_up = pictures(hidden)
    assert changed(whole, hidden_whole) == (0, 28, 84, 112)
    assert close_up.shape == hidden_close_up.shape
    assert hidden_close_up.std() < close_up.std() / 10

    (region,) = probe.regions
    other_whole, other_close_up = pictures(elsewhere)
    assert changed(whole, other_whole) == tuple(region.random_box)
    assert (other_close_up == close_up).all()


def changed(picture: np.ndarray, other: np.ndarray) -> tuple[int, ...]:
    """The box in which two pictures differ by more than rounding."""
    rows, columns = np.nonzero(abs(picture - other) > 1)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
