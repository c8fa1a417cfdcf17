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
from swift_zoomin.detection import Detector, endpoint
from swift_zoomin.detection.deciding import Deciding
from swift_zoomin.detection.in_flight import event_loop
from swift_zoomin.episode import Conversation, Episode
from swift_zoomin.families import QWEN3_VL, Frame
from swift_zoomin.images import ImageRef
from swift_zoomin.predictions import Prediction
from swift_zoomin.records import RecordError
from swift_zoomin.replies import GENERATED, REAL, render_reply
from swift_zoomin.replies import Reply as Said
from swift_zoomin.served.client import ModelClient
from swift_zoomin.served.data_uris import data_uri
from swift_zoomin.served.requests import Paid, Request
from swift_zoomin.served.stopping import FailuresInARow, Stop

KEY = "sk-secret-0123456789"
# 1000 x 700 is shown as 532 x 364: this is the right half of a region of 125 x 125 pixels, and one at the right edge
BOXES = [[53.2, 36.4, 119.7, 101.4], [505.4, 0.0, 532.0, 364.0]]
FIRST = said(render_reply(Said(REAL, BOXES, ["sign", "edge"], "Not <image> nor <|im_end|>.")))
FINAL = said(render_reply(Said(GENERATED, [], [], "It melts.")))
REFUSED = fault(400, "flagged by content policy")


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


def test_the_exchange_is_the_same_as_elsewhere_and_the_first_reply_goes_back_as_text(photo: Path) -> None:
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
    # A server would look for a picture behind <image>, and end the turn at <|im_end|>.
    as_text = row["replies"][0].replace("Not <image> nor <|im_end|>.", "Not < image> nor < |im_end|>.")
    assert reply == {"role": "assistant", "content": as_text}
    assert "Not <image> nor <|im_end|>." in row["replies"][0]
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


@pytest.fixture
def many(tmp_path: Path) -> list[Path]:
    """Small pictures, each in a file of its own."""
    paths = [tmp_path / f"{number}.png" for number in range(31)]
    for path in paths:
        Image.new("RGB", (56, 56), "grey").save(path)
    return paths


@pytest.mark.slow
def test_a_server_that_fails_for_every_image_is_left_in_peace(many: list[Path]) -> None:
    with answering(fault(500, "down")) as server, pytest.raises(RecordError) as raised:
        detect(server, *many)
    assert str(raised.value) == f"20 images in a row failed at {server.url}; the last: 500 down (asked once)"
    assert len(server.asked) == 20


@pytest.mark.slow
def test_a_server_that_refuses_a_plain_picture_too_is_left_in_peace(many: list[Path]) -> None:
    with answering(REFUSED) as server, pytest.raises(RecordError) as raised:
        detect(server, *many)
    expected = f"20 images in a row failed at {server.url}; the last: 400 flagged by content policy"
    assert (str(raised.value), len(server.asked)) == (expected, 20 + 1)


@pytest.mark.slow
def test_images_that_are_refused_end_no_run_even_where_they_are_its_first(many: list[Path]) -> None:
    """A later run begins with them: it would never get past them."""
    with answering(*[REFUSED] * 20, FIRST, *[REFUSED] * 10, FIRST, FINAL) as server:
        rows = detect(server, *many)
    assert [row["error"] for row in rows] == ["the server: 400 flagged by content policy"] * 30 + [None]
    plain = pictures(server.asked[20])
    assert [picture.getcolors() for picture in plain] == [[(224 * 224, (128, 128, 128))]]
    assert "".join(texts(server.asked[20]["messages"][0])) == prompts.query1(Frame.ABSOLUTE)


@pytest.mark.slow
def test_a_server_that_answered_once_refuses_for_the_image_alone(many: list[Path]) -> None:
    with answering(FIRST, FINAL, REFUSED) as server:
        rows = detect(server, *many)
    assert (len(rows), len(server.asked)) == (31, 2 + 30)


def test_failures_are_counted_by_image() -> None:
    stop = Stop()
    failures = FailuresInARow(stop, "it")
    for _ in range(8):
        for number in range(19):
            failures.add(f"{number}.png", ValueError("down"))
    assert stop.reason is None
    failures.add("19.png", ValueError("down"))
    assert stop.reason == "20 images in a row failed at it; the last: down"


def test_samples_are_asked_with_the_same_pictures_and_no_more_at_a_time_than_told(
    many: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[Image.Image] = []
    running: list[int] = [0]
    ask = ModelClient.ask

    async def counted(client: ModelClient, request: Request) -> Paid:
        running.append(running[-1] + 1)
        try:
            return await ask(client, request)
        finally:
            running.append(running[-1] - 1)

    def encode(picture: Image.Image) -> str:
        encoded.append(picture)
        return data_uri(picture)

    monkeypatch.setattr(endpoint, "data_uri", encode)
    monkeypatch.setattr(ModelClient, "ask", counted)
    with answering(FINAL) as server:
        engine = engine_at(server.url, concurrency=2)
        detector = Detector(engine=engine, concurrency=3, deciding=Deciding(samples=8))
        rows = list(detector.detect(map(str, many[:3])))
        engine.close()
    assert [row["sampled_verdicts"] for row in rows] == [[GENERATED] * 8] * 3
    assert len(server.asked) == 3 * (2 + 8)
    assert max(running) == 2
    assert len(encoded) == 3 * 3  # once for each question: the first, the second, and the one that is sampled
    assert not engine._asked_about  # nothing of it stays


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
