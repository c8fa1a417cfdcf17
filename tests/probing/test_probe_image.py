"""One image probed: what the second look is shown of it, and what its answers come to."""

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from seeing_engine import LEFT, RIGHT, SeeingEngine, detected, flawed_image, probed

from swift_zoomin import prompts
from swift_zoomin.boxes import iou
from swift_zoomin.episode import Answer, Conversation, largest_boxes
from swift_zoomin.images import ImageError
from swift_zoomin.probing.held import in_memory, on_disk
from swift_zoomin.probing.probe import Asking

SAMPLES = 8
BLURRED, LEFT_OUT = Asking(SAMPLES), Asking(SAMPLES, leave_out=True)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    return flawed_image(tmp_path / "a.png")


@pytest.mark.parametrize("asking", [BLURRED, LEFT_OUT])
def test_each_region_counts_for_what_it_shows(image: Path, asking: Asking) -> None:
    engine = SeeingEngine(LEFT, RIGHT)
    probe = probed(engine, detected(engine, image), image, asking)
    assert probe.error is None
    assert probe.share == 1.0  # two flaws: 8 of 8 samples
    assert [region.share for region in probe.regions] == [0.5, 0.5]  # one flaw: 4 of 8
    assert [region.random_share for region in probe.regions] == [1.0, 1.0]
    assert (probe.all_share, probe.all_random_share) == (0.0, 1.0)
    assert probe.depends is True
    assert probe.depends_on_random is False


def test_a_region_is_blurred_in_the_whole_image_and_in_its_close_up_in_the_same_words(image: Path) -> None:
    engine = SeeingEngine(LEFT, RIGHT)
    prediction = detected(engine, image)
    as_detected = engine.asked.pop()
    (both_seen,) = engine.seen
    engine.seen.clear()
    probed(engine, prediction, image, BLURRED)
    flaws, flawed = zip(*engine.seen, strict=True)
    # As it was; left hidden, another hidden; right hidden, another hidden; both hidden, two others hidden.
    assert flaws == (2, 1, 2, 1, 2, 0, 2)
    _, whole = both_seen
    assert flawed == pytest.approx([share * whole for share in (1, 1 / 2, 1, 1 / 2, 1, 0, 1)], abs=0.01)
    for conversation in engine.asked:
        assert words(conversation) == words(as_detected)
        assert [shown.size_shown for shown in conversation.images] == [shown.size_shown for shown in as_detected.images]


def words(conversation: Conversation) -> list[str]:
    """The questions of an exchange; its reply is ids when it was sampled, and text when it is replayed."""
    return [message["content"] for message in conversation.messages if message["role"] == "user"]


def test_a_close_up_that_is_left_out_takes_its_place_in_the_question_along(image: Path) -> None:
    engine = SeeingEngine(LEFT, RIGHT)
    prediction = detected(engine, image)
    engine.asked.clear()
    probed(engine, prediction, image, LEFT_OUT)
    crops = [len(conversation.images) - 1 for conversation in engine.asked]
    assert crops == [2, 1, 2, 1, 2, 0, 2]
    assert [words(conversation)[1] for conversation in engine.asked] == [prompts.query2(number) for number in crops]


def test_what_is_not_hidden_is_asked_about_as_it_was(image: Path) -> None:
    engine = SeeingEngine(LEFT, RIGHT)
    prediction = detected(engine, image)
    as_detected = engine.asked.pop()
    probed(engine, prediction, image, BLURRED)
    as_it_was, left_hidden, left_random, *_ = engine.asked
    assert as_it_was.images == as_detected.images
    assert as_it_was.messages[1]["content"] == prediction["replies"][0]
    assert left_hidden.images[2] == as_detected.images[2]
    assert left_random.images[1:] == as_detected.images[1:]


def test_random_regions_have_the_size_of_the_marked_and_lie_beside_them(image: Path) -> None:
    engine = SeeingEngine(LEFT, RIGHT)
    prediction = detected(engine, image)
    first, second = probed(engine, prediction, image, BLURRED), probed(engine, prediction, image, BLURRED)
    assert first == second
    for region in first.regions:
        x1, y1, x2, y2 = region.random_box
        assert (x2 - x1, y2 - y1) == pytest.approx((200, 200), abs=3)  # a box is known to a pixel of the first look
        assert not any(iou(region.random_box, other) for other in (LEFT, RIGHT))
    assert [region.box for region in first.regions] == prediction["boxes"]


def test_the_only_region_is_all_of_them_and_is_not_asked_about_twice(image: Path) -> None:
    engine = SeeingEngine(LEFT)
    prediction = detected(engine, image)
    engine.asked.clear()
    probe = probed(engine, prediction, image, BLURRED)
    assert len(engine.asked) == 3
    (region,) = probe.regions
    assert (probe.all_share, probe.all_random_share) == (region.share, region.random_share) == (0.0, 0.5)
    assert probe.share == 0.5
    assert probe.depends is None  # one half is no verdict


def test_only_the_regions_that_were_looked_at_are_hidden(image: Path) -> None:
    small = [900, 600, 950, 650]
    engine = SeeingEngine(small, RIGHT)
    prediction = detected(engine, image)
    probe = probed(engine, prediction, image, Asking(SAMPLES, largest_boxes(1)))
    assert [region.box for region in probe.regions] == [prediction["boxes"][1]]


def test_an_image_without_a_region_has_nothing_to_probe(image: Path) -> None:
    engine = SeeingEngine()
    prediction = detected(engine, image)
    engine.asked.clear()
    probe = probed(engine, prediction, image, BLURRED)
    assert (probe.error, probe.share, [*probe.regions], probe.depends) == (None, None, [], None)
    assert not engine.asked


@pytest.mark.parametrize("holding", [on_disk, in_memory])
def test_nothing_of_an_image_is_left_where_it_was_hidden(
    image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, holding: Any
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "meanwhile"))
    (tmp_path / "meanwhile").mkdir()
    engine = SeeingEngine(LEFT, RIGHT)
    prediction = detected(engine, image)
    engine.asked.clear()
    probe = probed(engine, prediction, image, Asking(SAMPLES, holding=holding))
    hidden = [Path(conversation.images[0].path) for conversation in engine.asked if not is_whole(conversation, image)]
    assert len(probe.regions) == 2
    assert hidden
    place = tmp_path / "meanwhile" if holding is on_disk else Path("/proc")
    assert all(place in path.parents for path in hidden)
    assert not any(path.exists() for path in hidden)
    assert not [*(tmp_path / "meanwhile").iterdir()]


def is_whole(conversation: Conversation, image: Path) -> bool:
    return conversation.images[0].path == str(image)


@pytest.mark.parametrize(
    ("replies", "error", "reason"),
    [
        ([], "a.png: no such image file", "a.png: no such image file"),
        (["..."], "reply 1 was cut by the length limit", "reply 1 was cut by the length limit"),
        (["..."], None, "no second reply"),
        (None, None, "no second reply"),
    ],
)
def test_a_prediction_without_a_second_look_says_so(
    image: Path, replies: list[str] | None, error: str | None, reason: str
) -> None:
    engine = SeeingEngine(LEFT)
    probe = probed(engine, {"image": "a.png", "replies": replies, "error": error}, image, BLURRED)
    assert (probe.error, probe.share, engine.asked) == (f"there was no second look: {reason}", None, [])


def test_an_image_that_has_gone_is_an_error(image: Path) -> None:
    engine = SeeingEngine(LEFT)
    prediction = detected(engine, image)
    os.remove(image)
    assert probed(engine, prediction, image, BLURRED).error == f"{image}: no such image file"


def test_an_image_of_another_size_is_an_error(image: Path) -> None:
    engine = SeeingEngine(LEFT)
    prediction = detected(engine, image)
    Image.new("RGB", (700, 1000)).save(image)
    error = f"{image}: 700x1000 pixels now; the prediction is of 1000x700"
    assert probed(engine, prediction, image, BLURRED).error == error


def test_a_sample_that_fails_is_the_images_error_and_no_figure(image: Path) -> None:
    class FailingEngine(SeeingEngine):
        async def answer(
            self, conversation: Conversation, temperature: float = 0.0, seed: int | None = None
        ) -> Answer | ImageError:
            if seed == 3 and len(self.asked) == 4:
                return ImageError("the server: 500")
            return await super().answer(conversation, temperature, seed)

    engine = FailingEngine(LEFT)
    probe = probed(engine, detected(engine, image), image, BLURRED)
    assert (probe.error, probe.share, [*probe.regions]) == ("the server: 500", None, [])
