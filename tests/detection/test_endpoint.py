"""The engine `endpoint` against a real HTTP server: what is sent, and what becomes of what comes back."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from answering_server import AnsweringServer, Reply, answering, fault, said
from endpoints import LIMITS, engine_at
from marked_images import sent_image
from PIL import Image, ImageChops

from swift_zoomin import prompts
from swift_zoomin.checkpoints import limits_of_tokens
from swift_zoomin.detection import Detector
from swift_zoomin.detection.in_flight import event_loop
from swift_zoomin.episode import Conversation, Episode
from swift_zoomin.families import QWEN3_VL, Frame
from swift_zoomin.images import ImageRef
from swift_zoomin.predictions import Prediction
from swift_zoomin.records import RecordError
from swift_zoomin.replies import GENERATED, REAL, render_reply
from swift_zoomin.replies import Reply as Said

KEY = "sk-secret-0123456789"
# 1000 x 700 is shown as 532 x 364: this is the right half of a region of 125 x 125 pixels, and one at the right edge
BOXES = [[53.2, 36.4, 119.7, 101.4], [505.4, 0.0, 532.0, 364.0]]
FIRST = said(render_reply(Said(REAL, BOXES, ["sign", "edge"], "Not <image> nor <|im_end|>.")))
FINAL = said(render_reply(Said(GENERATED, [], [], "It melts.")))


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    """Noise of 1000 x 700, lying on its side in its file: any other way of making it smaller gives other pixels."""
    picture = Image.effect_noise((700, 1000), 90).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees
    picture.save(tmp_path / "photo.jpg", exif=exif, quality=95)
    return tmp_path / "photo.jpg"


def detect(server: AnsweringServer, *images: Path, **options: Any) -> list[Prediction]:
    engine = engine_at(server.url, **options)
    try:
        return list(Detector(engine=engine, concurrency=1).detect(map(str, images)))
    finally:
        engine.close()


def texts(message: dict[str, Any]) -> list[str]:
    """The parts of a message in their order, a picture as its tag."""
    return [part.get("text", "<image>") for part in message["content"]]


def pictures(body: dict[str, Any]) -> list[Image.Image]:
    parts = [part for message in body["messages"] if message["role"] == "user" for part in message["content"]]
    return [sent_image(part["image_url"]["url"]) for part in parts if part["type"] == "image_url"]


def test_the_exchange_is_the_same_as_elsewhere_and_the_first_reply_goes_back_as_it_came(photo: Path) -> None:
    with answering(FIRST, FINAL) as server:
        [row] = detect(server, photo)
    first, second = server.asked
    assert {name: first[name] for name in ("model", "max_tokens", "temperature")} == {
        "model": "m",
        "max_tokens": 100,
        "temperature": 0.0,
    }
    assert not {"seed", "top_p", "top_k"} & first.keys()
    [question] = first["messages"]
    assert ("".join(texts(question)), texts(question)[0]) == (prompts.query1(Frame.ABSOLUTE), "<image>")
    again, reply, close_ups = second["messages"]
    assert again == question
    assert reply == {"role": "assistant", "content": row["replies"][0]}
    assert "<|im_end|>" in reply["content"]
    assert "".join(texts(close_ups)) == prompts.query2(2)
    assert (row["initial_verdict"], row["verdict"], row["error"]) == (REAL, GENERATED, None)
    assert row["boxes"] == [[100.0, 70.0, 225.0, 195.0], [950.0, 0.0, 1000.0, 700.0]]


def test_pictures_are_sent_pixel_for_pixel_as_the_model_shall_see_them(photo: Path) -> None:
    with answering(FIRST, FINAL) as server:
        detect(server, photo)
    upright = Image.open(photo).transpose(Image.Transpose.ROTATE_270)
    whole, crop, edge = pictures(server.asked[1])
    shown = upright.resize((532, 364), Image.Resampling.BICUBIC, reducing_gap=3.0)
    assert not ImageChops.difference(whole, shown).getbbox()
    # 125 x 125 enlarged to 50,176 pixels, and 50 x 700 widened to an eighth of its length, 88
    assert not ImageChops.difference(crop, upright.crop((100, 70, 225, 195)).resize((224, 224), 3)).getbbox()
    reference = ImageRef.of(photo).under(LIMITS).crop([950, 0, 1000, 700])
    assert reference.window == (912, 0, 1000, 700)
    assert not ImageChops.difference(edge, upright.crop(reference.window).resize(reference.size_shown, 3)).getbbox()


def test_a_family_that_writes_thousandths_is_asked_for_them_and_read_by_them(photo: Path) -> None:
    first = said(render_reply(Said(REAL, [[100, 100, 225, 300]], ["sign"], "Melted.")))
    with answering(first, FINAL) as server:
        [row] = detect(server, photo, limits=limits_of_tokens(4, 256, QWEN3_VL))
    assert row["boxes"] == [[100.0, 70.0, 225.0, 210.0]]
    [question] = server.asked[0]["messages"]
    assert "from 0 to 1000" in "".join(texts(question))
    whole, crop = pictures(server.asked[1])
    assert whole.size == (608, 416)  # of 32 pixels a token: 256 tokens hold 262,144 pixels
    upright = Image.open(photo).transpose(Image.Transpose.ROTATE_270)
    assert not ImageChops.difference(crop, upright.crop((100, 70, 225, 210)).resize(crop.size, 3)).getbbox()


def test_without_a_region_the_whole_image_alone_is_sent_again(photo: Path) -> None:
    with answering(said("I cannot tell."), FINAL) as server:
        [row] = detect(server, photo)
    _, _, question = server.asked[1]["messages"]
    assert question["content"] == [{"type": "text", "text": prompts.query2(0)}]
    assert (row["initial_verdict"], row["verdict"]) == (None, GENERATED)


def test_a_reply_that_the_length_limit_cut_ends_the_exchange(photo: Path) -> None:
    with answering(said("<explanation>So", "length")) as server:
        [row] = detect(server, photo)
    assert (row["error"], row["replies"], len(server.asked)) == (
        "reply 1 was cut by the length limit",
        ["<explanation>So"],
        1,
    )


def test_what_the_server_will_not_look_at_is_the_error_of_that_image_alone(photo: Path, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    with answering(fault(400, f"unsupported image, {KEY}"), FIRST, FINAL) as server:
        refused, unread, looked_at = detect(server, photo, tmp_path / "broken.png", photo)
    assert refused["error"] == "the server: 400 unsupported image, [key]"
    assert "broken.png" in unread["error"]
    assert looked_at["error"] is None
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (fault(401, f"Incorrect API key provided: {KEY}"), "401 Incorrect API key provided: [key]; the key is that of"),
        (fault(404, "no such model"), "404 no such model; expected the name of one of its models"),
        (fault(429, "quota", code="insufficient_quota"), "429 quota"),
    ],
)
def test_what_is_wrong_for_all_images_ends_the_run_after_one_call(photo: Path, answer: Reply, words: str) -> None:
    with answering(answer) as server, pytest.raises(RecordError) as raised:
        detect(server, *[photo] * 5)
    assert str(raised.value).startswith(f"{server.url}: model m: {words}")
    assert len(server.asked) == 1


def test_a_server_that_fails_for_every_image_is_left_in_peace(photo: Path) -> None:
    with answering(fault(500, "down")) as server, pytest.raises(RecordError) as raised:
        detect(server, *[photo] * 30)
    assert str(raised.value) == f"20 images in a row failed at {server.url}; the last: 500 down (asked once)"
    assert len(server.asked) == 20


def test_rows_made_before_the_run_ended_are_not_lost(photo: Path) -> None:
    with answering(FIRST, FINAL, fault(401, "expired")) as server:
        engine = engine_at(server.url)
        predictions: Iterator[Prediction] = Detector(engine=engine, concurrency=1).detect([str(photo)] * 2)
        assert next(predictions)["verdict"] == GENERATED
        with pytest.raises(RecordError, match="401 expired"):
            next(predictions)
        engine.close()


def test_a_sampled_reply_is_drawn_from_all_tokens_with_its_seed(photo: Path) -> None:
    """A published Qwen2.5-VL says top_k 1, which vLLM would take over: every sample would be the likeliest."""
    with answering(FIRST) as server:
        engine = engine_at(server.url)
        run(engine, photo, temperature=1.0, seed=7)
        engine.close()
    [body] = server.asked
    sampling = {name: body[name] for name in ("temperature", "top_p", "top_k", "seed")}
    assert sampling == {"temperature": 1.0, "top_p": 1.0, "top_k": 1 << 20, "seed": 7}


def run(engine: Any, photo: Path, **sampling: float) -> None:

    conversation = Conversation(Episode(ImageRef.of(photo).under(engine.limits)))
    conversation.ask()
    asyncio.run_coroutine_threadsafe(engine.answer(conversation, **sampling), event_loop()).result()
